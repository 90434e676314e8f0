#!/usr/bin/env bash
# What wants a GPU, in parts that take ten minutes at most each. From the repository's root:
#
#     tests/gpu/on_a_gpu.sh PART [MIMC] [OUT]
#
# PART is one of parity, memory, speed, training, profile; MIMC the program (target/release/mimc); OUT a folder for what was
# measured (gpu), where each part leaves one text. A machine without a toolchain takes three things: the repository, the
# program and, for `speed`, a Python with torch and timm, PYTHON if it is not python3. MODELS and BATCHES are what `speed` and
# `profile` measure. BACKEND=cpu tries the script itself, on a model and a batch that a CPU is through with.
set -euo pipefail
part=${1:?parity, memory, speed, training or profile}
mimc=$(realpath "${2:-target/release/mimc}")
out=${3:-gpu}
backend=${BACKEND:-cuda}
python=${PYTHON:-python3}
peer=$(dirname "$0")/peer.py
if [ "$backend" = cpu ]; then
    models=${MODELS:-vit_s} batches=${BATCHES:-2} steps=1 warmup=1
else
    models=${MODELS:-swin_b vit_b} batches=${BATCHES:-128 256} steps=20 warmup=5
fi
# Of ten minutes, what may be begun with.
deadline=$((SECONDS + 540))
mkdir -p "$out"

# Runs a command for as long as there is time, and tells of one that failed without ending the part.
failed=0
try() {
    local left=$((deadline - SECONDS))
    echo "+ $*"
    if [ "$left" -le 0 ]; then
        echo "NOT RUN: the ten minutes are over"
        failed=1
    elif ! timeout "$left" "$@"; then
        echo "FAILED: $*"
        failed=1
    fi
}

has() { command -v "$1" >/dev/null; }

# The numbers of the official code, in both precisions; luminal's own compiler as well.
parity() {
    "$mimc" doctor
    for fixture in tests/fixtures/*.yaml; do
        local verify=("$mimc" verify "$fixture" --reference "${fixture%.yaml}.safetensors")
        for precision in f32 bf16; do
            try "${verify[@]}" --backend "$backend" --set train.precision=$precision
        done
        if [ "$backend" = cuda ]; then
            try timeout 120 "${verify[@]}" --backend luminal-cuda
        fi
    done
}

# Reads and writes outside of buffers, races in shared memory and barriers that diverge, in a step of a small model. On a CPU, and
# where the tool is not, the step is made without it.
memory() {
    for precision in f32 bf16; do
        local step=("$mimc" bench quickstart --batch 2 --steps 1 --warmup 0 --backend "$backend" --set train.precision=$precision)
        for tool in memcheck racecheck synccheck; do
            if [ "$backend" = cuda ] && has compute-sanitizer; then
                try compute-sanitizer --tool $tool --error-exitcode 1 "${step[@]}"
            else
                echo "NOT CHECKED: $tool, for compute-sanitizer is not here or has no GPU to look at"
            fi
        done
        try "${step[@]}"
    done
}

# Steps per second beside the peer's, one after the other, so that both find the same machine.
speed() {
    for batch in $batches; do
        for model in $models; do
            try "$mimc" bench "$model" --batch "$batch" --steps $steps --warmup $warmup --backend "$backend" --json \
                --set train.precision=bf16
            if "$python" -c 'import torch, timm' 2>/dev/null; then
                local device=$([ "$backend" = cpu ] && echo cpu || echo cuda)
                local other=("$python" "$peer" --model "$model" --batch "$batch" --steps $steps --warmup $warmup --device "$device" --dtype bf16)
                try "${other[@]}"
                if [ "$backend" != cpu ]; then
                    try "${other[@]}" --compile
                fi
            else
                echo "NOT MEASURED: the peer, for $python has no torch and timm"
            fi
        done
    done
}

# The same 200 steps on the GPU and on the CPU, in f32: the losses must meet.
training() {
    local run=("$mimc" run quickstart --set data.count=3200 --set train.batch=16 --set train.precision=f32)
    if [ "$backend" = cpu ]; then
        run+=(--steps 60)
    fi
    # A run that stands there from before would be set aside, and be no trouble: but it would not be this one.
    rm -rf "$out/training" "$out/training_on_cpu"
    try "${run[@]}" --backend "$backend" --output "$out/training"
    try "${run[@]}" --backend cpu --output "$out/training_on_cpu"
    try "$python" - "$out/training" "$out/training_on_cpu" <<'PYTHON'
import json, sys
ends = []
for folder in sys.argv[1:]:
    losses = [json.loads(line)["loss"] for line in open(folder + "/metrics.jsonl")]
    ends.append(sum(losses[-50:]) / 50)
    print(f"{folder}: {len(losses)} steps, mean loss of the last 50: {ends[-1]:.4f}")
assert abs(ends[0] - ends[1]) < 0.01, "the two do not land on the same loss"
PYTHON
}

# How soon the first step is made, with kernels compiled anew and with those that are kept; which kernels take the time, and what
# limits the five that take most.
profile() {
    local kernels=$PWD/$out/kernels
    rm -rf "$kernels"
    for model in $models; do
        local batch=${batches%% *}
        local bench=("$mimc" bench "$model" --batch "$batch" --backend "$backend" --set train.precision=bf16)
        for cache in empty warm; do
            echo "first step, $cache cache:"
            try env XDG_CACHE_HOME="$kernels" "${bench[@]}" --steps 1 --warmup 0
        done
        try "${bench[@]}" --steps $steps --profile
        if [ "$backend" = cuda ] && has ncu; then
            # The third step: the first loads kernels, and from the second on they are launched as graphs.
            try ncu --set basic --section SpeedOfLight --section MemoryWorkloadAnalysis --graph-profiling node --launch-skip 2000 \
                --launch-count 200 --print-summary per-kernel "${bench[@]}" --steps 1 --warmup 1
        else
            echo "NOT MEASURED: what limits single kernels, for ncu is not here or has no GPU to look at"
        fi
    done
    rm -rf "$kernels"
}

case $part in
    parity | memory | speed | training | profile)
        ($part && exit $failed) 2>&1 | tee "$out/$part.txt"
        ;;
    *) echo "no part is called $part" >&2; exit 2 ;;
esac

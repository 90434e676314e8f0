#!/usr/bin/env bash
# What wants a GPU, in parts that take ten minutes at most each. From the repository's root:
#
#     tests/gpu/on_a_gpu.sh PART [MIMC] [OUT]
#
# PART is one of parity, memory, speed, training, profile; MIMC the program (target/release/mimc); OUT a folder for what was measured
# (gpu). PEER names a script that measures another implementation and takes the arguments below (--model, --batch, --device,
# --dtype, --compile), each measured beside mimc; without it mimc is measured alone. BACKEND=cpu tries the script itself.
set -euo pipefail
part=${1:?parity, memory, speed, training or profile}
mimc=$(realpath "${2:-target/release/mimc}")
out=${3:-gpu}
backend=${BACKEND:-cuda}
python=${PYTHON:-python3}
mkdir -p "$out"

# The numbers of the official code, in both precisions; luminal's own compiler as well.
parity() {
    "$mimc" doctor | tee "$out/doctor.txt"
    local failed=0
    for fixture in tests/fixtures/*.yaml; do
        local name reference
        name=$(basename "$fixture" .yaml)
        reference=${fixture%.yaml}.safetensors
        for precision in f32 bf16; do
            "$mimc" verify "$fixture" --reference "$reference" --backend "$backend" --set train.precision=$precision \
                | tee "$out/parity_${name}_$precision.txt" || failed=1
        done
        if [ "$backend" = cuda ]; then
            "$mimc" verify "$fixture" --reference "$reference" --backend luminal-cuda | tee "$out/parity_${name}_luminal.txt" || failed=1
        fi
    done
    return $failed
}

# Reads and writes outside of buffers, races in shared memory and barriers that diverge, in one step of a tiny model.
memory() {
    for precision in f32 bf16; do
        for tool in memcheck racecheck synccheck; do
            compute-sanitizer --tool $tool --error-exitcode 1 \
                "$mimc" bench quickstart --batch 2 --steps 1 --backend cuda --set train.precision=$precision \
                2>&1 | tee "$out/${tool}_$precision.txt"
        done
    done
}

# Steps per second beside the peer's, one after the other.
speed() {
    for model in swin_b vit_b; do
        for batch in 128 256; do
            "$mimc" bench $model --batch $batch --steps 20 --backend "$backend" --json --set train.precision=bf16 \
                --set train.micro_batch=$batch | tee -a "$out/speed.jsonl"
            if [ -n "${PEER:-}" ]; then
                for how in "" --compile; do
                    # Unquoted: nothing is no argument.
                    "$python" "$PEER" --model $model --batch $batch --steps 20 --device cuda --dtype bf16 $how | tee -a "$out/speed.jsonl"
                done
            fi
        done
    done
}

# The same 200 steps on the GPU and on the CPU: the losses must meet.
training() {
    local sets=(--set data.count=3200 --set train.batch=16)
    "$mimc" run quickstart "${sets[@]}" --backend "$backend" --output "$out/training"
    "$mimc" run quickstart "${sets[@]}" --backend cpu --output "$out/training_on_cpu"
    "$python" - "$out/training" "$out/training_on_cpu" <<'PYTHON'
import json, sys
ends = []
for folder in sys.argv[1:]:
    losses = [json.loads(line)["loss"] for line in open(folder + "/metrics.jsonl")]
    ends.append(sum(losses[-50:]) / 50)
    print(f"{folder}: {len(losses)} steps, mean loss of the last 50: {ends[-1]:.4f}")
assert abs(ends[0] - ends[1]) < 0.01, "the two do not land on the same loss"
PYTHON
}

# Which kernels take the time, and what limits the five that take most.
profile() {
    for model in swin_b vit_b; do
        "$mimc" bench $model --batch 128 --steps 5 --backend "$backend" --profile --set train.precision=bf16 \
            --set train.micro_batch=128 | tee "$out/profile_$model.txt"
        if command -v ncu >/dev/null; then
            ncu --set full --launch-skip 2000 --launch-count 40 --target-processes all --force-overwrite --export "$out/$model" \
                "$mimc" bench $model --batch 128 --steps 1 --backend cuda --set train.precision=bf16 --set train.micro_batch=128
        else
            echo "ncu is not here: no limits of single kernels"
        fi
    done
}

case $part in
    parity | memory | speed | training | profile) $part ;;
    *) echo "no part is called $part" >&2; exit 2 ;;
esac

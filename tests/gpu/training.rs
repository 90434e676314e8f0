//! What the CUDA backend computes is what the CPU computes.

use super::{
    desk::{Desk, fixture},
    emulator::emulator,
};

/// How far two numbers are apart, as a share of the second.
fn off([a, b]: [f64; 2]) -> f64 {
    (a - b).abs() / b.abs()
}

#[test]
fn a_run_has_the_losses_and_gradients_of_the_cpu() {
    let Some(emulator) = emulator() else { return };
    for precision in ["f32", "bf16"] {
        let desk = Desk::new(emulator);
        let set = format!("train.precision={precision}");
        for backend in ["cpu", "cuda"] {
            let output = ["--output", backend, "--backend", backend, "--set", &set];
            desk.good(&[&["run", "tiny.yaml", "--steps", "4"], &output[..]].concat());
        }
        let (cpu, cuda) = (desk.metrics("cpu"), desk.metrics("cuda"));
        assert_eq!((cpu.len(), cuda.len()), (4, 4));
        // Products round otherwise in bf16, and steps add up what they are off.
        let tolerated = if precision == "f32" { 2e-5 } else { 2e-2 };
        for (cpu, cuda) in cpu.iter().zip(&cuda) {
            assert_eq!(cpu[0], cuda[0]);
            for which in [1, 2] {
                let off = off([cuda[which], cpu[which]]);
                assert!(off < tolerated, "{precision}: {cuda:?} beside {cpu:?}");
            }
        }
        assert_eq!(desk.list("cuda/checkpoints"), desk.list("cpu/checkpoints"));
        assert_eq!(desk.list("cuda/pictures"), desk.list("cpu/pictures"));
    }
}

#[test]
fn the_numbers_are_the_official_ones() {
    let Some(emulator) = emulator() else { return };
    let desk = Desk::new(emulator);
    let [recipe, numbers] = ["yaml", "safetensors"].map(|end| fixture(&format!("vit_ape.{end}")));
    let verify = [
        "verify",
        &recipe,
        "--reference",
        &numbers,
        "--backend",
        "cuda",
    ];
    let said = desk.good(&verify);
    assert!(!said.out.contains("FAIL"), "{}", said.out);
}

#[test]
fn a_run_repeats_to_the_bit_and_each_list_is_recorded_once() {
    let Some(emulator) = emulator() else { return };
    let desk = Desk::new(emulator);
    let run = |output: &str, log: &str| {
        let log = desk.path(log);
        let log = [("EMULATOR_LOG", log.to_str().expect("a plain path"))];
        let run = [
            "run",
            "tiny.yaml",
            "--backend",
            "cuda",
            "--steps",
            "3",
            "--output",
            output,
        ];
        desk.mimc_with(&log, &run).says(0, &[]);
    };
    run("first", "log");
    run("second", "log2");
    assert!(desk.checkpoint("first", 3) == desk.checkpoint("second", 3));
    assert_eq!(desk.metrics("first"), desk.metrics("second"));
    let log = std::fs::read_to_string(desk.path("log")).expect("a log");
    // Up to the loss, behind it, the update, and what draws pictures.
    let graphs = log.lines().filter(|line| *line == "graph").count();
    assert_eq!(graphs, 4, "{log}");
}

#[test]
fn kernels_are_timed_one_by_one() {
    let Some(emulator) = emulator() else { return };
    let desk = Desk::new(emulator);
    let bench = [
        "bench",
        "tiny.yaml",
        "--backend",
        "cuda",
        "--batch",
        "2",
        "--steps",
        "2",
    ];
    let said = desk.good(&[&bench[..], &["--warmup", "0", "--profile", "--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(json["device"], "cuda");
    let kinds = json["profile"]["kinds"].as_array().expect("a list");
    let named = |name: &str| kinds.iter().find(|kind| kind["name"] == name);
    for name in ["gemm", "rows", "fold", "attention", "attention'", "adamw"] {
        let kind = named(name).unwrap_or_else(|| panic!("{name} in {kinds:?}"));
        assert!(
            kind["seconds"]
                .as_f64()
                .is_some_and(|seconds| seconds > 0.0)
        );
    }
}

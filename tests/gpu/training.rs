//! What the CUDA backend computes is what the CPU computes.

use super::{
    desk::{Desk, fixture},
    emulator::emulator,
};
use std::fs;

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

/// Holds a model beside the numbers of a fixture, in f32 and in bf16, where the gradient must be as good as PyTorch's.
fn official(name: &str) {
    let Some(emulator) = emulator() else { return };
    let desk = Desk::new(emulator);
    let [recipe, numbers] = ["yaml", "safetensors"].map(|end| fixture(&format!("{name}.{end}")));
    for precision in ["f32", "bf16"] {
        let set = format!("train.precision={precision}");
        let verify = ["verify", &recipe, "--reference", &numbers, "--set", &set];
        let said = desk.good(&[&verify[..], &["--backend", "cuda"]].concat());
        let checks = [["gradients", "trajectory"], ["whole-gradient", "final"]];
        for check in checks[usize::from(precision == "bf16")] {
            let line = said.out.lines().find(|line| line.starts_with(check));
            let passes = line.is_some_and(|line| line.contains(" ok"));
            assert!(passes, "{check} in {precision}: {}", said.out);
        }
        assert!(!said.out.contains("FAIL"), "{}", said.out);
    }
}

#[test]
fn the_numbers_are_the_official_ones() {
    official("vit_ape");
}

#[test]
#[ignore = "compiles hundreds of kernels, which takes minutes"]
fn the_numbers_of_every_fixture_are_the_official_ones() {
    for name in ["swin", "swin_window4", "vit_shared_rpb"] {
        official(name);
    }
}

#[test]
fn a_run_repeats_to_the_bit_and_each_list_is_recorded_once() {
    let Some(emulator) = emulator() else { return };
    let desk = Desk::new(emulator);
    let run = |output: &str, steps: &str| {
        let log = desk.path(&format!("{output}.log"));
        let variables = [("EMULATOR_LOG", log.to_str().expect("a plain path"))];
        let run = ["run", "tiny.yaml", "--backend", "cuda", "--steps", steps];
        let run = [&run[..], &["--output", output]].concat();
        desk.mimc_with(&variables, &run).says(0, &[]);
        fs::read_to_string(&log).expect("a log")
    };
    let count = |log: &str, wanted: &str| log.lines().filter(|line| *line == wanted).count();
    let log = run("first", "3");
    run("second", "3");
    assert!(desk.checkpoint("first", 3) == desk.checkpoint("second", 3));
    assert_eq!(desk.metrics("first"), desk.metrics("second"));
    // Up to the loss, behind it, the update, and what draws pictures.
    assert_eq!(count(&log, "graph"), 4, "{log}");
    // Another step takes two micro-batches of two images of 16 x 16: a byte for each number, and none as numbers.
    let longer = run("longer", "4");
    let more = ["upload 1536", "upload 6144"].map(|line| count(&longer, line) - count(&log, line));
    assert_eq!(more, [2, 0], "{longer}");
}

#[test]
fn a_run_begun_on_a_gpu_keeps_its_precision_elsewhere() {
    let Some(emulator) = emulator() else { return };
    let desk = Desk::new(emulator);
    let run = |backend: &str, more: &[&str]| {
        let run = ["run", "tiny.yaml", "--output", "out", "--backend", backend];
        desk.mimc(&[&run[..], more].concat())
    };
    let precision = || {
        let recipe = desk.read("out/recipe.yaml");
        let line = recipe.lines().find(|line| line.contains("precision:"));
        line.map(|line| line.trim().to_owned()).expect("every key")
    };
    let told = "precision bf16: that is what `train.precision: auto` is on cuda";
    run("cuda", &["--steps", "2"]).says(0, &[told]);
    assert_eq!(precision(), "precision: bf16");
    let said = run("cpu", &["--steps", "4", "--resume"]);
    said.says(0, &["resumed behind step 2"]);
    assert_eq!(precision(), "precision: bf16");
    let other = ["--steps", "6", "--resume", "--set", "train.precision=f32"];
    run("cpu", &other).says(1, &["train.precision was bf16 and is f32"]);

    // And the other way round: what was begun on a CPU goes on in f32.
    let begun = ["run", "tiny.yaml", "--output", "cpu"];
    desk.good(&[&begun[..], &["--backend", "cpu", "--steps", "2"]].concat());
    let on = ["--backend", "cuda", "--steps", "4", "--resume"];
    let said = desk.good(&[&begun[..], &on].concat());
    assert!(!said.err.contains("bf16"), "{}", said.err);
    assert!(desk.read("cpu/recipe.yaml").contains("precision: f32\n"));
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
    let json = said.json();
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

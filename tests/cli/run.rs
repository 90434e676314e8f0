//! `mimc run`

use super::{Desk, TINY};
use serde_json::Value;

pub fn metrics(desk: &Desk, folder: &str) -> Vec<Value> {
    let text = desk.read(&format!("{folder}/metrics.jsonl"));
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

pub fn numbers(desk: &Desk, folder: &str) -> Vec<(u64, f64, f64)> {
    let lines = metrics(desk, folder);
    let number = |line: &Value, key: &str| line[key].as_f64().expect("a number");
    let numbers = lines.iter().map(|line| {
        let step = line["step"].as_u64().expect("a count");
        (step, number(line, "loss"), number(line, "grad_norm"))
    });
    numbers.collect()
}

#[test]
fn the_quickstart_leaves_metrics_a_picture_a_curve_and_a_checkpoint() {
    let desk = Desk::new();
    let said = desk.good(&["run", "quickstart", "--steps", "2"]);
    assert!(
        said.err.contains("running the built-in quickstart"),
        "{}",
        said.err
    );
    assert!(said.out.contains("step 2 of 400"), "{}", said.out);
    let lines = metrics(&desk, "runs/quickstart");
    assert_eq!(lines.len(), 2);
    for key in ["step", "loss", "lr", "grad_norm", "images_per_s"] {
        assert!(
            lines[1][key].as_f64().is_some_and(|value| value > 0.0),
            "{key}"
        );
    }
    assert_eq!(
        desk.list("runs/quickstart/checkpoints"),
        ["step_000002.safetensors"]
    );
    assert_eq!(desk.list("runs/quickstart/pictures"), ["step_000002.png"]);
    for picture in ["loss.png", "pictures/step_000002.png"] {
        let picture = image::open(desk.path(&format!("runs/quickstart/{picture}")));
        assert!(picture.is_ok_and(|picture| picture.width() > 400));
    }
}

#[test]
fn without_a_recipe_the_last_one_compiled_is_run() {
    let desk = Desk::new();
    desk.good(&[
        "compile",
        "tiny",
        "--set",
        "train.seed=7",
        "--micro-batch",
        "2",
    ]);
    let said = desk.good(&["run", "--steps", "1"]);
    assert!(
        said.err
            .contains("running recipes/tiny.yaml, compiled last"),
        "{}",
        said.err
    );
    assert!(said.err.contains("batch 4 as 2 × 2"), "{}", said.err);
    assert!(!said.err.contains("changed"), "{}", said.err);
    assert!(desk.read("runs/tiny/recipe.yaml").contains("seed: 7"));

    desk.write("recipes/tiny.yaml", &TINY.replace("depth: 2", "depth: 1"));
    let said = desk.good(&["run", "--steps", "1"]);
    let told = "compiled anew, for these have changed since: recipes/tiny.yaml";
    assert!(said.err.contains(told), "{}", said.err);
    assert!(
        !desk.read("build/tiny/graph.txt").contains("blocks.1"),
        "it is written anew"
    );
    let said = desk.good(&["run", "--steps", "1"]);
    assert!(!said.err.contains("changed since"), "{}", said.err);

    desk.write("graphs/mine/mlp.yaml", "doc: Nobody uses this.\n");
    let said = desk.good(&["run", "--steps", "1"]);
    assert!(!said.err.contains("changed since"), "{}", said.err);

    std::fs::remove_file(desk.path("recipes/tiny.yaml")).expect("removed");
    let said = desk.good(&["run", "--steps", "1"]);
    assert!(
        said.err
            .contains("tiny is gone: running what it was, from build/tiny"),
        "{}",
        said.err
    );
    assert!(desk.read("runs/tiny/recipe.yaml").contains("depth: 1"));
}

#[test]
fn a_graph_file_that_changes_is_noticed() {
    let desk = Desk::new();
    desk.good(&["compile", "tiny"]);
    let mlp = include_str!("../../graphs/nn/mlp.yaml");
    desk.write(
        "graphs/nn/mlp.yaml",
        &mlp.replace("normal(0.02)", "normal(0.01)"),
    );
    let said = desk.good(&["run", "--steps", "1"]);
    assert!(
        said.err.contains("changed since: graphs/nn/mlp.yaml"),
        "{}",
        said.err
    );
}

#[test]
fn resuming_goes_on_to_the_same_bits_with_the_same_micro_batch() {
    let desk = Desk::new();
    let run = |arguments: &[&str]| desk.good(&[&["run"], arguments].concat());
    let two = "train.micro_batch=2";
    run(&["tiny", "--set", two, "--steps", "5", "--output", "whole"]);
    run(&["tiny", "--set", two, "--steps", "3", "--output", "parts"]);
    let said = run(&["tiny", "--steps", "5", "--output", "parts", "--resume"]);
    assert!(said.err.contains("resumed behind step 3"), "{}", said.err);
    assert!(said.err.contains("batch 4 as 2 × 2"), "{}", said.err);
    assert_eq!(numbers(&desk, "whole"), numbers(&desk, "parts"));
    // The recipes inside differ by the key that was set.
    let whole = desk.path("whole/checkpoints/step_000005.safetensors");
    let parts = desk.path("parts/checkpoints/step_000005.safetensors");
    let tensors = |path| -> Vec<u8> {
        let bytes = std::fs::read(path).expect("a checkpoint");
        let (header, _) = safetensors::SafeTensors::read_metadata(&bytes).expect("sound");
        bytes[8 + header..].to_vec()
    };
    assert!(tensors(whole) == tensors(parts));
}

#[test]
fn nothing_to_resume_starts_at_the_beginning_and_says_so() {
    let desk = Desk::new();
    let said = desk.good(&["run", "tiny", "--steps", "1", "--resume"]);
    assert!(said.err.contains("starting at step 0"), "{}", said.err);
}

#[test]
fn without_anything_compiled_the_quickstart_is_run() {
    let desk = Desk::new();
    let said = desk.mimc(&["run", "--data", "nowhere"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("nothing was compiled in this directory"),
        "{}",
        said.err
    );
    assert!(said.err.contains("built-in quickstart") && said.err.contains("no folder nowhere"));
}

#[cfg(unix)]
#[test]
fn a_signal_stops_a_run_and_saves_its_state() {
    use std::{
        process::{Command, Stdio},
        thread,
        time::Duration,
    };
    let desk = Desk::new();
    let long = [
        "run",
        "tiny",
        "--set",
        "train.epochs=100000",
        "--set",
        "train.checkpoint_every=0",
    ];
    let child = desk
        .command(&long)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.expect("the program starts");
    while metrics_lines(&desk) < 3 {
        thread::sleep(Duration::from_millis(20));
    }
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("sent")
            .success()
    );
    let output = child.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("--resume goes on"), "{told}");
    let made = metrics_lines(&desk);
    let checkpoint = format!("step_{made:06}.safetensors");
    assert_eq!(desk.list("runs/tiny/checkpoints"), [checkpoint]);
}

#[cfg(unix)]
fn metrics_lines(desk: &Desk) -> usize {
    let text = std::fs::read_to_string(desk.path("runs/tiny/metrics.jsonl"));
    text.map_or(0, |text| text.lines().count())
}

#[test]
fn any_number_of_threads_goes_on_to_the_same_bits() {
    let desk = Desk::new();
    let tiny = ["run", "tiny", "--set", "train.micro_batch=2"];
    let run = |arguments: &[&str]| desk.good(&[&tiny[..], arguments].concat());
    run(&["--steps", "5", "--output", "one", "--threads", "1"]);
    run(&["--steps", "3", "--output", "more", "--threads", "3"]);
    let on = ["--steps", "5", "--output", "more", "--threads", "2"];
    run(&[&on[..], &["--resume"]].concat());
    assert_eq!(numbers(&desk, "one"), numbers(&desk, "more"));
    let checkpoint = |folder: &str| {
        let path = desk.path(&format!("{folder}/checkpoints/step_000005.safetensors"));
        std::fs::read(path).expect("a checkpoint")
    };
    assert!(checkpoint("one") == checkpoint("more"));
    let said = desk.mimc(&["run", "tiny", "--threads", "1025"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
}

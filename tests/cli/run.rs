//! `mimc run`

use super::{Desk, TINY};
use serde_json::Value;
use std::fs;

fn metrics(desk: &Desk, folder: &str) -> Vec<Value> {
    let text = desk.read(&format!("{folder}/metrics.jsonl"));
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn numbers(desk: &Desk, folder: &str) -> Vec<(u64, f64, f64)> {
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

/// A folder of as many pictures, some of them empty files.
fn photographs(desk: &Desk, count: usize, empty: impl Fn(usize) -> bool) {
    for number in 0..count {
        let path = desk.path(&format!("photos/{number:02}.png"));
        desk.write(&format!("photos/{number:02}.png"), "");
        if !empty(number) {
            let picture = image::RgbImage::from_fn(64, 64, |x, y| {
                image::Rgb([x as u8 * 2, y as u8 * 2, number as u8])
            });
            picture.save(path).expect("written");
        }
    }
}

#[test]
fn unreadable_images_are_passed_over_named_once_and_counted() {
    let desk = Desk::new();
    photographs(&desk, 9, |number| number == 3 || number == 4);
    let train = ["run", "tiny", "--data", "photos", "--output", "out"];
    // Four steps are two epochs: each image is met.
    let said = desk.good(&[&train[..], &["--steps", "4"]].concat());
    for name in ["03", "04"] {
        let told = format!("passed over photos/{name}.png: the file is empty");
        assert_eq!(said.err.matches(&told).count(), 1, "{}", said.err);
    }
    let told = "unreadable  2 images passed over: out/unreadable.txt";
    assert!(said.out.contains(told), "{}", said.out);
    let mut named: Vec<_> = desk
        .read("out/unreadable.txt")
        .lines()
        .map(str::to_owned)
        .collect();
    named.sort();
    let line = |name: &str| format!("photos/{name}.png\tthe file is empty");
    assert_eq!(named, [line("03"), line("04")]);

    let said = desk.good(&[&train[..], &["--steps", "8", "--resume"]].concat());
    assert!(!said.err.contains("passed over"), "{}", said.err);
    assert!(said.out.contains(told), "{}", said.out);
    desk.good(&[
        "run", "tiny", "--data", "photos", "--output", "whole", "--steps", "8",
    ]);
    assert_eq!(numbers(&desk, "out"), numbers(&desk, "whole"));
}

#[test]
fn too_many_unreadable_images_stop_the_run_with_its_state_saved() {
    let desk = Desk::new();
    photographs(&desk, 24, |number| number >= 12);
    let said = desk.mimc(&["run", "tiny", "--data", "photos"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    for piece in [
        "error[data]: 11 of the first ",
        "more than 5 % are too many: photos/",
        "(the file is empty)",
        "and 8 more",
        "help: `mimc data`",
    ] {
        assert!(said.err.contains(piece), "no `{piece}` in {}", said.err);
    }
}

#[test]
fn images_held_out_tell_their_loss_and_change_no_training() {
    let desk = Desk::new();
    for number in 0..6u8 {
        let picture = image::RgbImage::from_fn(60, 50, |x, y| {
            image::Rgb([
                (x as u8).wrapping_mul(number),
                y as u8 * 4,
                90 + 10 * number,
            ])
        });
        let path = desk.path(&format!("held/{number}.png"));
        fs::create_dir_all(path.parent().expect("in a folder")).expect("created");
        picture.save(path).expect("written");
    }
    let metrics = |folder: &str| metrics(&desk, folder);
    let held = [
        "--set",
        "data.validation=held",
        "--set",
        "train.validate_every=2",
    ];
    let run = |more: &[&str], folder: &str| {
        desk.good(&[&["run", "tiny", "--output", folder], more].concat())
    };
    run(&["--steps", "5"], "plain");
    let said = run(&[&held[..], &["--steps", "5"]].concat(), "with");
    assert!(said.err.contains("held-out loss"), "{}", said.err);
    let (plain, with) = (metrics("plain"), metrics("with"));
    for (plain, with) in plain.iter().zip(&with) {
        assert_eq!(plain["loss"], with["loss"], "looking changes nothing");
        assert!(plain.get("held_out").is_none());
        let step = with["step"].as_u64().expect("a number");
        let due = step % 2 == 0 || step == 5;
        assert_eq!(
            with["held_out"].as_f64().is_some_and(|loss| loss > 0.0),
            due,
            "{with}"
        );
    }
    // The same masks over the same images: a resumed run sees the same loss.
    run(&[&held[..], &["--steps", "2"]].concat(), "twice");
    run(
        &[&held[..], &["--steps", "5", "--resume"]].concat(),
        "twice",
    );
    let losses = |lines: Vec<Value>| -> Vec<Value> {
        lines
            .into_iter()
            .map(|line| line["held_out"].clone())
            .collect()
    };
    assert_eq!(losses(metrics("twice")), losses(with));
    // A count that does not fill the program takes images twice; one of a missing folder is refused.
    run(
        &[
            &held[..],
            &["--set", "data.validation_count=1", "--steps", "1"],
        ]
        .concat(),
        "one",
    );
    assert!(
        metrics("one")[0]["held_out"]
            .as_f64()
            .is_some_and(|loss| loss > 0.0)
    );
    let said = desk.mimc(&[
        "run",
        "tiny",
        "--output",
        "none",
        "--set",
        "data.validation=nowhere",
    ]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("nowhere"), "{}", said.err);
}

#[test]
fn curves_for_tensorboard_lie_beside_the_metrics() {
    let desk = Desk::new();
    desk.good(&["run", "tiny", "--steps", "3", "--output", "run"]);
    let files = desk.list("run/tensorboard");
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].starts_with("events.out.tfevents."), "{files:?}");
    let bytes = fs::read(desk.path(&format!("run/tensorboard/{}", files[0]))).expect("read");
    let holds = |text: &str| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    for tag in [
        "brain.Event:2",
        "train/loss",
        "train/lr",
        "reconstructions",
        "gradients/encoder.blocks.0.attn.qkv.weight",
    ] {
        assert!(holds(tag), "{tag}");
    }
    desk.good(&["run", "tiny", "--steps", "4", "--resume", "--output", "run"]);
    assert!(!desk.list("run/tensorboard").is_empty());
    // A run from its start moves those of the earlier one aside.
    desk.good(&["run", "tiny", "--steps", "1", "--output", "run"]);
    assert_eq!(desk.list("run/tensorboard").len(), 1);
    assert!(!desk.list("run/earlier-1/tensorboard").is_empty());
}

#[test]
fn the_folder_of_a_run_tells_of_itself() {
    let desk = Desk::new();
    let run = [
        "run",
        "tiny",
        "--output",
        "run",
        "--set",
        "train.picture_every=2",
    ];
    let said = desk.good(&[&run[..], &["--steps", "3"]].concat());
    assert!(said.out.contains("run/report.html"), "{}", said.out);
    let manifest =
        || -> Value { serde_json::from_str(&desk.read("run/manifest.json")).expect("JSON") };
    let first = manifest();
    assert_eq!(first["recipe"], "tiny");
    assert_eq!(first["images"], 8);
    let graph = &first["graphs"]["graphs/vit/encoder.yaml"];
    for checksum in [&first["recipe_checksum"], &first["images_checksum"], graph] {
        assert_eq!(checksum.as_str().map(str::len), Some(32), "{checksum}");
    }
    let session = &first["sessions"][0];
    assert_eq!(session["state"], "finished");
    assert_eq!(session["steps"], serde_json::json!([0, 3]));
    assert_eq!(session["program_checksum"].as_str().map(str::len), Some(32));
    assert!(session["started"].as_str() <= session["ended"].as_str());
    assert!(session["machine"]["threads"].as_u64() > Some(0));

    // A run that goes on adds a session, and its page shows all steps.
    desk.good(&[&run[..], &["--steps", "5", "--resume"]].concat());
    let second = manifest();
    let sessions = second["sessions"].as_array().expect("a list");
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[1]["steps"], serde_json::json!([3, 5]));
    assert_eq!(second["images_checksum"], first["images_checksum"]);
    let page = desk.read("run/report.html");
    for piece in [
        "<title>tiny · mimc</title>",
        "id=\"curve-loss\"",
        "data:image/png;base64,",
        "behind step 5",
        "encoder.blocks.0.attn.qkv.weight",
        "session 2",
        "finished, steps 3 to 5",
        "\"steps\":[1,2,3,4,5]",
    ] {
        assert!(page.contains(piece), "no `{piece}`");
    }
    assert!(!page.contains("http://") && !page.contains("https://"));

    // A new run in the same folder moves both aside.
    desk.good(&[&run[..], &["--steps", "1"]].concat());
    assert_eq!(manifest()["sessions"].as_array().map(Vec::len), Some(1));
    assert!(
        desk.list("run/earlier-1")
            .contains(&"report.html".to_owned())
    );
}

#[test]
fn a_report_that_cannot_be_written_stops_no_run() {
    let desk = Desk::new();
    fs::create_dir_all(desk.path("run/report.html")).expect("created");
    fs::write(desk.path("run/report.html/mine.txt"), "in the way").expect("written");
    // What lies in its place belongs to no run, and is moved aside with the rest.
    desk.good(&["run", "tiny", "--steps", "1", "--output", "run"]);
    fs::remove_file(desk.path("run/report.html")).expect("removed");
    fs::create_dir_all(desk.path("run/report.html/full")).expect("created");
    let said = desk.good(&["run", "tiny", "--steps", "3", "--output", "run", "--resume"]);
    assert!(said.err.contains("no report.html in run: "), "{}", said.err);
    assert!(said.out.contains("step 3 of"), "{}", said.out);
    assert_eq!(metrics(&desk, "run").len(), 3);
}

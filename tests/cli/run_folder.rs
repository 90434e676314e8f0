//! What `mimc run` leaves in its folder besides checkpoints.

use super::{Desk, run::metrics};
use serde_json::Value;
use std::fs;

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

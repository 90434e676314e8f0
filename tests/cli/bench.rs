//! `mimc bench`

use super::{Desk, Said};
use serde_json::Value;

#[test]
fn the_last_line_is_json_with_the_keys_of_other_benchmarks() {
    let desk = Desk::new();
    let bench = [
        "bench", "tiny", "--batch", "2", "--steps", "3", "--warmup", "0",
    ];
    let text = desk.good(&bench).out;
    assert!(text.contains("s per step"), "{text}");
    let last = text.lines().last().expect("a line");
    let json: Value = serde_json::from_str(last).expect("JSON");
    let positive = [
        "first_step_s",
        "step_s",
        "step_min_s",
        "images_per_s",
        "gflop_per_s",
        "parameters",
    ];
    for key in positive {
        assert!(
            json[key].as_f64().is_some_and(|value| value > 0.0),
            "{key} in {last}"
        );
    }
    assert!(json["gflop_per_image"].is_number() && json.get("peak_gb").is_some());
    assert_eq!(
        (&json["model"], &json["batch"]),
        (&"tiny".into(), &2.into())
    );
    assert_eq!(
        (&json["device"], &json["dtype"]),
        (&"cpu".into(), &"fp32".into())
    );

    let quiet = desk.good(&[&bench[..], &["--json"]].concat()).out;
    assert_eq!(quiet.lines().count(), 1, "{quiet}");
}

#[test]
fn threads_are_as_many_as_asked_for() {
    let desk = Desk::new();
    let threads = |arguments: &[&str], environment: &str| {
        let bench = ["bench", "tiny", "--batch", "1", "--steps", "1", "--json"];
        let output = desk
            .command(&[&bench[..], arguments].concat())
            .env("RAYON_NUM_THREADS", environment)
            .output();
        Said::from(output.expect("the program starts")).json()["threads"].clone()
    };
    let cores = std::thread::available_parallelism().expect("known").get();
    assert_eq!(threads(&["--threads", "3"], "2"), 3);
    assert_eq!(threads(&[], "5"), 5);
    assert_eq!(threads(&["--threads", "0"], "0"), cores);
}

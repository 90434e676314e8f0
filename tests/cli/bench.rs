//! `mimc bench`

use super::Desk;
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

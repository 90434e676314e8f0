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

    let half = [&bench[..], &["--json", "--set", "train.precision=bf16"]].concat();
    let half = desk.good(&half);
    assert_eq!(half.json()["dtype"], "bf16");
    #[cfg(target_arch = "x86_64")]
    {
        let told = half.err.contains("this processor multiplies no bf16");
        assert_eq!(
            told,
            !is_x86_feature_detected!("avx512bf16"),
            "{}",
            half.err
        );
    }

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

#[test]
fn a_profile_tells_where_the_time_goes_and_a_ceiling_what_there_was_to_reach() {
    let desk = Desk::new();
    let bench = ["bench", "tiny", "--steps", "2", "--profile", "--ceiling"];
    let json = desk.good(&[&bench[..], &["--json"]].concat()).json();
    let number = |value: &Value| value.as_f64().expect("a number");
    let profile = &json["profile"];
    let whole = number(&profile["seconds"]);
    for sorted in ["kinds", "parts", "kernels"] {
        let entries = profile[sorted].as_array().expect("a list");
        let seconds: Vec<f64> = entries
            .iter()
            .map(|entry| number(&entry["seconds"]))
            .collect();
        let sum: f64 = seconds.iter().sum();
        assert!(
            (sum / whole - 1.0).abs() < 1e-9,
            "{sum} of {whole}: {profile}"
        );
        assert!(seconds.is_sorted_by(|a, b| a >= b), "{seconds:?}");
        assert!(
            entries
                .iter()
                .all(|entry| number(&entry["of_ceiling"]) >= 0.0)
        );
    }
    assert!(whole <= 1.01 * number(&json["step_s"]).max(number(&json["first_step_s"])));
    let names = |list: &Value| -> Vec<String> {
        let entries = list.as_array().expect("a list").iter();
        entries
            .map(|e| e["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    let kinds = names(&profile["kinds"]);
    for kind in ["gemm", "attention", "attention'", "adamw"] {
        assert!(kinds.contains(&kind.to_owned()), "{kind} in {kinds:?}");
    }
    let parts = names(&profile["parts"]);
    assert!(parts.iter().any(|part| part.ends_with(".*'")), "{parts:?}");
    assert!(number(&json["ceiling"]["gflop_per_s"]) > number(&json["gflop_per_s"]));

    let text = desk.good(&bench).out;
    for heading in ["the machine: ", "\nkind ", "\npart ", "\nkernel "] {
        assert!(text.contains(heading), "{heading:?} in {text}");
    }
    let reference = ["bench", "tiny", "--backend", "reference"];
    let wrong = desk.mimc(&[&reference[..], &["--profile"]].concat());
    assert_eq!(wrong.code, Some(1));
    let wrong = wrong.err;
    assert!(
        wrong.contains("`reference` does not time its kernels"),
        "{wrong}"
    );
}

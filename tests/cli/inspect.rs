//! `mimc inspect`

use super::Desk;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use std::{collections::HashMap, fs};

/// A desk with a run of six steps.
fn trained() -> Desk {
    let desk = Desk::new();
    desk.good(&["run", "tiny", "--steps", "6", "--output", "run"]);
    desk
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[test]
fn a_checkpoint_tells_where_its_run_stood_and_what_its_weights_are() {
    let desk = trained();
    let text = desk.good(&["inspect", "run"]).out;
    for piece in [
        "step_000006.safetensors",
        "Tiny, for tests.",
        "6, loss ",
        "epoch 3",
        "none",
        "vit/encoder.yaml",
    ] {
        assert!(text.contains(piece), "no `{piece}` in\n{text}");
    }
    let json = desk.good(&["inspect", "run", "--json"]).json();
    let metrics = desk.read("run/metrics.jsonl");
    let last: Value = serde_json::from_str(metrics.lines().last().expect("a line")).expect("JSON");
    assert_eq!(json["loss"], last["loss"]);
    assert_eq!(
        (&json["state"]["step"], &json["not_finite"]),
        (&6.into(), &0.into())
    );

    // The same numbers, by another reader.
    let bytes = fs::read(desk.path("run/checkpoints/step_000006.safetensors")).expect("read");
    let tensors = SafeTensors::deserialize(&bytes).expect("sound");
    let weights = json["weights"].as_array().expect("a list");
    let shapes = weights
        .iter()
        .map(|w| w["shape"].as_array().expect("a list"));
    let len = |shape: &Vec<Value>| {
        shape
            .iter()
            .map(|d| d.as_u64().expect("a size"))
            .product::<u64>()
    };
    assert_eq!(json["parameters"], shapes.map(len).sum::<u64>());
    assert_eq!(3 * weights.len(), tensors.len());
    for weight in weights {
        let name = weight["name"].as_str().expect("a name");
        let values = |prefix: &str| -> Vec<f64> {
            let tensor = tensors.tensor(&format!("{prefix}{name}")).expect("there");
            let values = tensor.data().chunks_exact(4);
            values
                .map(|v| f64::from(f32::from_le_bytes(v.try_into().expect("four bytes"))))
                .collect()
        };
        let (own, second) = (values(""), values("optimizer.exp_avg_sq."));
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
        let near = |key: &str, wanted: f64| {
            let got = number(&weight[key]);
            assert!(
                (got - wanted).abs() <= 1e-9 * wanted.abs().max(1e-3),
                "{key} of {name}: {got}, {wanted}"
            );
        };
        near("mean", mean(&own));
        near("norm", own.iter().map(|x| x * x).sum::<f64>().sqrt());
        near("largest", own.iter().fold(0.0, |most, x| x.abs().max(most)));
        near("gradient", mean(&second).sqrt());
        let spread: Vec<f64> = own.iter().map(|x| (x - mean(&own)).powi(2)).collect();
        near("deviation", mean(&spread).sqrt());
    }
    let first = weights[0]["name"].as_str().expect("a name");
    assert!(
        first.starts_with("encoder."),
        "the order of the model, not of the alphabet: {first}"
    );
}

#[test]
fn weights_are_listed_by_prefix_and_the_recipe_is_the_runs() {
    let desk = trained();
    let all = desk.good(&["inspect", "run", "--weights"]).out;
    let some = desk
        .good(&[
            "inspect",
            "run/checkpoints",
            "--weights",
            "encoder.blocks.1",
        ])
        .out;
    assert!(some.lines().count() > 5 && some.lines().count() < all.lines().count());
    let mut lines = some.lines().skip(1);
    assert_eq!(lines.next(), Some("encoder.blocks.1"));
    assert!(lines.all(|line| line.starts_with("  ")), "{some}");
    for heading in [
        "encoder",
        "encoder.blocks.0",
        "encoder.blocks.1",
        "decoder.0",
    ] {
        let headings = all.lines().filter(|line| *line == heading);
        assert!(headings.count() >= 1, "{heading}:\n{all}");
    }
    let recipe = desk.good(&["inspect", "run", "--recipe"]).out;
    assert_eq!(recipe, desk.read("run/recipe.yaml"));
    let wrong = desk.mimc(&["inspect", "run", "--weights", "encodr"]);
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.err.contains("no weight's name begins with `encodr`"),
        "{}",
        wrong.err
    );
}

#[test]
fn what_is_damaged_or_no_checkpoint_is_told() {
    let desk = trained();
    let damaged = "run/checkpoints/step_000006.safetensors";
    let mut bytes = fs::read(desk.path(damaged)).expect("read");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(desk.path(damaged), bytes).expect("written");
    let said = desk.good(&["inspect", "run", "--json"]);
    assert!(
        said.err.contains("passed over a damaged checkpoint"),
        "{}",
        said.err
    );
    assert_eq!(said.json()["state"]["step"], 4);

    let weights = HashMap::from([(
        "w",
        TensorView::new(Dtype::F32, vec![1], &[0; 4]).expect("sound"),
    )]);
    let foreign = safetensors::serialize(weights, None).expect("sound");
    fs::write(desk.path("foreign.safetensors"), foreign).expect("written");
    fs::create_dir(desk.path("empty")).expect("created");
    fs::create_dir_all(desk.path("runs/mine/checkpoints")).expect("created");
    let wrong = [
        (damaged, "damaged"),
        ("foreign.safetensors", "no checkpoint of a run"),
        ("empty", "holds no checkpoints"),
        ("nowhere", "there is no file or folder nowhere"),
        ("recipes/tiny.yaml", "cannot read the checkpoint"),
        ("photo.jpg", "there is no file or folder photo.jpg"),
        ("rum", "did you mean `run`?"),
        ("minee", "did you mean `runs/mine`?"),
    ];
    for (path, told) in wrong {
        let said = desk.mimc(&["inspect", path]);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{path}");
        assert!(said.err.contains(told), "{path}: {}", said.err);
    }
}

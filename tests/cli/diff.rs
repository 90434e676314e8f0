//! `mimc diff`

use super::{Desk, TINY};

#[test]
fn the_same_in_other_words_is_the_same() {
    let desk = Desk::new();
    let said = TINY
        .replace("depth: 2, heads: 3", "heads: 3, depth: 2, mlp_ratio: 4.0")
        .replace("Tiny, for", "Tiny, also for");
    desk.write(
        "recipes/same.yaml",
        &said.replace("ratio: 0.6 }", "ratio: 6.0e-1 }"),
    );
    let text = desk.good(&["diff", "tiny", "same"]).out;
    assert!(
        text.starts_with("the same model, trained alike\n"),
        "{text}"
    );
    assert!(
        text.contains("Tiny, for tests. → Tiny, also for tests."),
        "{text}"
    );
    let json = desk.good(&["diff", "tiny", "same", "--json"]).json();
    assert_eq!(
        (&json["same_graph"], &json["same_run"]),
        (&true.into(), &true.into())
    );

    let text = desk.good(&["diff", "tiny", "--set", "train.seed=3"]).out;
    assert_eq!(
        text,
        "the same model, trained otherwise\n\ntrain.seed  0 → 3\n"
    );
}

#[test]
fn two_models_differ_in_numbers_and_weights() {
    let desk = Desk::new();
    let json = desk
        .good(&[
            "diff",
            "tiny",
            "--json",
            "--set",
            "model.encoder.depth=3",
            "--set",
            "data.size=64",
        ])
        .json();
    assert_eq!(json["same_graph"], false);
    let measure = |name: &str| {
        let all = json["measures"].as_array().expect("a list").iter();
        let one = all
            .clone()
            .find(|one| one["name"] == name)
            .expect("measured");
        (
            one["a"].as_u64().expect("a number"),
            one["b"].as_u64().expect("a number"),
        )
    };
    for name in [
        "parameters",
        "forward, per image",
        "memory of one image",
        "kernels",
    ] {
        let (a, b) = measure(name);
        assert!(a < b, "{name}: {a} {b}");
    }
    assert_eq!(measure("image side"), (48, 64));
    let weights = &json["weights"];
    let names = |list: &str| -> Vec<String> {
        let entries = weights[list].as_array().expect("a list").iter();
        entries
            .map(|one| one["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    // The table of positions grows with the grid; blocks come to be, and none goes.
    assert!(
        names("reshaped")
            .iter()
            .any(|name| name.contains("relative_position")),
        "{weights}"
    );
    assert!(
        names("added")
            .iter()
            .all(|name| name.starts_with("encoder.blocks.*.")),
        "{weights}"
    );
    assert_eq!((names("removed").len(), names("decay").len()), (0, 0));
    assert!(weights["kept"].as_u64() > Some(20));

    let text = desk.good(&["diff", "swin_b", "vit_b"]).out;
    for piece in [
        "two models",
        "model.encoder.graph",
        "swin.encoder → vit.encoder",
        "parameters",
        "only in A",
        "only in B",
        "%",
    ] {
        assert!(text.contains(piece), "no `{piece}` in\n{text}");
    }
    assert!(text.lines().count() < 100, "{text}");
}

#[test]
fn a_mistake_in_either_is_told() {
    let desk = Desk::new();
    for names in [["tiny", "nowhere"], ["nowhere", "tiny"]] {
        let said = desk.mimc(&["diff", names[0], names[1]]);
        assert_eq!(said.code, Some(1));
        assert!(said.err.contains("nowhere"), "{}", said.err);
    }
}

//! `mimc verify`

use super::{Desk, fixture};

#[test]
fn a_model_that_agrees_passes_and_one_limit_too_tight_fails() {
    let desk = Desk::new();
    let (recipe, numbers) = (fixture("vit_ape.yaml"), fixture("vit_ape.safetensors"));
    let verify = ["verify", &recipe, "--reference", &numbers];
    let table = desk.good(&verify).out;
    for check in [
        "loss",
        "activations",
        "gradients",
        "trajectory",
        "gradient-norms",
        "final",
        "no-decay",
    ] {
        let line = table
            .lines()
            .find(|line| line.starts_with(&format!("{check} ")));
        let line = line.unwrap_or_else(|| panic!("{check} in\n{table}"));
        assert!(line.contains(" ok"), "{line}");
    }

    let json = desk.good(&[&verify[..], &["--json"]].concat()).json();
    assert_eq!(json["passes"], true);
    assert!(json["rows"].as_array().is_some_and(|rows| rows.len() >= 8));

    let tight = desk.mimc(&[&verify[..], &["--tolerance", "final=0"]].concat());
    assert_eq!(tight.code, Some(1));
    let line = tight.out.lines().find(|line| line.starts_with("final "));
    assert!(
        line.is_some_and(|line| line.contains("FAIL")),
        "{}",
        tight.out
    );
    assert_eq!(tight.out.matches("FAIL").count(), 1);
}

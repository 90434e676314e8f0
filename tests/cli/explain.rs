//! `mimc explain`, `mimc completions`, `mimc man`

use super::Desk;

#[test]
fn graphs_builtins_keys_and_codes_are_explained_without_a_recipe() {
    let desk = Desk::new();
    let cases: [(&str, &[&str]); 6] = [
        (
            "nn.layer_norm",
            &["graphs/nn/layer_norm.yaml", "doc:", "steps:"],
        ),
        ("softmax", &["softmax(x, pattern"]),
        (
            "train.optimizer.eps",
            &["1e-8", "keeps the division away from zero"],
        ),
        (
            "train.schedule",
            &["train.schedule.name", "train.schedule.base_lr"],
        ),
        ("unknown-key", &["unknown-key"]),
        ("memory", &["needs more memory"]),
    ];
    for (name, pieces) in cases {
        let told = desk.good(&["explain", name]).out;
        for piece in pieces {
            assert!(told.contains(piece), "{name}: no `{piece}` in\n{told}");
        }
    }
    // The graphs at hand go before those built in.
    desk.write("graphs/nn/layer_norm.yaml", "doc: Mine.\n");
    let said = desk.mimc(&["explain", "nn.layer_norm"]);
    assert!(
        said.out.contains("Mine.") || said.err.contains("layer_norm"),
        "{}{}",
        said.out,
        said.err
    );
}

#[test]
fn parts_of_a_model_show_steps_shapes_weights_and_kernels() {
    let desk = Desk::new();
    let path = "encoder.blocks.1.attn";
    let told = desk.good(&["explain", path, "--recipe", "tiny"]).out;
    for piece in [
        "encoder.blocks.1.attn  of tiny",
        "graphs/vit/attention.yaml",
        "step",
        "softmax(",
        "qkv.weight",
        "[72, 24]",
        "forward",
        "backward",
        "attention'",
    ] {
        assert!(told.contains(piece), "no `{piece}` in\n{told}");
    }
    let weight = desk
        .good(&["explain", "encoder.mask_token", "--recipe", "tiny"])
        .out;
    assert!(
        weight.contains("24 parameters, decays, begins as normal(0.02)"),
        "{weight}"
    );

    // Of the recipe compiled last.
    let said = desk.mimc(&["explain", path]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("--recipe"), "{}", said.err);
    desk.good(&["compile", "tiny"]);
    assert_eq!(desk.good(&["explain", path]).out, told);
    let more = desk
        .good(&["explain", path, "--set", "model.encoder.heads=2"])
        .out;
    assert!(more.contains("encoder.blocks.1.attn  of tiny") && more != told);
}

#[test]
fn a_slip_gets_the_nearest_name() {
    let said = Desk::new().mimc(&["explain", "nn.layernorm"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("did you mean `nn.layer_norm`?"),
        "{}",
        said.err
    );
}

#[test]
fn shells_and_manuals_know_every_verb() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = desk.good(&["completions", shell]).out;
        let asks = ["mimc", "MIMC_COMPLETE", shell];
        assert!(
            asks.iter().all(|word| script.contains(word)),
            "{shell}: {script}"
        );
    }
    let page = desk.good(&["man"]).out;
    assert!(
        page.starts_with(".ie") || page.contains(".TH mimc"),
        "{page}"
    );
    desk.good(&["man", "--output", "pages"]);
    let pages = desk.list("pages");
    for page in ["mimc.1", "mimc-run.1", "mimc-masks.1"] {
        assert!(
            pages.iter().any(|known| known == page),
            "{page} in {pages:?}"
        );
    }
    assert!(desk.read("pages/mimc-run.1").contains("resume"));
}

/// What a shell is offered for the last of some words.
fn offered(desk: &Desk, words: &[&str]) -> Vec<String> {
    let words = [&["--", "mimc"], words].concat();
    let mut command = desk.command(&words);
    command.env("MIMC_COMPLETE", "bash").env("_CLAP_IFS", "\n");
    let index = (words.len() - 2).to_string();
    let output = command.env("_CLAP_COMPLETE_INDEX", index).output();
    let said = super::Said::from(output.expect("the program starts"));
    said.out.lines().map(str::to_owned).collect()
}

#[test]
fn shells_are_offered_verbs_recipes_keys_and_words() {
    let desk = Desk::new();
    let set = |text: &str| offered(&desk, &["compile", "tiny", "--set", text]);
    assert_eq!(set("train.optimizer.e"), ["train.optimizer.eps="]);
    assert_eq!(
        set("train.precision="),
        [
            "train.precision=auto",
            "train.precision=f32",
            "train.precision=bf16"
        ]
    );
    assert!(set("model.masking.").contains(&"model.masking.ratio=".to_owned()));
    assert!(set("nothing").is_empty());
    let recipes = offered(&desk, &["run", ""]);
    for name in ["tiny", "quickstart", "vit_b"] {
        assert!(
            recipes.iter().any(|offer| offer == name),
            "{name} in {recipes:?}"
        );
    }
    assert!(offered(&desk, &["comp"]).contains(&"compile".to_owned()));
}

//! `mimc new`

use super::Desk;
use mimc::{language::library::Library, recipe::Recipe};

#[test]
fn a_recipe_begins_as_another_and_compiles() {
    let desk = Desk::new();
    let said = desk.good(&["new", "mine"]).out;
    assert!(said.starts_with("recipes/mine.yaml\n"), "{said}");
    let text = desk.read("recipes/mine.yaml");
    assert!(
        text.contains("doc: mine, as quickstart is") && text.contains("picture_every: 100"),
        "{text}"
    );
    desk.good(&["compile", "mine"]);
    let recipe = |name: &str| {
        let path = desk.path(&format!("recipes/{name}.yaml"));
        Recipe::load(path.to_str().expect("a plain path"), &[]).expect("sound")
    };
    let quickstart = Recipe::load("quickstart", &[]).expect("sound");
    assert_eq!(recipe("mine").model, quickstart.model);

    desk.good(&[
        "new",
        "other",
        "--like",
        "tiny",
        "--encoder",
        "swin.encoder",
        "--size",
        "small",
    ]);
    let text = desk.read("recipes/other.yaml");
    assert!(
        text.contains("# Params of swin.encoder:") && text.contains("attention heads per stage"),
        "{text}"
    );
    assert!(
        text.contains("encoder: { graph: swin.encoder, dim: 48, depths: [2, 2, 2]"),
        "{text}"
    );
    assert_eq!(recipe("other").data, recipe("tiny").data);
    desk.good(&["run", "other", "--steps", "1"]);
}

#[test]
fn every_preset_of_every_encoder_is_a_model() {
    let desk = Desk::new();
    let library = Library::new(&[]);
    let mut count = 0;
    for name in library.names() {
        let graph = library.get(name).expect("sound");
        for preset in &graph.presets {
            let size = preset.name.value.as_str();
            let (like, recipe) = (
                if size == "small" {
                    "quickstart"
                } else {
                    "vit_b"
                },
                format!("{name}.{size}"),
            );
            // Windows divide 192.
            let like = if size != "small" && name.starts_with("swin") {
                "swin_b"
            } else {
                like
            };
            desk.good(&[
                "new",
                &recipe,
                "--like",
                like,
                "--encoder",
                name,
                "--size",
                size,
            ]);
            count += 1;
        }
    }
    assert!(count >= 8, "{count}");
}

#[test]
fn what_cannot_be_written_is_told_and_nothing_is() {
    let desk = Desk::new();
    let wrong: [(&[&str], i32, &str); 6] = [
        (&["tiny"], 1, "recipes/tiny.yaml is there already"),
        (&["../tiny"], 1, "is no name for a recipe"),
        (&["a", "--like", "nowhere"], 1, "nowhere"),
        (&["a", "--encoder", "vit.encodr"], 1, "vit.encoder"),
        (
            &["a", "--encoder", "vit.encoder", "--size", "smal"],
            1,
            "did you mean `small`?",
        ),
        // Without a preset its required params are missing, and the compiler says which.
        (&["a", "--encoder", "vit.encoder"], 1, "dim"),
    ];
    for (arguments, code, told) in wrong {
        let said = desk.mimc(&[&["new"], arguments].concat());
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(told), "{arguments:?}: {}", said.err);
    }
    assert_eq!(desk.list("recipes"), ["tiny.yaml"]);
}

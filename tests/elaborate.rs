//! What models become: the names, shapes and decay of their weights, and what their parts compute.

use mimc::{
    diagnostic::{Diagnostics, SourceFile},
    elaborate::{Elaborated, Setting, Weight, elaborate},
    ir::{meta, verify::verify},
    language::library::Library,
    masks,
    recipe::Recipe,
};
use std::fs;

fn model(name: &str, sets: &[&str]) -> Elaborated {
    let sets: Vec<_> = sets.iter().map(|set| set.to_string()).collect();
    elaborated(&Recipe::load(name, &sets).unwrap_or_else(|errors| panic!("{errors}")))
}

fn elaborated(recipe: &Recipe) -> Elaborated {
    let setting = Setting::training(2, recipe.data.size);
    let library = Library::new(&[]);
    let found = elaborate(&library, &recipe.model, &setting);
    let model = found.unwrap_or_else(|errors| panic!("{errors}"));
    verify(&model.graph).unwrap_or_else(|violation| panic!("{violation}"));
    model
}

/// A recipe of a tiny model, from its encoder and image size.
fn tiny(encoder: &str, unit: usize, size: usize) -> Elaborated {
    let text = format!(
        "model:\n  graph: simmim\n  encoder: {encoder}\n  masking: {{ graph: mask.given, unit: {unit} }}\n  \
         head: {{ graph: head.pixel_shuffle }}\n  loss: {{ graph: loss.masked_l1 }}\n\
         data: {{ images: synthetic, size: {size} }}\n"
    );
    let file = SourceFile::new("tiny.yaml", text);
    elaborated(&Recipe::parse(&file, "tiny", &[]).unwrap_or_else(|errors| panic!("{errors}")))
}

/// One line per weight, sorted: `encoder.norm.bias [64] no decay`.
fn listed(model: &Elaborated) -> String {
    let line = |weight: &Weight| {
        let decay = if weight.decay { "" } else { " no decay" };
        format!("{} {:?}{decay}\n", weight.name, weight.dims)
    };
    let mut lines: Vec<_> = model.weights.iter().map(line).collect();
    lines.sort();
    lines.concat()
}

/// The lists under `tests/weights` are those of the official implementation.
#[test]
fn weights_are_named_shaped_and_decayed_as_in_the_official_models() {
    let cases = [
        (
            "swin",
            "{ graph: swin.encoder, dim: 8, depths: [2, 2, 2, 2], heads: [1, 2, 4, 4], window: 6 }",
            (32, 96),
        ),
        (
            "swin_window4",
            "{ graph: swin.encoder, dim: 12, depths: [2, 2, 1], heads: [2, 3, 4], window: 4, patch: 2 }",
            (16, 64),
        ),
        (
            "vit_ape",
            "{ graph: vit.encoder, dim: 24, depth: 2, heads: 3, patch: 8, layer_scale: null, \
             absolute_position: true, relative_position: none }",
            (16, 48),
        ),
        (
            "vit_shared_rpb",
            "{ graph: vit.encoder, dim: 32, depth: 2, heads: 2, patch: 16, layer_scale: 0.1 }",
            (32, 64),
        ),
    ];
    for (name, encoder, (unit, size)) in cases {
        let official = fs::read_to_string(format!("tests/weights/{name}.txt"));
        let official = official.expect("the list is there");
        assert_eq!(listed(&tiny(encoder, unit, size)), official, "{name}");
    }
}

#[test]
fn swin_b_is_the_official_one() {
    let model = model("swin_b", &[]);
    assert_eq!(model.weights.len(), 330);
    assert_eq!(model.parameters(), 89_874_104);
    let parts: Vec<_> = model.parts().map(|p| (&*p.path, p.parameters)).collect();
    let own = [
        ("mask", 0),
        ("encoder", 86_725_304),
        ("decoder", 3_148_800),
        ("loss", 0),
    ];
    assert_eq!(parts, own);
    let without: Vec<_> = model.weights.iter().filter(|w| !w.decay).collect();
    assert!(
        without
            .iter()
            .all(|w| w.dims.len() == 1 || w.name == "encoder.mask_token")
    );
    assert_eq!(without.len(), 330 - 125, "all but matrices and bias tables");
}

#[test]
fn vit_b_is_the_official_one() {
    let model = model("vit_b", &[]);
    assert_eq!(model.weights.len(), 189);
    assert_eq!(model.parameters(), 86_256_720);
    let without: Vec<_> = model.weights.iter().filter(|w| !w.decay).collect();
    assert!(
        without
            .iter()
            .all(|w| w.dims.len() == 1 || w.name == "encoder.cls_token")
    );
    let matrices = model.weights.iter().filter(|w| w.dims.len() > 1).count();
    assert_eq!(
        without.len(),
        189 - (matrices - 1),
        "of the others only the class token"
    );
}

#[test]
fn no_recipe_is_doubtful() {
    for (name, _) in mimc::recipe::builtin() {
        let recipe = Recipe::load(&name, &[]).unwrap_or_else(|errors| panic!("{errors}"));
        let of_mask = masks::doubt(&recipe, &Library::new(&[])).expect("the passes are sound");
        let of_mask = Vec::from_iter(of_mask);
        let warnings = [recipe.warnings(), of_mask, elaborated(&recipe).warnings].concat();
        assert!(warnings.is_empty(), "{}", Diagnostics(warnings));
    }
}

#[test]
fn every_recipe_elaborates() {
    for (name, _) in mimc::recipe::builtin() {
        let model = model(&name, &[]);
        let roots: Vec<_> = meta(&model.graph)
            .roots
            .iter()
            .map(|r| r.name.as_str())
            .collect();
        assert_eq!(roots, ["loss", "decoder", "mask"], "{name}");
    }
}

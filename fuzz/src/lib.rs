//! What is fuzzed: everything that reads files of others. Each target takes any bytes; that it returns is the test.
//!
//!     cargo +nightly fuzz run graph        # from the root of the repository, with cargo-fuzz installed
//!
//! `tests/fuzz_corpus.rs` runs the same functions on the corpus and on mutations of it.

use mimc::{
    data::decode,
    diagnostic::{Diagnostic, Diagnostics, SourceFile, Span},
    elaborate::{Setting, elaborate},
    language::{expression, library::Library, pattern},
    recipe::Recipe,
    train::checkpoint::Checkpoint,
};
use std::{fs, str};

type Target = fn(&[u8]);

/// By the name of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("recipe", recipe),
    ("graph", graph),
    ("expression", expression),
    ("pattern", pattern),
    ("checkpoint", checkpoint),
    ("image", image),
];

/// A recipe, then its model; what the recipe resolves to is the same recipe again.
pub fn recipe(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    match Recipe::parse(&SourceFile::new("recipe.yaml", text), "recipe", &[]) {
        Ok(recipe) => {
            let resolved = SourceFile::new("resolved.yaml", recipe.to_yaml());
            let again = Recipe::parse(&resolved, "recipe", &[]).map_err(|e| e.to_string());
            assert_eq!(again.as_ref(), Ok(&recipe));
            assert!(recipe.warnings().iter().all(told));
            model(&recipe, &Library::new(&[]));
        }
        Err(errors) => assert_told(&errors),
    }
}

/// A graph file as the model of a recipe.
pub fn graph(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("one.yaml"), bytes).expect("a file in it");
    let text = "model: { graph: one }\ndata: { images: synthetic, size: 8 }\n";
    let recipe = Recipe::parse(&SourceFile::new("recipe.yaml", text), "recipe", &[]);
    let recipe = recipe.expect("this recipe is sound");
    model(&recipe, &Library::new(&[folder.path().to_owned()]));
}

fn model(recipe: &Recipe, library: &Library) {
    // Larger images make larger tables, and nothing that differs.
    let setting = Setting::training(2, recipe.data.size.min(64));
    match elaborate(library, &recipe.model, &setting) {
        Ok(model) => {
            let legal = mimc::ir::verify::verify(&model.graph);
            assert!(legal.is_ok(), "{legal:?}");
            assert!(model.warnings.iter().all(told));
        }
        Err(errors) => assert_told(&errors),
    }
}

/// An expression; what it is displayed as means the same.
pub fn expression(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    match expression::parse(&Span::of_text("expression", text)) {
        Ok(parsed) => {
            let shown = parsed.to_string();
            let again = expression::parse(&Span::of_text("shown", &shown));
            let again = again
                .map(|again| again.to_string())
                .map_err(|e| e.to_string());
            assert_eq!(again.as_deref(), Ok(shown.as_str()));
        }
        Err(errors) => assert_told(&errors),
    }
}

pub fn pattern(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let span = Span::of_text("pattern", text);
    let errors = [
        pattern::parse_side(&span).err(),
        pattern::parse_arrow(&span).err(),
        pattern::parse_einsum(&span).err(),
    ];
    errors.iter().flatten().for_each(assert_told);
}

/// The header of a checkpoint.
pub fn checkpoint(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("step_000001.safetensors");
    fs::write(&path, bytes).expect("a file in it");
    if let Err(error) = Checkpoint::open(&path) {
        assert!(!error.to_string().is_empty() && !error.help().is_empty());
    }
}

/// An image; a panic of a decoder is caught where it is called, and told as an error.
pub fn image(bytes: &[u8]) {
    match decode(bytes) {
        Ok((header, image)) => {
            assert!(header.width > 0 && header.height > 0);
            assert_eq!((header.width, header.height), image.dimensions());
        }
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
}

/// At least one error, each of which can be rendered.
fn assert_told(errors: &Diagnostics) {
    assert!(!errors.0.is_empty() && errors.0.iter().take(3).all(told));
}

fn told(message: &Diagnostic) -> bool {
    message.render(false).contains(message.code)
}

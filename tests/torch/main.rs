//! Emitted PyTorch modules: their text, and that PyTorch computes by them what mimc computes.

mod oracle;
mod start;

use mimc::{Library, Recipe, export::torch};
use std::path::{Path, PathBuf};

/// The graph files of these tests.
fn graphs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch/graphs")
}

fn loaded(name: &str, sets: &[&str]) -> Recipe {
    let sets: Vec<_> = sets.iter().map(|set| set.to_string()).collect();
    Recipe::load(name, &sets).unwrap_or_else(|errors| panic!("{name}: {errors}"))
}

fn emitted(recipe: &Recipe) -> String {
    torch(recipe, &Library::new(&[graphs()])).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn a_module_of_windows_reads_like_its_graph_files() {
    let sets = [
        "model.encoder.depths=[2, 2, 6]",
        "model.encoder.drop_path=0.1",
    ];
    insta::assert_snapshot!(emitted(&loaded("quickstart", &sets)));
}

#[test]
fn a_module_of_tokens_reads_like_its_graph_files() {
    insta::assert_snapshot!(emitted(&loaded("vit_s", &["model.encoder.dim=48"])));
}

#[test]
fn a_module_is_a_function_of_its_recipe() {
    let recipe = loaded("swin_t", &[]);
    assert_eq!(emitted(&recipe), emitted(&recipe));
}

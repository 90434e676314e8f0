//! What the shipped graphs and recipes say of a model: how weights start, which rates blocks have, what can be exchanged and
//! set.

mod encoders;
mod initial;
mod keys;
mod rates;

use mimc::{
    diagnostic::SourceFile,
    elaborate::{Elaborated, Setting, elaborate},
    language::library::Library,
    recipe::Recipe,
};

fn loaded(name: &str, sets: &[&str]) -> Recipe {
    let sets: Vec<_> = sets.iter().map(|set| set.to_string()).collect();
    Recipe::load(name, &sets).unwrap_or_else(|errors| panic!("{errors}"))
}

fn elaborated(recipe: &Recipe) -> Elaborated {
    let setting = Setting::training(2, recipe.data.size);
    let model = elaborate(&Library::new(&[]), &recipe.model, &setting);
    model.unwrap_or_else(|errors| panic!("{errors}"))
}

/// The text of a recipe, read as one.
fn parsed(text: &str, name: &str, sets: &[&str]) -> Recipe {
    let sets: Vec<_> = sets.iter().map(|set| set.to_string()).collect();
    let recipe = Recipe::parse(&SourceFile::new("test.yaml", text), name, &sets);
    recipe.unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

//! Recipes: one whole experiment on one screen, in plain YAML.

mod model;

pub use model::{GraphRef, Value};

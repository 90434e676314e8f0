//! `mimc schema`: what an editor needs to complete and check recipes.

use super::{Outcome, job::library, screen};
use clap::Args;
use std::process::ExitCode;

/// Print the JSON Schema of recipes, for editors to complete and check by
///
/// Made from the keys of a recipe and the params of the graphs, those in ./graphs among them. With
/// `mimc schema > recipes/schema.json`, the YAML extension of VS Code, and others that run its language server, take the
/// schema from a line at the top of a recipe:
///
/// `# yaml-language-server: $schema=schema.json`
#[derive(Args)]
pub struct Arguments {}

pub fn run(_: &Arguments) -> Outcome {
    screen::print_json(&mimc::schema::schema(&library())?)?;
    Ok(ExitCode::SUCCESS)
}

//! `mimc recipes`: what there is to train.

use super::{Outcome, failure::Failure, screen};
use clap::Args;
use mimc::{
    recipe::{Recipe, builtin, local},
    text::columns::{Align, columns},
};
use serde::Serialize;
use std::{collections::BTreeMap, path::Path, process::ExitCode};

/// List the built-in recipes and those in ./recipes
#[derive(Args)]
pub struct Arguments {
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    /// `recipes/mine.yaml`; nothing for a built-in one.
    path: Option<String>,
    doc: String,
    /// What is wrong with it, in place of its doc.
    error: Option<String>,
}

pub fn run(arguments: &Arguments) -> Outcome {
    let entries = entries()?;
    match arguments.json {
        true => screen::print_json(&entries)?,
        false => screen::print(table(&entries))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A file in ./recipes takes precedence over the built-in recipe of its name.
fn entries() -> Result<Vec<Entry>, Failure> {
    let mut entries = BTreeMap::new();
    for (name, doc) in builtin() {
        let entry = Entry {
            name: name.clone(),
            path: None,
            doc,
            error: None,
        };
        entries.insert(name, entry);
    }
    let names = local().map_err(|error| Failure::file("list", Path::new("recipes"), &error))?;
    for name in names {
        let path = format!("recipes/{name}.yaml");
        let (doc, error) = match Recipe::load(&path, &[]) {
            Ok(recipe) => (recipe.doc, None),
            Err(diagnostics) => {
                let first = diagnostics.0.first();
                (String::new(), first.map(|error| error.message.clone()))
            }
        };
        let entry = Entry {
            name: name.clone(),
            path: Some(path),
            doc,
            error,
        };
        entries.insert(name, entry);
    }
    Ok(entries.into_values().collect())
}

fn table(entries: &[Entry]) -> String {
    let row = |entry: &Entry| {
        let doc = match &entry.error {
            Some(error) => format!("(does not load: {error})"),
            None => entry.doc.lines().next().unwrap_or("").to_owned(),
        };
        let place = entry.path.clone().unwrap_or("built in".to_owned());
        vec![entry.name.clone(), place, doc]
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    columns(&[Align::Left; 3], &rows)
}

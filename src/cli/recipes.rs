//! `mimc recipes`: what there is to train.

use super::{Outcome, failure::Failure, screen};
use clap::Args;
use mimc::{
    recipe::{Recipe, builtin},
    text::columns::{Align, columns},
};
use serde::Serialize;
use std::{collections::BTreeMap, fs, io, path::Path, process::ExitCode};

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
    for name in local_names()? {
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

fn local_names() -> Result<Vec<String>, Failure> {
    let folder = Path::new("recipes");
    let failure = |error| Failure::file("list", folder, &error);
    let files = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        files => files.map_err(failure)?,
    };
    let mut names = Vec::new();
    for file in files {
        let path = file.map_err(failure)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            names.extend(
                path.file_stem()
                    .and_then(|stem| stem.to_str())
                    .map(str::to_owned),
            );
        }
    }
    Ok(names)
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

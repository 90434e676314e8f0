//! What a shell offers while a command is typed: recipes, and behind `--set` the keys that can be written.

use super::job::library;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};
use mimc::{
    language::library::Library,
    recipe::{FIELDS, Field, GraphRef, Kind, Recipe, Value, builtin, local},
};
use std::{collections::BTreeMap, ffi::OsStr};

/// The environment variable by which a script that [`completions`](super::shell::completions) printed asks for more.
pub const VARIABLE: &str = "MIMC_COMPLETE";

/// Those in ./recipes and those built in, with what they say of themselves; files as well.
pub fn recipes(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = local().unwrap_or_default().into_iter();
    let names = names.map(|name| (name, String::new()));
    let all: BTreeMap<String, String> = names.chain(builtin()).collect();
    let mut found: Vec<_> = all
        .into_iter()
        .filter(|(name, _)| begins(current, name))
        .map(|(name, doc)| told(name, &doc))
        .collect();
    found.extend(PathCompleter::file().complete(current));
    found
}

/// Every key of a recipe, and the params of the models that come with mimc; behind `=` the words that a key can be.
pub fn assignments(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(text) = current.to_str() else {
        return Vec::new();
    };
    if let Some((path, _)) = text.split_once('=') {
        let field = FIELDS.iter().find(|field| field.path == path);
        let words = field.map_or(Vec::new(), |field| words(field.kind));
        let values = words.into_iter().map(|word| format!("{path}={word}"));
        let values = values.filter(|value| value.starts_with(text));
        return values.map(CompletionCandidate::new).collect();
    }
    let fields = FIELDS.iter().filter(|field| field.kind != Kind::Model);
    let fields = fields.map(|Field { path, doc, .. }| ((*path).to_owned(), (*doc).to_owned()));
    let mut keys: BTreeMap<String, String> = fields.collect();
    let library = library();
    for (name, _) in builtin() {
        if let Ok(recipe) = Recipe::load(&name, &[]) {
            params("model", &recipe.model, &library, &mut keys);
        }
    }
    let keys = keys.into_iter().filter(|(key, _)| begins(current, key));
    keys.map(|(key, doc)| told(format!("{key}="), &doc))
        .collect()
}

/// What can be written for a key, where that is a few words.
fn words(kind: Kind) -> Vec<&'static str> {
    match kind {
        Kind::Bool => vec!["false", "true"],
        Kind::OneOf(choices) => choices.to_vec(),
        Kind::Maybe(kind) => [vec!["null"], words(*kind)].concat(),
        _ => Vec::new(),
    }
}

/// The params of a graph, and of those that fill its params.
fn params(path: &str, of: &GraphRef, library: &Library, keys: &mut BTreeMap<String, String>) {
    let Ok(file) = library.get(&of.graph.value) else {
        return;
    };
    for param in &file.params {
        let key = format!("{path}.{}", param.name.value);
        match of.param(&param.name.value).map(|given| &given.value) {
            Some(Value::Graph(inner)) => params(&key, inner, library, keys),
            _ => {
                let doc = param.doc.clone().unwrap_or_default();
                keys.entry(key).or_insert(doc);
            }
        }
    }
}

fn begins(current: &OsStr, name: &str) -> bool {
    current
        .to_str()
        .is_some_and(|current| name.starts_with(current))
}

fn told(word: String, doc: &str) -> CompletionCandidate {
    let doc = doc.lines().next().filter(|doc| !doc.is_empty());
    CompletionCandidate::new(word).help(doc.map(|doc| doc.to_owned().into()))
}

//! Recipes: one whole experiment on one screen, in plain YAML.
//!
//! ```text
//! file, --set -> tree of nodes -> values by the table FIELDS -> Recipe
//! ```

mod check;
mod doubts;
mod fields;
mod kind;
mod model;
mod origins;
mod reader;
mod set;
mod typed;

pub use fields::{FIELDS, Fallback, Field, Range, keys_under, markdown};
pub use kind::Kind;
pub use model::{GraphRef, Value};
pub use typed::{
    Crop, Data, Images, Optimizer, OptimizerName, Precision, Schedule, ScheduleName, Train,
};

use crate::{
    diagnostic::{Diagnostic, Diagnostics, Result, SourceFile, Span},
    language::yaml,
};
use include_dir::{Dir, include_dir};
use serde_yaml::{Mapping, Value as Yaml};
use std::{collections::HashMap, fs, io, path::Path, sync::Arc};

static BUILT_IN: Dir = include_dir!("$CARGO_MANIFEST_DIR/recipes");

/// A whole experiment, every key with its value. [`FIELDS`] lists the keys outside the model.
///
/// ```
/// use mimc::Recipe;
///
/// let recipe = Recipe::load("quickstart", &["train.batch=8".into(), "model.masking.ratio=0.75".into()])?;
/// assert_eq!(recipe.train.batch, 8);
///
/// let error = Recipe::load("quickstart", &["train.bacth=8".into()]).unwrap_err();
/// assert!(error.to_string().contains("did you mean `batch`?"));
/// # Ok::<(), mimc::Diagnostics>(())
/// ```
///
/// Fields may be written after it was read; [`Recipe::check`], and whatever compiles it, says whether they still make sense.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The name of its file without `.yaml`.
    pub name: String,
    /// What the experiment is, in words.
    pub doc: String,
    /// The top graph with its params.
    pub model: GraphRef,
    /// Images, and what is done to them.
    pub data: Data,
    /// Batch, optimizer, schedule, and what a run leaves.
    pub train: Train,
    /// Where the keys stand that were written.
    spans: HashMap<&'static str, Span>,
    /// What has settled a precision that was left open.
    settled: Option<&'static str>,
}

impl Recipe {
    /// Loads a path (anything with a `/` or ending in `.yaml`), `./recipes/NAME.yaml`, or the built-in recipe NAME, and
    /// writes each `PATH=VALUE` of `sets` into it.
    ///
    /// # Errors
    /// A recipe that is not there, and every mistake in it that shows without its graphs.
    pub fn load(name_or_path: &str, sets: &[String]) -> Result<Self> {
        Self::load_with(name_or_path, sets, |_| Vec::new())
    }

    /// As [`Recipe::load`], and reports what `check` has against the model together with the other mistakes.
    ///
    /// # Errors
    /// As [`Recipe::load`], and what `check` returns.
    pub fn load_with(
        name_or_path: &str,
        sets: &[String],
        check: impl FnOnce(&GraphRef) -> Vec<Diagnostic>,
    ) -> Result<Self> {
        let file = find(name_or_path)?;
        let stem = Path::new(name_or_path).file_stem();
        let name = stem.map_or(name_or_path.into(), |stem| stem.to_string_lossy());
        Self::parse_with(&file, &name, sets, check)
    }

    /// Parses a recipe that stands in no file; messages call it `NAME.yaml`.
    ///
    /// # Errors
    /// Every mistake in it that shows without its graphs.
    pub fn from_text(name: &str, text: &str) -> Result<Self> {
        Self::parse(&SourceFile::new(format!("{name}.yaml"), text), name, &[])
    }

    /// Parses the text of a recipe, and writes `sets` into it, as [`Recipe::load`] does.
    ///
    /// # Errors
    /// As [`Recipe::load`].
    pub fn parse(file: &Arc<SourceFile>, name: &str, sets: &[String]) -> Result<Self> {
        Self::parse_with(file, name, sets, |_| Vec::new())
    }

    fn parse_with(
        file: &Arc<SourceFile>,
        name: &str,
        sets: &[String],
        check: impl FnOnce(&GraphRef) -> Vec<Diagnostic>,
    ) -> Result<Self> {
        let mut root = yaml::parse(&Span::new(file, 0..file.text.len()))?;
        let mut found = Vec::new();
        for argument in sets {
            if let Err(errors) = set::set(&mut root, argument) {
                found.extend(errors.0);
            }
        }
        let mut values = reader::read(&root, &mut found);
        let (data, train) = (values.take("data"), values.take("train"));
        found.extend(check::check(&data, &train, &values));
        found.extend(values.model.as_ref().map(check).unwrap_or_default());
        match values.model.take() {
            Some(model) if found.is_empty() => Ok(Recipe {
                name: name.to_owned(),
                doc: values.take("doc"),
                model,
                data,
                train,
                spans: values.spans,
                settled: None,
            }),
            _ => Err(Diagnostics(found).in_order()),
        }
    }

    /// Whether the recipe says what a file could say: types and ranges, and the rules between keys.
    ///
    /// # Errors
    /// Every mistake, pointing into [`Recipe::to_yaml`].
    pub fn check(&self) -> Result<()> {
        let file = SourceFile::new(format!("{} (resolved)", self.name), self.to_yaml());
        Self::parse(&file, &self.name, &[]).map(drop)
    }

    /// Puts a precision where the recipe says `auto`, and tells whether it does; `by` is what asks for it, `cuda`.
    pub fn settle(&mut self, precision: Precision, by: &'static str) -> bool {
        let open = self.train.precision.is_none();
        if open {
            self.train.precision = Some(precision);
            self.settled = Some(by);
        }
        open
    }

    /// What is legal and doubtful.
    pub fn warnings(&self) -> Vec<Diagnostic> {
        doubts::doubts(self)
    }

    /// Where a key stands, `train.batch`; nothing for one left to its default.
    pub fn span(&self, path: &str) -> Option<&Span> {
        self.spans.get(path)
    }

    /// The resolved recipe: every key with its value, the same bytes everywhere. It parses back to an equal recipe.
    pub fn to_yaml(&self) -> String {
        let mut root = Mapping::new();
        root.insert("doc".into(), self.doc.clone().into());
        root.insert("model".into(), self.model.to_yaml());
        for (key, part) in [
            ("data", serde_yaml::to_value(&self.data)),
            ("train", serde_yaml::to_value(&self.train)),
        ] {
            let part = part.expect("structs of numbers and texts are always YAML");
            root.insert(key.into(), plain_numbers(part));
        }
        serde_yaml::to_string(&root).expect("a tree of plain values is always YAML")
    }
}

/// Equal recipes say the same; where they say it does not matter.
impl PartialEq for Recipe {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.doc == other.doc
            && self.model == other.model
            && self.data == other.data
            && self.train == other.train
    }
}

/// The recipes inside the binary with their `doc`, by name.
pub fn builtin() -> Vec<(String, String)> {
    let files = BUILT_IN.files().filter_map(|file| {
        let name = file.path().file_stem()?.to_str()?;
        let recipe = Recipe::parse(&built_in(name)?, name, &[]);
        Some((name.to_owned(), recipe.ok()?.doc))
    });
    let mut recipes: Vec<_> = files.collect();
    recipes.sort();
    recipes
}

/// The names of the recipes in `./recipes`, sorted; none without such a folder.
///
/// # Errors
/// The folder is there and cannot be listed.
pub fn local() -> io::Result<Vec<String>> {
    let files = match fs::read_dir("recipes") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        files => files?,
    };
    let mut names = Vec::new();
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            names.extend(path.file_stem().and_then(|s| s.to_str()).map(str::to_owned));
        }
    }
    names.sort();
    Ok(names)
}

fn built_in(name: &str) -> Option<Arc<SourceFile>> {
    let path = format!("{name}.yaml");
    let text = BUILT_IN.get_file(&path)?.contents_utf8()?;
    Some(SourceFile::new(format!("recipes/{path}"), text))
}

fn find(name_or_path: &str) -> Result<Arc<SourceFile>> {
    if name_or_path.contains(['/', '\\']) || name_or_path.ends_with(".yaml") {
        return yaml::read(Path::new(name_or_path), name_or_path);
    }
    let near = format!("recipes/{name_or_path}.yaml");
    if Path::new(&near).is_file() {
        return yaml::read(Path::new(&near), &near);
    }
    built_in(name_or_path).ok_or_else(|| {
        // A folder that cannot be listed hides no built-in recipe.
        let mut names = local().unwrap_or_default();
        names.extend(builtin().into_iter().map(|(name, _)| name));
        let message = format!("there is no recipe `{name_or_path}`");
        Diagnostic::error("unknown-recipe", message)
            .help(format!("give a path, or one of {}", names.join(", ")))
            .suggest(name_or_path, names.iter().map(String::as_str))
            .into()
    })
}

/// Numbers as a person writes them: 100, not 100.0. The table knows which are whole.
fn plain_numbers(value: Yaml) -> Yaml {
    match value {
        Yaml::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                (float as i64).into()
            }
            _ => Yaml::Number(number),
        },
        Yaml::Sequence(items) => items.into_iter().map(plain_numbers).collect(),
        Yaml::Mapping(entries) => {
            let plain = entries
                .into_iter()
                .map(|(key, value)| (key, plain_numbers(value)));
            Yaml::Mapping(plain.collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;

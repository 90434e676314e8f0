//! `mimc new`: a recipe of one's own, to be edited.

use super::{Outcome, failure::Failure, job::library, screen};
use clap::Args;
use mimc::{
    compile::{Options, compile, load},
    diagnostic::{Span, nearest},
    language::graph_file::{GraphFile, Preset},
    recipe::{Recipe, Value},
    train::{disk::RealDisk, replace::replace},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Write a recipe of your own, which compiles, into ./recipes
///
/// It begins as another recipe, with another encoder if one is named, and tells the params of that encoder in comments.
#[derive(Args)]
pub struct Arguments {
    /// What it is called: recipes/NAME.yaml, which must not be there yet
    #[arg(value_name = "NAME")]
    name: String,
    /// The recipe it begins as
    #[arg(long, value_name = "RECIPE", default_value = "quickstart")]
    like: String,
    /// The graph of the encoder, such as `mimc explain vit.encoder` shows
    #[arg(long, value_name = "GRAPH")]
    encoder: Option<String>,
    /// A preset of that graph: small, tiny, base, large
    #[arg(long, value_name = "PRESET", requires = "encoder")]
    size: Option<String>,
}

/// The param of a model that is its encoder.
const ENCODER: &str = "encoder";

pub fn run(arguments: &Arguments) -> Outcome {
    let path = target(&arguments.name)?;
    let library = library();
    let base = load(&arguments.like, &[], &library)?;
    let mut edits = vec![(
        doc(&base),
        format!("{}, as {} is", arguments.name, arguments.like),
    )];
    let mut told = String::new();
    if let Some(name) = &arguments.encoder {
        let graph = library.get(name)?;
        let values = match &arguments.size {
            Some(size) => preset(&graph, size)?.values.clone(),
            None => Vec::new(),
        };
        let pairs = values
            .iter()
            .map(|(param, value)| format!(", {}: {}", param.value, value.text()));
        let written = format!("{{ graph: {name}{} }}", pairs.collect::<String>());
        edits.push((encoder(&base)?.clone(), written));
        told = params(&graph);
    }
    let text = header(&base, told) + &edited(&base, edits);
    // What does not compile is not written.
    let recipe = parsed(&path, &text)?;
    compile(
        &recipe,
        &library,
        &Options {
            micro_batch: Some(1),
            ..Options::default()
        },
    )?;
    fs::create_dir_all("recipes")
        .and_then(|()| replace(&RealDisk, &path, |file| file.write_all(text.as_bytes())))
        .map_err(|error| Failure::file("write", &path, &error))?;
    let (shown, name) = (path.display(), &arguments.name);
    screen::print(format_args!(
        "{shown}\nnext  mimc compile {name}, mimc run {name}\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Where the recipe goes.
fn target(name: &str) -> Result<PathBuf, Failure> {
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        let message = format!("`{name}` is no name for a recipe");
        let help = "letters, digits, - and _: it becomes recipes/NAME.yaml";
        return Err(Failure::new("name", message, Some(help.into())));
    }
    let path = Path::new("recipes").join(format!("{name}.yaml"));
    if path.exists() {
        let message = format!("{} is there already", path.display());
        return Err(Failure::new(
            "name",
            message,
            Some("give another name, or remove it".into()),
        ));
    }
    Ok(path)
}

fn preset<'g>(graph: &'g GraphFile, size: &str) -> Result<&'g Preset, Failure> {
    let names = || {
        graph
            .presets
            .iter()
            .map(|preset| preset.name.value.as_str())
    };
    let found = graph
        .presets
        .iter()
        .find(|preset| preset.name.value == size);
    found.ok_or_else(|| {
        let message = format!("{} has no preset `{size}`", graph.name);
        let all: Vec<&str> = names().collect();
        let help = match (nearest(size, names()), all.is_empty()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, true) => "it has none; set its params in the recipe".to_owned(),
            (None, false) => format!("its presets are {}", all.join(", ")),
        };
        Failure::new("name", message, Some(help))
    })
}

/// Where a recipe says what it is; its start where it says nothing.
fn doc(base: &Recipe) -> Span {
    let file = &base.model.span.file;
    base.span("doc").cloned().unwrap_or(Span::new(file, 0..0))
}

fn encoder(base: &Recipe) -> Result<&Span, Failure> {
    match base
        .model
        .param(ENCODER)
        .map(|param| (&param.value, &param.span))
    {
        Some((Value::Graph(_), span)) => Ok(span),
        _ => {
            let message = format!("the model of {} has no encoder to exchange", base.name);
            Err(Failure::new("compile", message, None))
        }
    }
}

/// The text of the base with some pieces exchanged.
fn edited(base: &Recipe, mut edits: Vec<(Span, String)>) -> String {
    let mut text = base.model.span.file.text.to_string();
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.range.start));
    for (span, written) in edits {
        let written = match span.range.is_empty() {
            true => format!("doc: {written}\n"),
            false => written,
        };
        text.replace_range(span.range, &written);
    }
    text
}

fn header(base: &Recipe, params: String) -> String {
    format!(
        "# Begun as {}. Every other key has a default: `mimc explain data`, `mimc explain train`.\n{params}\n",
        base.name
    )
}

/// The params of a graph as comments.
fn params(graph: &GraphFile) -> String {
    let mut text = format!("#\n# Params of {}:\n", graph.name);
    for param in &graph.params {
        let doc = param.doc.as_deref().unwrap_or("");
        let default = match &param.default {
            Some(default) => format!(", {} unless given", default.span.text()),
            None => String::new(),
        };
        text += &format!(
            "#   {:<18} {}{default}{}{doc}\n",
            param.name.value,
            param.kind,
            if doc.is_empty() { "" } else { ": " }
        );
    }
    text
}

fn parsed(path: &Path, text: &str) -> Result<Recipe, Failure> {
    let file = mimc::diagnostic::SourceFile::new(path.display().to_string(), text);
    let name = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or("recipe");
    Ok(Recipe::parse(&file, name, &[])?)
}

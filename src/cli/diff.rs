//! `mimc diff`: what an edited line really changes.

use super::{Outcome, arguments::Sets, complete, job::library, screen};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use mimc::{
    backend,
    compare::{Comparison, Entry, Measure, Unit, compare},
    compile::{Options, Program, compile, load},
    recipe::Recipe,
    text::{
        columns::{Align, columns, fitted},
        units::{bytes, flops, grouped},
    },
};
use serde::Serialize;
use std::process::ExitCode;

/// Tell what really differs between two recipes once both are compiled
///
/// Keys, parameters, compute, memory, kernels, and what a checkpoint of A is to B. Recipes that say the same in other words
/// are told to be the same. Exit code 0 either way.
#[derive(Args)]
pub struct Arguments {
    /// A path, a name in ./recipes, or a built-in name
    #[arg(value_name = "A", add = ArgValueCompleter::new(complete::recipes))]
    a: String,
    /// The other; A itself where only --set differs
    #[arg(value_name = "B", add = ArgValueCompleter::new(complete::recipes))]
    b: Option<String>,
    /// Of B alone
    #[command(flatten)]
    sets: Sets,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    a: &'a str,
    b: &'a str,
    #[serde(flatten)]
    comparison: &'a Comparison,
}

pub fn run(arguments: &Arguments) -> Outcome {
    let b = arguments.b.as_ref().unwrap_or(&arguments.a);
    let first = compiled(&arguments.a, &[])?;
    let second = compiled(b, &arguments.sets.sets)?;
    let comparison = compare((&first.0, &first.1), (&second.0, &second.1));
    match arguments.json {
        true => screen::print_json(&Document {
            a: &arguments.a,
            b,
            comparison: &comparison,
        })?,
        false => screen::print(told(&comparison))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn compiled(name: &str, sets: &[String]) -> Result<(Recipe, Program), super::Failure> {
    let library = library();
    let mut recipe = load(name, sets, &library)?;
    // As it would be trained here.
    let here = backend::auto().backend;
    recipe.settle(here.precision(), here.name());
    let options = Options {
        micro_batch: Some(1),
        listings: true,
        ..Options::default()
    };
    let program = compile(&recipe, &library, &options)?;
    Ok((recipe, program))
}

fn told(comparison: &Comparison) -> String {
    let head = match (comparison.same_run, comparison.same_graph) {
        (true, _) => "the same model, trained alike\n",
        (false, true) => "the same model, trained otherwise\n",
        (false, false) => "two models\n",
    };
    let mut sections = vec![head.to_owned(), settings(comparison)];
    if !comparison.same_graph {
        sections.push(measures(&comparison.measures));
        sections.push(weights(comparison));
    }
    sections.retain(|section| !section.is_empty());
    sections.join("\n")
}

fn settings(comparison: &Comparison) -> String {
    let value = |of: &Option<String>| of.clone().unwrap_or("–".into());
    let row = |setting: &mimc::compare::Setting| {
        vec![
            setting.key.clone(),
            format!("{} → {}", value(&setting.a), value(&setting.b)),
        ]
    };
    columns(
        &[Align::Left; 2],
        &comparison.settings.iter().map(row).collect::<Vec<_>>(),
    )
}

fn measures(measures: &[Measure]) -> String {
    use Align::{Left, Right};
    let number = |of: u64, unit: Unit| match unit {
        Unit::Count => grouped(of as usize),
        Unit::Bytes => bytes(of),
        Unit::Flops => flops(of),
    };
    let row = |measure: &Measure| {
        let &Measure { name, unit, a, b } = measure;
        let more = match (a, b) {
            _ if a == b => "same".to_owned(),
            (0, _) => String::new(),
            _ => format!("{:+.1} %", 100.0 * (b as f64 / a as f64 - 1.0)),
        };
        vec![name.to_owned(), number(a, unit), number(b, unit), more]
    };
    let header = ["", "A", "B", ""].map(str::to_owned).to_vec();
    let rows: Vec<_> = [header]
        .into_iter()
        .chain(measures.iter().map(row))
        .collect();
    columns(&[Left, Right, Right, Right], &rows)
}

fn weights(comparison: &Comparison) -> String {
    let weights = &comparison.weights;
    let kept = format!(
        "a checkpoint of A fills {} weights of B as they are, {} parameters\n",
        grouped(weights.kept),
        grouped(weights.kept_parameters)
    );
    let groups = [
        ("other shape", &weights.reshaped),
        ("only in A", &weights.removed),
        ("only in B", &weights.added),
        ("other decay", &weights.decay),
    ];
    let group = |(what, entries): (&str, &Vec<Entry>)| match entries.is_empty() {
        true => String::new(),
        false => {
            let rows: Vec<_> = entries.iter().map(row).collect();
            format!("{what}\n{}", columns(&[Align::Left; 3], &fitted(rows)))
        }
    };
    kept + &groups.map(group).concat()
}

fn row(entry: &Entry) -> Vec<String> {
    let shape = match (&entry.a, &entry.b) {
        (Some(a), Some(b)) if a != b => format!("{a:?} → {b:?}"),
        (Some(dims), _) | (None, Some(dims)) => format!("{dims:?}"),
        (None, None) => String::new(),
    };
    let shape = match entry.other_shapes {
        true => format!("{shape} …"),
        false => shape,
    };
    let count = match entry.count {
        1 => String::new(),
        many => format!("×{many}"),
    };
    vec![format!("  {}", entry.name), count, shape]
}

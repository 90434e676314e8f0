//! `mimc verify`: a recipe against the numbers of another implementation.

use super::{
    Outcome,
    arguments::{BackendArgument, Sets, settle},
    complete,
    job::library,
    screen,
};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use mimc::{
    compile::load,
    text::columns::{Align, columns},
    verify::{Reference, Report, Row, Tolerance, Tolerances, verify},
};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Compare a model with the numbers of another implementation
///
/// Loads the file's weights, feeds its images and masks, and compares the loss, activations, gradients, the first
/// optimizer steps, the weights behind them, and which weights do not decay. The recipe's masks must be given:
/// `masking: { graph: mask.given, unit: 32 }`. Batch and image size come from the file.
#[derive(Args)]
pub struct Arguments {
    /// A path, a name in ./recipes, or a built-in name
    #[arg(value_name = "RECIPE", add = ArgValueCompleter::new(complete::recipes))]
    recipe: String,
    /// The numbers: weights, images, masks, and what came of them
    #[arg(long, value_name = "FILE.safetensors")]
    reference: PathBuf,
    /// Tolerate more or less: gradients=1e-4
    ///
    /// The limits of trajectory, gradient-norms and final suit about ten optimizer steps. Rounding grows with every step:
    /// behind forty, the losses of PyTorch in f32 are 3.5e-4 off its own in f64. Give a longer file limits of its own, or
    /// make it shorter.
    #[arg(long = "tolerance", value_name = "CHECK=LIMIT")]
    tolerances: Vec<Tolerance>,
    #[command(flatten)]
    backend: BackendArgument,
    #[command(flatten)]
    sets: Sets,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    recipe: &'a str,
    reference: &'a Path,
    backend: &'a str,
    passes: bool,
    #[serde(flatten)]
    report: &'a Report,
}

pub fn run(arguments: &Arguments) -> Outcome {
    let mut reference = Reference::open(&arguments.reference)?;
    let sets = [&arguments.sets.sets[..], &reference.sets()].concat();
    let library = library();
    let mut recipe = load(&arguments.recipe, &sets, &library)?;
    let backend = arguments.backend.chosen();
    settle(&mut recipe, backend);
    let mut tolerances = Tolerances::default();
    for &tolerance in &arguments.tolerances {
        tolerances.set(tolerance);
    }
    let report = verify(&recipe, &library, backend, &mut reference, &tolerances)?;
    match arguments.json {
        true => screen::print_json(&Document {
            recipe: &recipe.name,
            reference: &arguments.reference,
            backend: backend.name(),
            passes: report.passes(),
            report: &report,
        })?,
        false => screen::print(table(&report))?,
    }
    Ok(ExitCode::from(u8::from(!report.passes())))
}

fn table(report: &Report) -> String {
    use Align::{Left, Right};
    let header = ["check", "worst", "limit", "", "where"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(report.rows.iter().map(row));
    for check in &report.absent {
        let name = check.info().name.to_owned();
        rows.push(vec![
            name,
            "–".into(),
            "–".into(),
            "–".into(),
            "not in the file".into(),
        ]);
    }
    columns(&[Left, Right, Right, Left, Left], &rows)
}

fn row(row: &Row) -> Vec<String> {
    let number = |value: f64| match value {
        0.0 => "0".to_owned(),
        value => format!("{value:.1e}"),
    };
    vec![
        row.check.info().name.to_owned(),
        number(row.worst),
        number(row.limit),
        if row.passes() { "ok" } else { "FAIL" }.to_owned(),
        row.place.clone(),
    ]
}

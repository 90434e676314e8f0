//! `mimc inspect`: what a checkpoint holds.

use super::{Outcome, failure::Failure, screen};
use clap::Args;
use mimc::{
    diagnostic::SourceFile,
    inspect::{Inspection, Numbers, inspect},
    recipe::Recipe,
    text::{
        columns::{Align, columns},
        units::grouped,
    },
    train::checkpoint::{self, Checkpoint},
};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Tell what a checkpoint holds: where its run stood, and every weight in numbers
///
/// Fails where a weight or a moment is not finite.
#[derive(Args)]
pub struct Arguments {
    /// A checkpoint, or the folder of a run: then its latest sound one
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,
    /// List the weights whose names begin so; all of them without a PREFIX
    #[arg(long, value_name = "PREFIX", num_args = 0..=1, default_missing_value = "")]
    weights: Option<String>,
    /// Print the recipe it was trained by, every key, and nothing else
    #[arg(long, conflicts_with_all = ["weights", "json"])]
    recipe: bool,
    /// Print a JSON document
    #[arg(long, conflicts_with = "weights")]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    checkpoint: &'a Path,
    #[serde(flatten)]
    inspection: &'a Inspection,
}

pub fn run(arguments: &Arguments) -> Outcome {
    let mut checkpoint = open(&arguments.checkpoint)?;
    if arguments.recipe {
        screen::print(&checkpoint.state().recipe)?;
        return Ok(ExitCode::SUCCESS);
    }
    let inspection = inspect(&mut checkpoint)?;
    let path = checkpoint.path();
    match (&arguments.weights, arguments.json) {
        (_, true) => screen::print_json(&Document {
            checkpoint: path,
            inspection: &inspection,
        })?,
        (Some(prefix), _) => screen::print(weights(&inspection, prefix)?)?,
        (None, _) => screen::print(told(path, &inspection))?,
    }
    Ok(ExitCode::from(u8::from(inspection.not_finite > 0)))
}

/// A file, or the latest sound one of a run or of a folder of checkpoints; what is damaged there is told.
pub fn open(path: &Path) -> Result<Checkpoint, Failure> {
    if path.is_file() {
        return Ok(Checkpoint::open(path)?);
    }
    for folder in [path.join("checkpoints"), path.to_owned()] {
        if let Some((checkpoint, damaged)) = checkpoint::latest(&folder)? {
            for error in damaged {
                screen::warn(format_args!("passed over a damaged checkpoint: {error}"));
            }
            return Ok(checkpoint);
        }
    }
    let message = match path.is_dir() {
        true => format!("{} holds no checkpoints", path.display()),
        false => format!("there is no file or folder {}", path.display()),
    };
    let help = "a run writes them to runs/NAME/checkpoints/step_….safetensors";
    Err(Failure::new("file", message, Some(help.into())))
}

fn told(path: &Path, inspection: &Inspection) -> String {
    let state = &inspection.state;
    let file = SourceFile::new("recipe.yaml", state.recipe.as_str());
    // A recipe of another version may not parse any more; its text is still there to be read.
    let doc = Recipe::parse(&file, "recipe", &[]).map_or(String::new(), |recipe| recipe.doc);
    let loss = inspection
        .loss
        .map_or(String::new(), |loss| format!(", loss {loss:.4}"));
    let not_finite = match inspection.not_finite {
        0 => "none".to_owned(),
        some => {
            let named = inspection.weights.iter().filter(|w| w.not_finite > 0);
            let names: Vec<&str> = named.map(|w| w.name.as_str()).take(3).collect();
            format!("{} numbers, in {}", grouped(some), names.join(", "))
        }
    };
    let largest = inspection
        .weights
        .iter()
        .max_by(|a, b| a.largest.total_cmp(&b.largest));
    let facts = [
        (
            "checkpoint",
            format!("{}, whole by its checksum", path.display()),
        ),
        ("recipe", doc.lines().next().unwrap_or("").to_owned()),
        ("step", format!("{}{loss}", grouped(state.step as usize))),
        (
            "next",
            format!(
                "epoch {}, behind {} of its images",
                state.epoch,
                grouped(state.position)
            ),
        ),
        ("images", grouped(state.images)),
        (
            "batch",
            format!(
                "{} in micro-batches of {}, seed {}",
                state.batch, state.micro_batch, state.seed
            ),
        ),
        (
            "weights",
            format!(
                "{}, {} parameters",
                inspection.weights.len(),
                grouped(inspection.parameters)
            ),
        ),
        (
            "largest",
            largest.map_or(String::new(), |w| format!("{:.3} in {}", w.largest, w.name)),
        ),
        ("not finite", not_finite),
        (
            "graphs",
            state.graphs.keys().cloned().collect::<Vec<_>>().join(", "),
        ),
    ];
    let told = facts.into_iter().filter(|(_, fact)| !fact.is_empty());
    let rows: Vec<_> = told.map(|(key, fact)| vec![key.to_owned(), fact]).collect();
    columns(&[Align::Left; 2], &rows)
}

fn weights(inspection: &Inspection, prefix: &str) -> Result<String, Failure> {
    use Align::{Left, Right};
    let named = |weight: &&Numbers| weight.name.starts_with(prefix);
    let listed: Vec<&Numbers> = inspection.weights.iter().filter(named).collect();
    if listed.is_empty() {
        let message = format!("no weight's name begins with `{prefix}`");
        let first = inspection
            .weights
            .first()
            .map(|w| format!("the first is {}", w.name));
        return Err(Failure::new("checkpoint", message, first));
    }
    let header = [
        "weight",
        "shape",
        "mean",
        "deviation",
        "largest",
        "norm",
        "gradient",
        "",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(listed.into_iter().map(|weight| {
        let number = |value: f64| format!("{value:.2e}");
        let flaw = match weight.not_finite {
            0 => String::new(),
            some => format!("{some} not finite"),
        };
        vec![
            weight.name.clone(),
            format!("{:?}", weight.shape),
            number(weight.mean),
            number(weight.deviation),
            number(weight.largest),
            number(weight.norm),
            number(weight.gradient),
            flaw,
        ]
    }));
    Ok(columns(
        &[Left, Left, Right, Right, Right, Right, Right, Left],
        &rows,
    ))
}

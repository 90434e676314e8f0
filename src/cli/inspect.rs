//! `mimc inspect`: what a checkpoint holds.

use super::{Outcome, failure::Failure, screen};
use clap::Args;
use mimc::{
    diagnostic::{SourceFile, nearest},
    inspect::{Inspection, Numbers, inspect},
    recipe::Recipe,
    text::{
        columns::{Align, columns, fitted},
        units::grouped,
    },
    train::checkpoint::{self, Checkpoint, CheckpointError},
};
use serde::Serialize;
use std::{
    fs,
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
    let written = "`mimc run` writes checkpoints, to runs/NAME/checkpoints/step_….safetensors";
    if path.is_file() {
        return Checkpoint::open(path).map_err(|error| match error {
            // Most likely it never was one.
            CheckpointError::Read { .. } => Failure::new("checkpoint", error, Some(written.into())),
            other => other.into(),
        });
    }
    for folder in [path.join("checkpoints"), path.to_owned()] {
        if let Some((checkpoint, damaged)) = checkpoint::latest(&folder)? {
            for error in damaged {
                screen::warn(format_args!("passed over a damaged checkpoint: {error}"));
            }
            return Ok(checkpoint);
        }
    }
    let shown = path.display();
    let (message, place) = match path.is_dir() {
        true => (format!("{shown} holds no checkpoints"), path),
        false => (
            format!("there is no file or folder {shown}"),
            path.parent().unwrap_or(path),
        ),
    };
    let mut runs = [place, Path::new("runs")].map(runs).concat();
    runs.sort();
    runs.dedup();
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let names: Vec<String> = runs.iter().filter_map(|run| name(run)).collect();
    let near = nearest(
        &name(path).unwrap_or_default(),
        names.iter().map(String::as_str),
    );
    let near = near.and_then(|near| runs.iter().find(|run| run.ends_with(near)));
    let listed: Vec<String> = runs
        .iter()
        .take(8)
        .map(|run| run.display().to_string())
        .collect();
    let help = match near {
        Some(near) => format!("did you mean `{}`?", near.display()),
        None if runs.is_empty() => written.into(),
        None => format!("there are the runs {}", listed.join(", ")),
    };
    Err(Failure::new("file", message, Some(help)))
}

/// The folders of runs in a folder.
fn runs(folder: &Path) -> Vec<PathBuf> {
    let here = Path::new(".");
    let folder = if folder.as_os_str().is_empty() {
        here
    } else {
        folder
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let runs = entries
        .map(|entry| entry.path())
        .filter(|path| path.join("checkpoints").is_dir());
    runs.map(|path| path.strip_prefix(here).map_or(path.clone(), Path::to_owned))
        .collect()
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
        "gradient",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let mut part = "";
    for weight in listed {
        let (of, name) = split(&weight.name);
        if of != part {
            part = of;
            rows.push(vec![of.to_owned()]);
        }
        let number = |value: f64| format!("{value:.2e}");
        rows.push(vec![
            format!("  {name}"),
            format!("{:?}", weight.shape),
            number(weight.mean),
            number(weight.deviation),
            number(weight.largest),
            number(weight.gradient),
        ]);
        if weight.not_finite > 0 {
            rows.push(vec![format!("  {} not finite", grouped(weight.not_finite))]);
        }
    }
    Ok(columns(
        &[Left, Left, Right, Right, Right, Right],
        &fitted(rows),
    ))
}

/// The block of a weight, or else the first part of its name, and its name there: `encoder.layers.0.blocks.1` and
/// `attn.qkv.weight`.
fn split(name: &str) -> (&str, &str) {
    let ends = name.match_indices('.').map(|(end, _)| end);
    let starts = [0].into_iter().chain(ends.clone().map(|end| end + 1));
    let is_number = |(start, end): &(usize, usize)| name[*start..*end].parse::<usize>().is_ok();
    let block = starts.zip(ends).filter(is_number).last();
    let end = block.map(|(_, end)| end).or_else(|| name.find('.'));
    end.map_or(("", name), |end| (&name[..end], &name[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn weights_are_told_below_their_block() {
        let block = ("encoder.layers.0.blocks.1", "attn.qkv.weight");
        assert_eq!(split("encoder.layers.0.blocks.1.attn.qkv.weight"), block);
        assert_eq!(split("encoder.mask_token"), ("encoder", "mask_token"));
        assert_eq!(split("decoder.0.bias"), ("decoder.0", "bias"));
        assert_eq!(split("decoder.0"), ("decoder", "0"));
        assert_eq!(split("scale"), ("", "scale"));
    }
}

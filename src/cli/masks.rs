//! `mimc masks`: what a recipe hides, before anything is trained.

use super::{
    Outcome,
    arguments::Sets,
    complete,
    failure::Failure,
    job::library,
    screen,
    sweep::{Sweep, sweep},
};
use clap::{Args, value_parser};
use clap_complete::engine::ArgValueCompleter;
use image::RgbImage;
use mimc::{
    compile::{compile_model, load},
    data::{Dataset, Source},
    masks::{Cell, Limits, Sample, heat, lies, sample, sheet, wanted},
    recipe::Recipe,
    text::columns::{Align, columns},
    train::from_recipe::data_config,
};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Show a recipe's masks over images, and how far they keep hidden pixels from visible ones
///
/// AvgDist is the mean distance of a hidden pixel to the nearest visible one; models fine-tune best where it is 10 to 20
/// pixels at 192 (Xie et al. 2022). With one --sweep or two: a table over their values, and a heat map.
#[derive(Args)]
pub struct Arguments {
    /// A path, a name in ./recipes, or a built-in name
    #[arg(value_name = "RECIPE", add = ArgValueCompleter::new(complete::recipes))]
    recipe: String,
    /// Masks on the sheet, and in each mean
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = value_parser!(u16).range(1..=600))]
    count: u16,
    /// Try these values: model.masking.ratio=0.1..0.9, model.masking.unit=8,16,32,64
    #[arg(long, value_name = "PATH=A,B,…", value_parser = sweep)]
    sweep: Vec<Sweep>,
    /// Where to write the sheet, or the heat map
    #[arg(short, long, value_name = "FILE.png", default_value = "masks.png")]
    output: PathBuf,
    #[command(flatten)]
    sets: Sets,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// The masks of one recipe in numbers.
#[derive(Serialize)]
struct Numbers {
    /// What was swept, by its path; empty without a sweep.
    set: Vec<(String, String)>,
    /// Pixels per side of what is hidden together.
    unit: Option<usize>,
    masks: usize,
    /// AvgDist in pixels: mean, and deviation from mask to mask. `null` where the masks hide all or nothing.
    distance: Option<(f64, f64)>,
    /// Share that is hidden: mean, and deviation from mask to mask.
    coverage: Option<(f64, f64)>,
    /// Whether AvgDist is where models are known to train well.
    good: Option<bool>,
    /// Why there are no masks.
    error: Option<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    recipe: &'a str,
    /// Where models are known to train well, in pixels.
    good: (f64, f64),
    masks: &'a [Numbers],
    picture: &'a Path,
}

pub fn run(arguments: &Arguments) -> Outcome {
    if arguments.sweep.len() > 2 {
        let message = format!(
            "{} sweeps were given, and a table has two sides",
            arguments.sweep.len()
        );
        return Err(Failure::new(
            "sweep",
            message,
            Some("fix one with --set".into()),
        ));
    }
    let recipe = recipe(arguments, &[])?;
    let size = recipe.data.size;
    let wanted = wanted(size);
    let (numbers, picture) = match &arguments.sweep[..] {
        [] => one(arguments, &recipe)?,
        sweeps => swept(arguments, &recipe, sweeps)?,
    };
    super::reconstruct::write(&arguments.output, &picture)?;
    match arguments.json {
        true => screen::print_json(&Document {
            recipe: &recipe.name,
            good: (*wanted.start(), *wanted.end()),
            masks: &numbers,
            picture: &arguments.output,
        })?,
        false => {
            let good = format!(
                "known to train well: {:.1} to {:.1} px",
                wanted.start(),
                wanted.end()
            );
            let shown = arguments.output.display();
            let each = if numbers.len() > 1 { " each" } else { "" };
            let count = arguments.count;
            screen::print(format_args!(
                "{}\nof {count} masks{each}; {good}\nwritten to {shown}\n",
                table(&numbers, &arguments.sweep)
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn recipe(arguments: &Arguments, more: &[String]) -> Result<Recipe, Failure> {
    let sets = [&arguments.sets.sets[..], more].concat();
    Ok(load(&arguments.recipe, &sets, &library())?)
}

/// A sheet of one recipe's masks.
fn one(arguments: &Arguments, recipe: &Recipe) -> Result<(Vec<Numbers>, RgbImage), Failure> {
    let Some(sample) = drawn(arguments, recipe)? else {
        let message = "the masks of this recipe cannot be drawn without its model";
        let help = "its output `mask` takes more than random numbers, or is too large";
        return Err(Failure::new("compile", message, Some(help.into())));
    };
    let picture = sheet(&sample.masks, &pictures(recipe, sample.masks.len())?);
    Ok((vec![numbers(Vec::new(), recipe, Ok(Some(sample)))], picture))
}

/// Images of the recipe where they are at hand, generated ones elsewhere.
fn pictures(recipe: &Recipe, count: usize) -> Result<Vec<RgbImage>, Failure> {
    /// More are not told apart.
    const MOST: usize = 24;
    let mut config = data_config(recipe);
    if let Source::Folder(folder) = &config.images
        && !folder.exists()
    {
        config.images = Source::Synthetic { count: MOST };
        config.shuffle_buffer = None;
    }
    let dataset = Dataset::open(&config)?;
    let count = count.min(MOST).min(dataset.len());
    let picture = |at: usize| -> Result<RgbImage, Failure> {
        let planes = dataset.center_from(at * dataset.len() / count)?;
        let side = recipe.data.size as u32;
        let pixels = dataset.normalizer().to_rgb8(&planes);
        Ok(RgbImage::from_raw(side, side, pixels).expect("three samples for each pixel"))
    };
    (0..count).map(picture).collect()
}

/// Every pair of values, the first sweep along the columns.
fn swept(
    arguments: &Arguments,
    recipe: &Recipe,
    sweeps: &[Sweep],
) -> Result<(Vec<Numbers>, RgbImage), Failure> {
    let columns = &sweeps[0];
    let alone = Sweep {
        path: String::new(),
        values: vec![String::new()],
    };
    let rows = sweeps.get(1).unwrap_or(&alone);
    let mut all = Vec::new();
    let mut first = None;
    let mut cells = Vec::new();
    for row in &rows.values {
        let mut line = Vec::new();
        for column in &columns.values {
            let pairs = [(&rows.path, row), (&columns.path, column)];
            let set = pairs.into_iter().filter(|(path, _)| !path.is_empty());
            let set: Vec<_> = set
                .map(|(path, value)| (path.clone(), value.clone()))
                .collect();
            let sets: Vec<String> = set
                .iter()
                .map(|(path, value)| format!("{path}={value}"))
                .collect();
            let sampled =
                self::recipe(arguments, &sets).and_then(|turned| drawn(arguments, &turned));
            let sampled = sampled.map_err(|failure| {
                let line = failure.first_line();
                first.get_or_insert(failure);
                line
            });
            let numbers = numbers(set, recipe, sampled);
            line.push(Cell {
                distance: numbers.distance.map(|(mean, _)| mean),
            });
            all.push(numbers);
        }
        cells.push(line);
    }
    if all.iter().all(|one| one.error.is_some()) {
        let message = "no value has masks that can be drawn";
        return Err(first.unwrap_or_else(|| Failure::new("compile", message, None)));
    }
    let axes = [
        (&*rows.path, &rows.values[..]),
        (&*columns.path, &columns.values[..]),
    ];
    Ok((all, heat(&cells, axes, &wanted(recipe.data.size))))
}

fn drawn(arguments: &Arguments, recipe: &Recipe) -> Result<Option<Sample>, Failure> {
    /// Of one mask, in pixels and numbers.
    const EACH: usize = 1 << 26;
    let limits = Limits {
        masks: arguments.count.into(),
        each: EACH,
        all: usize::MAX,
    };
    let library = library();
    let drawn = sample(&library, &recipe.model, recipe.data.size, limits)
        .map_err(|broken| Failure::new("compile", broken, None))?;
    if drawn.is_none() {
        // A mistake in the recipe is told as such.
        compile_model(recipe, &library)?;
    }
    Ok(drawn)
}

fn numbers(
    set: Vec<(String, String)>,
    recipe: &Recipe,
    sampled: Result<Option<Sample>, String>,
) -> Numbers {
    let (sample, error) = match sampled {
        Ok(Some(sample)) => (Some(sample), None),
        Ok(None) => (None, Some("they cannot be drawn".to_owned())),
        Err(why) => (None, Some(why)),
    };
    let sample = sample.as_ref();
    let distance = sample.and_then(Sample::distance);
    Numbers {
        set,
        unit: sample.map(|sample| sample.unit),
        masks: sample.map_or(0, |sample| sample.masks.len()),
        distance,
        coverage: sample.map(Sample::coverage),
        good: distance.map(|(mean, _)| lies(mean, &wanted(recipe.data.size))),
        error,
    }
}

/// The end of a path, as long as it takes to be no other heading.
fn short(path: &str, others: &[&str]) -> String {
    let begins = path.rmatch_indices('.').map(|(at, _)| at + 1).chain([0]);
    let mut ends = begins.map(|at| &path[at..]);
    let alone = |end: &&str| {
        let inner = format!(".{end}");
        !others.iter().any(|o| o == end || o.ends_with(&inner))
    };
    ends.find(alone).unwrap_or(path).to_owned()
}

fn table(numbers: &[Numbers], sweeps: &[Sweep]) -> String {
    let own = ["unit", "hidden", "AvgDist", ""];
    let paths: Vec<&str> = sweeps.iter().rev().map(|sweep| &*sweep.path).collect();
    let name = |path: &&str| {
        let others = paths.iter().filter(|other| other != &path);
        let others: Vec<&str> = others.copied().chain(own).collect();
        short(path, &others)
    };
    let mut header: Vec<String> = paths.iter().map(name).collect();
    header.extend(own.map(str::to_owned));
    let row = |of: &Numbers| {
        let mut row: Vec<String> = of.set.iter().map(|(_, value)| value.clone()).collect();
        row.extend([
            of.unit.map_or("–".into(), |unit| format!("{unit} px")),
            of.coverage.map_or("–".into(), |(mean, deviation)| {
                format!("{:.1} ± {:.1} %", 100.0 * mean, 100.0 * deviation)
            }),
            of.distance.map_or("–".into(), |(mean, deviation)| {
                format!("{mean:.1} ± {deviation:.1} px")
            }),
            match (of.good, &of.error) {
                (_, Some(error)) => error.clone(),
                (Some(true), _) => "good".into(),
                (Some(false), _) => String::new(),
                (None, None) => "all or nothing".into(),
            },
        ]);
        row
    };
    let align: Vec<Align> = (0..header.len())
        .map(|column| {
            if column + 1 < header.len() {
                Align::Right
            } else {
                Align::Left
            }
        })
        .collect();
    let rows: Vec<Vec<String>> = [header.clone()]
        .into_iter()
        .chain(numbers.iter().map(row))
        .collect();
    columns(&align, &rows)
}

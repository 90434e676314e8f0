//! `mimc run`: training.

use super::{
    Outcome,
    arguments::{BackendArgument, Sets, Threads, tell_notice},
    board::Board,
    build::{self, Last},
    chronicle::Chronicle,
    complete,
    failure::Failure,
    job::{Compiled, Job, origin},
    memory, pace,
    progress::Progress,
    screen, signals,
};
use clap::{Args, value_parser};
use clap_complete::engine::ArgValueCompleter;
use mimc::{
    backend::{AUTO, Backend},
    compile::{self, compile_forward},
    ir::meta,
    recipe::{Images, Recipe},
    text::{
        columns::{Align, columns},
        units::{grouped, lasting, seconds},
    },
    train::{
        checkpoint::{self, State},
        output::Output,
        run::{Run, Summary},
        stop::Stop,
        trainer::Trainer,
    },
};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// Train
///
/// Without RECIPE: the recipe compiled last in this directory, or the built-in `quickstart` where none was.
#[derive(Args)]
pub struct Arguments {
    /// A path, a name in ./recipes, or a built-in name
    #[arg(value_name = "RECIPE", add = ArgValueCompleter::new(complete::recipes))]
    recipe: Option<String>,
    /// A folder of images, instead of the recipe's data.images
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to write checkpoints, metrics and pictures [default: runs/<recipe name>]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Stop behind this step; the schedule stays that of the whole run
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Go on from the latest checkpoint in the output folder
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    backend: BackendArgument,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    sets: Sets,
}

const QUICKSTART: &str = "quickstart";
/// Codes of the errors that say a recipe is not there.
const NO_SOURCE: &[&str] = &["unknown-recipe", "unreadable"];
/// Exit code of a run that a signal ended, as shells count it.
const STOPPED: u8 = 130;
/// Images on a picture.
const PICTURED: usize = 8;
/// A step that was foretold to take so many times what it took tells that the machine was busy when it was measured.
const TOO_SLOW: f64 = 1.5;
/// How long a step may take to end by itself when a signal has asked it to.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn run(arguments: Arguments) -> Outcome {
    arguments.threads.start()?;
    let (mut job, mut last) = choose(&arguments)?;
    let mut recipe = load(&job, &mut last)?;
    if let Some(folder) = &arguments.data {
        recipe.data.images = Images::Folder(folder.clone());
    }
    let default = || Path::new("runs").join(&recipe.name);
    let output = Output::new(arguments.output.clone().unwrap_or_else(default));
    let open = recipe.train.micro_batch.is_none() && job.micro_batch.is_none();
    if arguments.resume
        && let Some(state) = latest(&output)
    {
        // Going on to the same bits takes the same precision, on whatever backend, and the same cut of the batch.
        let begun = Recipe::from_text(&recipe.name, &state.recipe);
        if let Ok(begun) = begun {
            recipe.settle(begun.train.computed_in(), "the checkpoint");
        }
        let fits = recipe.train.batch.is_multiple_of(state.micro_batch);
        job.micro_batch = job
            .micro_batch
            .or((open && fits).then_some(state.micro_batch));
    }
    let mut compiled = compiled(&job, last.as_ref(), recipe, arguments.data.is_some())?;
    if open && job.memory.is_none() {
        // The recipe still leaves it open, and says so in each checkpoint.
        compiled.recipe.train.micro_batch = None;
    }
    output.claim()?;
    let run = Run {
        resume: arguments.resume,
        steps: arguments.steps,
        ..Run::from_recipe(&compiled.recipe, &compiled.library, output)
    };
    tell_notice(job.backend(), compiled.recipe.train.computed_in());
    let pace = pace::pace(job.backend());
    let foretold = pace.map(|pace| compiled.program.seconds(&pace));
    let program = &compiled.program;
    let runs = [
        (&*program.accumulate, program.accumulations),
        (&*program.apply, 1),
    ];
    let kinds = pace.map_or(Vec::new(), |pace| pace.by_kind(&runs));
    let batch = compiled.recipe.train.batch;
    let summary = start(&run, compiled, job.backend(), kinds)?;
    screen::print(told(&summary, &run, batch, foretold))?;
    Ok(ExitCode::from(if summary.interrupted {
        STOPPED
    } else {
        0
    }))
}

/// What to train, told to whoever did not say it.
fn choose(arguments: &Arguments) -> Result<(Job, Option<Last>), Failure> {
    let sets = arguments.sets.sets.clone();
    let job = |recipe: &str| Job {
        recipe: recipe.to_owned(),
        sets: sets.clone(),
        backend: arguments.backend.name().unwrap_or(AUTO).to_owned(),
        memory: None,
        micro_batch: None,
    };
    if let Some(recipe) = &arguments.recipe {
        return Ok((job(recipe), None));
    }
    let Some(last) = build::last()? else {
        screen::note("nothing was compiled in this directory: running the built-in quickstart");
        return Ok((job(QUICKSTART), None));
    };
    let mut job = last.job.clone();
    job.sets.extend(sets);
    if let Some(backend) = arguments.backend.name() {
        job.backend = backend.to_owned();
    }
    Ok((job, Some(last)))
}

/// The recipe from its source, or as it was resolved where the source is gone.
fn load(job: &Job, last: &mut Option<Last>) -> Result<Recipe, Failure> {
    let recipe = match (job.load(), last.take()) {
        (Err(failure), Some(gone)) if failure.has_code(NO_SOURCE) => {
            let folder = gone.folder.display();
            screen::note(format_args!(
                "{} is gone: running what it was, from {folder}",
                job.recipe
            ));
            gone.resolved()?
        }
        (loaded, kept) => {
            *last = kept;
            loaded?
        }
    };
    let which = if last.is_some() {
        ", compiled last"
    } else {
        ""
    };
    screen::note(format_args!("running {}{which}", origin(&recipe)));
    Ok(recipe)
}

/// Compiles the job. What was compiled last and has changed since is also written anew, unless this run differs from it.
fn compiled(
    job: &Job,
    last: Option<&Last>,
    recipe: Recipe,
    differs: bool,
) -> Result<Compiled, Failure> {
    let compiled = job.compile(recipe, last.is_some())?;
    if let Some(last) = last {
        let changed = last.changed(&compiled);
        if !changed.is_empty() {
            let changed = changed.join(", ");
            screen::note(format_args!(
                "compiled anew, for these have changed since: {changed}"
            ));
            if !differs && *job == last.job {
                build::write(job, &compiled, &last.folder, None, last.target)?;
            }
        }
    }
    Ok(compiled)
}

/// That of the latest sound checkpoint. Whatever is wrong with the others is told when the run resumes.
fn latest(output: &Output) -> Option<State> {
    let (checkpoint, _) = checkpoint::latest(&output.checkpoints()).ok()??;
    Some(checkpoint.state().clone())
}

fn start(
    run: &Run,
    compiled: Compiled,
    backend: &'static dyn Backend,
    foretold: Vec<(String, f64)>,
) -> Result<Summary, Failure> {
    compiled.program.check_fed()?;
    let few = PICTURED.min(compiled.program.micro_batch);
    let forward = compile_forward(&compiled.recipe, &compiled.library, few)?;
    memory::check(&compiled, compile::memory(&forward), backend)?;
    let Compiled {
        recipe,
        library,
        program,
        ..
    } = compiled;
    let has = |output: &str| meta(&forward).roots.iter().any(|root| root.name == output);
    let mut pictures = match has("decoder") && has("mask") {
        true => Some(backend.prepare(forward)?),
        false => {
            screen::warn("no pictures: the model has no outputs `decoder` and `mask`");
            None
        }
    };
    // Behind the smaller program: what is short then is short for the larger, whose micro-batch can be less.
    let cost = program.cost.memory();
    let short = |error| memory::short(error, cost, &recipe, &library);
    let training = program.prepare(backend, recipe.train.seed);
    let mut training = training.map_err(short)?;
    let stop = Stop::default();
    if let Err(error) = signals::install(stop.clone(), PATIENCE) {
        screen::warn(format_args!("Ctrl-C will end the run at once: {error}"));
    }
    let progress = Progress::stderr(recipe.train.log_every);
    let board = Board::new(run.output.board());
    let chronicle = Chronicle::new(run, recipe.doc.clone(), backend.name(), foretold);
    let mut observers = ((progress, board), chronicle);
    let mut trainer = Trainer::new(run, &mut *training)
        .stop(&stop)
        .observer(&mut observers);
    if let Some(program) = &mut pictures {
        trainer = trainer.pictures(&mut **program);
    }
    let trained = trainer.train();
    observers.1.end(&trained);
    Ok(trained?)
}

fn told(summary: &Summary, run: &Run, batch: usize, foretold: Option<f64>) -> String {
    let Summary { step, total, .. } = summary;
    let mut text = match summary.interrupted {
        true => format!("stopped behind step {step} of {total}; --resume goes on"),
        false => format!("step {step} of {total}"),
    };
    if let Some(loss) = summary.loss {
        let rate = summary.images as f64 / summary.seconds;
        let time = seconds(summary.seconds);
        text += &format!(", {time} at {rate:.1} images/s, loss {loss:.4}");
    }
    text.push('\n');
    let (curve, report) = (Some(run.output.curve()), Some(run.output.report()));
    let written = [
        ("checkpoint", &summary.checkpoint),
        ("picture", &summary.picture),
        ("curve", &curve),
        ("report", &report),
    ];
    let rows = written.iter().filter_map(|(what, path)| {
        let path = path.as_ref().filter(|path| path.exists())?;
        Some(vec![(*what).to_owned(), path.display().to_string()])
    });
    let mut rows: Vec<_> = rows.collect();
    if let (Some(foretold), 1..) = (foretold, summary.images) {
        let step = summary.seconds * batch as f64 / summary.images as f64;
        let more = 100.0 * (step / foretold - 1.0);
        let told = format!(
            "{} per step, {} were foretold: {more:+.0} %",
            lasting(step),
            lasting(foretold)
        );
        rows.push(vec!["time".to_owned(), told]);
        if foretold > TOO_SLOW * step {
            pace::forget();
        }
    }
    if summary.unreadable > 0 {
        let (count, path) = (grouped(summary.unreadable), run.output.unreadable());
        let told = format!("{count} images passed over: {}", path.display());
        rows.push(vec!["unreadable".to_owned(), told]);
    }
    text + &columns(&[Align::Left; 2], &rows)
}

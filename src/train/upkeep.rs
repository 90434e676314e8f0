//! The folder of a run, as training finds it and keeps it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    checkpoint::{self, Room},
    curve::LossCurve,
    error::TrainError,
    metrics::{self, Log},
    output::{Output, write_png},
    replace::replace,
    run::{Event, Observer, Run},
    step::Step,
};

/// Readies the output folder for the step after `made`.
pub fn open(
    run: &Run,
    made: u64,
    resumed: bool,
    observer: &mut dyn Observer,
) -> Result<Log, TrainError> {
    let output = &run.output;
    let recipe = output.recipe();
    // A run that was stopped before its first checkpoint begins again in place; another one's traces are kept.
    let begins_again =
        run.resume && fs::read(&recipe).map_or(true, |there| there == run.recipe.as_bytes());
    if !resumed && !begins_again {
        tell_aside(run, output.set_earlier_aside(), observer)?;
    }
    output
        .create()
        .and_then(|()| output.remove_pictures_behind(made))
        .map_err(cannot_write(output.folder()))?;
    replace(output.disk(), &recipe, |file| {
        file.write_all(run.recipe.as_bytes())
    })
    .map_err(cannot_write(&recipe))?;
    // The end of a program may have come between a save and this.
    checkpoint::prune(output.disk(), &output.checkpoints(), run.keep, made)?;
    let metrics = output.metrics();
    Log::open(output.disk(), &metrics, made).map_err(cannot_write(&metrics))
}

/// Completes a move of an earlier run that the end of a program cut off.
pub fn finish_setting_aside(run: &Run, observer: &mut dyn Observer) -> Result<(), TrainError> {
    tell_aside(run, run.output.finish_setting_aside(), observer)
}

fn tell_aside(
    run: &Run,
    aside: io::Result<Option<PathBuf>>,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    let aside = aside.map_err(cannot_write(run.output.folder()))?;
    if let Some(aside) = aside {
        observer.observe(Event::SetAside(&aside));
    }
    Ok(())
}

/// Says so beforehand if the disk has no room for the checkpoints that are to be kept.
pub fn tell_if_tight(run: &Run, program: &dyn Step, observer: &mut dyn Observer) {
    let folder = run.output.checkpoints();
    let room = checkpoint::room(run.output.disk(), &folder, program);
    let checkpoints = run.keep.get() + 1;
    let wanted = room.takes * checkpoints as u64;
    let there = |Room { free, .. }: Room| free.map(|free| free + checkpoint::taken(&folder));
    if there(room).is_some_and(|there| there < wanted) {
        observer.observe(Event::Tight { room, checkpoints });
    }
}

/// Draws the loss of all steps that are logged; without any there is no curve.
pub fn draw_curve(output: &Output, title: &str, warmup: u64) -> Result<(), TrainError> {
    let metrics = output.metrics();
    let records = metrics::read(&metrics).map_err(cannot_write(&metrics))?;
    let losses: Vec<_> = records
        .iter()
        .map(|record| (record.step, record.loss))
        .collect();
    let path = output.curve();
    let drawn = match losses.is_empty() {
        true if !path.exists() => Ok(()),
        true => output.disk().remove(&path),
        false => {
            let curve = LossCurve {
                title,
                losses: &losses,
                warmup,
            };
            write_png(output.disk(), &path, &curve.draw())
        }
    };
    drawn.map_err(cannot_write(&path))
}

pub fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> TrainError {
    let path = path.to_owned();
    move |source| TrainError::Output { path, source }
}

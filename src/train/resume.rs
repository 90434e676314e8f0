//! Going on from a checkpoint.

use std::path::PathBuf;

use super::{
    checkpoint::{self, Checkpoint, State},
    run::{Event, Observer, Run, TrainError},
    step::Step,
};
use crate::data::Loader;

/// The latest sound checkpoint of the output folder, or none, which is told.
pub fn find(run: &Run, observer: &mut dyn Observer) -> Result<Option<Checkpoint>, TrainError> {
    let Some((found, damaged)) = checkpoint::latest(&run.output.checkpoints())? else {
        observer.observe(Event::NothingToResume(run.output.folder()));
        return Ok(None);
    };
    for error in &damaged {
        observer.observe(Event::Damaged(error));
    }
    Ok(Some(found))
}

/// Puts the checkpoint's state into the program, if the run would go on as it was.
pub fn restore(
    run: &Run,
    mut checkpoint: Checkpoint,
    program: &mut dyn Step,
    loader: &Loader,
    observer: &mut dyn Observer,
) -> Result<PathBuf, TrainError> {
    let State {
        epoch,
        micro_batch,
        position,
        recipe,
        seed,
        step,
    } = checkpoint.state();
    let next = loader.order().place(*step);
    let place = |epoch: u64, position: usize| format!("image {position} of epoch {epoch}");
    let same = [
        ("train.seed", seed.to_string(), run.data.seed.to_string()),
        (
            "the micro-batch",
            micro_batch.to_string(),
            program.micro_batch().to_string(),
        ),
        // The number of images or the batch has changed.
        (
            "the place in the data",
            place(*epoch, *position),
            place(next.epoch, next.position),
        ),
    ];
    if let Some((what, then, now)) = same.into_iter().find(|(_, then, now)| then != now) {
        return Err(TrainError::Changed { what, then, now });
    }
    if *recipe != run.recipe {
        observer.observe(Event::RecipeChanged {
            was: recipe,
            is: &run.recipe,
        });
    }
    let step = *step;
    checkpoint.restore(program)?;
    observer.observe(Event::Resumed {
        checkpoint: checkpoint.path(),
        step,
    });
    Ok(checkpoint.path().to_owned())
}

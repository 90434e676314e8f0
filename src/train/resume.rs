//! Going on from a checkpoint.

use std::path::PathBuf;

use super::{
    changes::{self, Change, Meaning, Settings},
    checkpoint::{self, Checkpoint, State, checksum},
    error::TrainError,
    run::{Event, Observer, Run},
    step::Step,
};
use crate::{
    data::{Dataset, Loader, Source},
    text::paths::shown,
};

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

/// Puts the checkpoint's state into the program, if what has changed since lets the run go on.
pub fn restore(
    run: &Run,
    mut checkpoint: Checkpoint,
    program: &mut dyn Step,
    loader: &Loader,
    observer: &mut dyn Observer,
) -> Result<PathBuf, TrainError> {
    let changes = differences(run, checkpoint.state(), program, loader);
    let (refused, told): (Vec<_>, Vec<_>) = changes
        .into_iter()
        .partition(|change| change.meaning == Meaning::Another);
    if !refused.is_empty() {
        return Err(TrainError::AnotherRun {
            checkpoint: checkpoint.path().to_owned(),
            recipe: run.output.recipe(),
            changes: refused,
        });
    }
    checkpoint.restore(program)?;
    if !told.is_empty() {
        observer.observe(Event::Changed(&told));
    }
    observer.observe(Event::Resumed {
        checkpoint: checkpoint.path(),
        step: checkpoint.state().step,
    });
    Ok(checkpoint.path().to_owned())
}

/// A checksum over the names of the images, in their order. Where their folder lies does not matter.
pub fn names(dataset: &Dataset, images: &Source) -> String {
    let root = match images {
        Source::Folder(root) => shown(root),
        Source::Synthetic { .. } => String::new(),
    };
    let names: Vec<_> = (0..dataset.len())
        .map(|image| dataset.name(image))
        .collect();
    checksum(names.iter().map(|name| {
        let name = name.strip_prefix(&root).unwrap_or(name);
        name.trim_start_matches(['/', '\\'])
    }))
}

fn differences(run: &Run, state: &State, program: &dyn Step, loader: &Loader) -> Vec<Change> {
    let mut was = changes::settings(&state.recipe);
    let mut is = changes::settings(&run.recipe);
    // A recipe may leave the micro-batch open: what counts is what a run is made of.
    let put = |settings: &mut Settings, batch: usize, micro_batch: usize, seed: u64| {
        let batch = ("train.batch", batch.to_string());
        let seed = ("train.seed", seed.to_string());
        let micro_batch = ("train.micro_batch", micro_batch.to_string());
        settings.extend([batch, seed, micro_batch].map(|(key, value)| (key.to_owned(), value)));
    };
    put(&mut was, state.batch, state.micro_batch, state.seed);
    put(&mut is, run.batch, program.micro_batch(), run.data.seed);
    let mut changes = changes::between(&was, &is);
    changes.extend(graphs(&state.graphs, &run.graphs));
    changes.extend(images(run, state, loader));
    changes
}

/// A graph may say the same in other words, so its text alone refuses nothing; what it makes must fit the checkpoint.
fn graphs(was: &Settings, is: &Settings) -> Vec<Change> {
    let word = |of: &Settings, path: &String, text: &str| match of.contains_key(path) {
        true => text.to_owned(),
        false => "absent".to_owned(),
    };
    let told = |change: Change| Change {
        was: word(was, &change.key, "one text"),
        is: word(is, &change.key, "another"),
        meaning: Meaning::Goes("the model is what the graphs say now"),
        ..change
    };
    let changes = changes::between(was, is);
    changes.into_iter().map(told).collect()
}

/// Other images are another order. The run goes on where an epoch has as many steps as it had.
fn images(run: &Run, state: &State, loader: &Loader) -> Option<Change> {
    let dataset = loader.dataset();
    if (state.images, &state.names) == (dataset.len(), &names(dataset, &run.data.images)) {
        return None;
    }
    let count = |images: usize| format!("{images} images");
    let (was, is) = match state.images == dataset.len() {
        true => (
            count(state.images),
            format!("{} of other names", count(dataset.len())),
        ),
        false => (count(state.images), count(dataset.len())),
    };
    let same_steps = state.images / run.batch == dataset.len() / run.batch;
    Some(Change {
        key: "what data.images holds".into(),
        was,
        is,
        meaning: match same_steps {
            true => Meaning::Goes("an epoch has as many steps, in another order"),
            false => Meaning::Another,
        },
    })
}

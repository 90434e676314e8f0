//! What goes into a run, what is told while it goes on, and what comes out.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use super::{
    changes::Change,
    checkpoint::{CheckpointError, Room},
    metrics::Record,
    output::Output,
    schedule::{Rates, ScheduleConfig},
    step::WeightInfo,
};
use crate::data::{DataConfig, Skipped};

/// A training run, as a recipe and the command line describe it.
#[derive(Debug, Clone)]
pub struct Run {
    /// Stands above the loss curve: the recipe's name.
    pub title: String,
    /// The resolved recipe; kept beside the results and in each checkpoint.
    pub recipe: String,
    /// Checksums of the graph files that the model is made of, by their paths.
    pub graphs: BTreeMap<String, String>,
    /// Where its results go.
    pub output: Output,
    /// Goes on from the latest checkpoint in the output folder, to the same bits as if the run had not been interrupted.
    pub resume: bool,
    /// Its seed is the run's.
    pub data: DataConfig,
    /// Images per optimizer step; a multiple of the program's micro-batch.
    pub batch: usize,
    /// Length of the run and of its schedule; may be a fraction.
    pub epochs: f64,
    /// The learning rate of every step.
    pub schedule: ScheduleConfig,
    /// Stops after so many optimizer steps, counted from the start of the run. The schedule stays that of the whole run.
    pub steps: Option<u64>,
    /// Optimizer steps between checkpoints; 0 for only one at the end.
    pub checkpoint_every: u64,
    /// How many checkpoints stay.
    pub keep: NonZeroUsize,
    /// Optimizer steps between pictures; 0 for only one at the end.
    pub picture_every: u64,
    /// Images that are never trained on, whose loss is told on the way.
    pub validation: Option<Validation>,
}

/// Images held out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// A folder, as that of the images trained on.
    pub images: PathBuf,
    /// How many of them are looked at, at least 1.
    pub count: usize,
    /// Optimizer steps between two looks; 0 for only one at the end.
    pub every: u64,
}

/// Something that happened, in the order it happens.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// What an earlier run wrote into the output folder now lies in this one.
    SetAside(&'a Path),
    /// A newer checkpoint is damaged and was passed over.
    Damaged(&'a CheckpointError),
    /// There is nothing to resume in this folder: the run starts at step 0.
    NothingToResume(&'a Path),
    /// The run is not quite the one that wrote the checkpoint, and goes on all the same.
    Changed(&'a [Change]),
    /// The run goes on from a checkpoint.
    Resumed {
        /// Its file.
        checkpoint: &'a Path,
        /// Optimizer steps made by then.
        step: u64,
    },
    /// The checkpoints that are to be kept will not fit on the disk.
    Tight {
        /// What one takes, and what is free.
        room: Room,
        /// Those kept, and one more while it is written.
        checkpoints: usize,
    },
    /// Training begins.
    Started(Started<'a>),
    /// An image cannot be read, and another stands in its place. Each is told once in a run.
    Unreadable(&'a Skipped),
    /// The gradient of each weight by its norm, before clipping; where pictures are due.
    Gradients(Gradients<'a>),
    /// An optimizer step was made.
    Step(&'a Record),
    /// A checkpoint is on the disk.
    Saved(&'a Path),
    /// A picture is on the disk.
    Drawn(&'a Path),
    /// Someone asked to stop; the state is being saved.
    Stopping,
}

/// How large the gradients of a step are.
#[derive(Debug, Clone, Copy)]
pub struct Gradients<'a> {
    /// The optimizer step that is made with them, counted from 1.
    pub step: u64,
    /// In the order of the graph.
    pub weights: &'a [WeightInfo],
    /// Of each weight.
    pub norms: &'a [f32],
}

/// Where a run begins and how far it goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Started<'a> {
    /// Images found.
    pub images: usize,
    /// A checksum over their names, in order: 32 hexadecimal digits.
    pub names: &'a str,
    /// Images per optimizer step.
    pub batch: usize,
    /// Images computed at once.
    pub micro_batch: usize,
    /// Optimizer steps already made.
    pub step: u64,
    /// Optimizer steps made when this run ends.
    pub goal: u64,
    /// Optimizer steps of the whole schedule.
    pub total: u64,
    /// The learning rates, scaled to the batch.
    pub rates: Rates,
}

/// Hears of what happens. A closure that takes an [`Event`] is one.
pub trait Observer {
    /// Called in the thread that trains, which waits for it.
    fn observe(&mut self, event: Event<'_>);
}

/// Both hear, the first one first.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn observe(&mut self, event: Event<'_>) {
        self.0.observe(event);
        self.1.observe(event);
    }
}

impl<F: FnMut(Event<'_>)> Observer for F {
    fn observe(&mut self, event: Event<'_>) {
        self(event);
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Optimizer steps made, those before a resume included.
    pub step: u64,
    /// Optimizer steps of the whole schedule.
    pub total: u64,
    /// Loss of the last step made in this session; `None` if there was none to make.
    pub loss: Option<f32>,
    /// Time of this session's steps, in seconds.
    pub seconds: f64,
    /// Images of this session's steps.
    pub images: u64,
    /// Images that could not be read, in all sessions.
    pub unreadable: usize,
    /// The last checkpoint, this session's or the one it started from.
    pub checkpoint: Option<PathBuf>,
    /// The last picture of this session.
    pub picture: Option<PathBuf>,
    /// Whether it was asked to stop before its goal.
    pub interrupted: bool,
}

//! Why a run could not begin or go on.

use std::{io, path::PathBuf};

use super::{
    changes::Change, checkpoint::CheckpointError, claim::ClaimError, schedule::ScheduleError,
    step::StepError,
};
use crate::data::DataError;

/// Why a run could not begin or go on.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "a variant's message says what its fields hold")]
pub enum TrainError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error("cannot write {}: {source}", path.display())]
    Output { path: PathBuf, source: io::Error },
    #[error("the batch of {batch} images is no multiple of the micro-batch of {micro_batch}")]
    MicroBatch { batch: usize, micro_batch: usize },
    /// A checkpoint cannot be gone on from with these settings.
    #[error("{} is of another run: {}", checkpoint.display(), listed(changes))]
    AnotherRun {
        checkpoint: PathBuf,
        /// That run's own recipe.
        recipe: PathBuf,
        changes: Vec<Change>,
    },
    #[error(
        "the {what} of step {step} is {value}, in a batch of {}{}",
        files_told(files),
        last_good(checkpoint)
    )]
    NonFinite {
        what: &'static str,
        value: f32,
        /// The step that could not be made, counted from 1.
        step: u64,
        /// The images it saw.
        files: Vec<String>,
        /// The last checkpoint, from before it.
        checkpoint: Option<PathBuf>,
    },
    #[error(
        "`{tensor}` holds a number that is not finite behind step {step}, so that state is not saved{}",
        last_good(checkpoint)
    )]
    NonFiniteState {
        tensor: String,
        step: u64,
        checkpoint: Option<PathBuf>,
    },
}

impl TrainError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::Data(error) => error.help(),
            Self::Checkpoint(CheckpointError::Step(error)) | Self::Step(error) => {
                return error.help();
            }
            Self::Checkpoint(error) => error.help(),
            Self::Claim(error) => error.help(),
            Self::Schedule(_) => return None,
            Self::Output { .. } => {
                "free some space, or give another folder with --output; checkpoints are whole, and --resume goes on from the last".into()
            }
            Self::MicroBatch { batch, .. } => format!("give a --micro-batch that divides {batch}"),
            Self::AnotherRun { recipe, .. } => format!(
                "undo the change ({} holds that run's recipe), or start anew without --resume: what is there is then moved aside and kept",
                recipe.display()
            ),
            Self::NonFinite { .. } => {
                "look at these images; a lower train.schedule.base_lr or a longer warm-up often helps, then go on with --resume"
                    .into()
            }
            Self::NonFiniteState { .. } => {
                "a lower train.schedule.base_lr, a longer warm-up or a train.optimizer.clip often helps, then go on with --resume"
                    .into()
            }
        };
        Some(help)
    }

    /// Whether the state of the last optimizer step is sound, so that it is worth keeping.
    pub(super) fn leaves_state_sound(&self) -> bool {
        matches!(self, Self::Data(_) | Self::Output { .. })
    }
}

/// So many files are named in a message.
const TOLD: usize = 16;

fn files_told(files: &[String]) -> String {
    let first = files[..files.len().min(TOLD)].join(", ");
    match files.len().saturating_sub(TOLD) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn last_good(checkpoint: &Option<PathBuf>) -> String {
    match checkpoint {
        Some(path) => format!("; the last good checkpoint is {}", path.display()),
        None => "; there is no checkpoint from before it".into(),
    }
}

fn listed(changes: &[Change]) -> String {
    let changes: Vec<_> = changes.iter().map(Change::to_string).collect();
    changes.join("; ")
}

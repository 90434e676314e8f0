//! Why a checkpoint could not be written or used.

use std::{fmt, io, path::PathBuf};

use super::{FORMAT, NOTE};
use crate::{
    text::units::bytes,
    train::{mismatch::Mismatch, step::StepError},
};

/// Why a checkpoint could not be written or gone on from.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "a variant's message says what its fields hold")]
pub enum CheckpointError {
    #[error("cannot write the checkpoint {}: {source}; {room}", path.display())]
    Write {
        path: PathBuf,
        source: io::Error,
        room: Room,
    },
    #[error("cannot remove an old checkpoint from {}: {source}", folder.display())]
    Remove { folder: PathBuf, source: io::Error },
    #[error("cannot read the checkpoint {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the checkpoint {} is damaged: its content is not what was written", path.display())]
    Damaged { path: PathBuf },
    #[error("{} is no checkpoint of a run: its header has no key `{NOTE}`", path.display())]
    Foreign { path: PathBuf },
    #[error("the checkpoint {} is of format {format}, and this mimc reads format {FORMAT}", path.display())]
    Format { path: PathBuf, format: u32 },
    #[error("the checkpoint {} does not fit the model: {mismatch}", path.display())]
    Mismatch { path: PathBuf, mismatch: Mismatch },
    /// At least two.
    #[error("none of the {} checkpoints in {} is sound{}", errors.len(), folder.display(), told(errors))]
    NoneSound {
        folder: PathBuf,
        /// The newest first.
        errors: Vec<CheckpointError>,
    },
    /// The program itself cannot be read or written.
    #[error(transparent)]
    Step(#[from] StepError),
}

/// What a checkpoint takes and what there is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes of one checkpoint.
    pub takes: u64,
    /// Nothing where the system does not tell.
    pub free: Option<u64>,
}

impl fmt::Display for Room {
    /// `a checkpoint takes 1.03 GiB, and 12.0 MiB are free there`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a checkpoint takes {}", bytes(self.takes))?;
        match self.free {
            Some(free) => write!(f, ", and {} are free there", bytes(free)),
            None => Ok(()),
        }
    }
}

fn told(errors: &[CheckpointError]) -> String {
    let told = errors.iter().map(|error| format!("; {error}"));
    told.collect()
}

impl CheckpointError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Write { .. } | Self::Remove { .. } => {
                "free some space or make the folder writable, then go on with --resume: earlier checkpoints are whole"
            }
            Self::Read { .. } | Self::Damaged { .. } | Self::NoneSound { .. } => {
                "put back a copy of a checkpoint if there is one, or start anew without --resume: what is there is then moved aside and kept"
            }
            Self::Foreign { .. } => "move the file out of the folder of checkpoints",
            Self::Format { .. } => "use the mimc that wrote it, or start anew in another folder with --output",
            Self::Step(_) => "go on with --resume: earlier checkpoints are whole",
            Self::Mismatch { .. } => "resume with the recipe of the run, which lies beside its checkpoints as recipe.yaml",
        }
        .into()
    }
}

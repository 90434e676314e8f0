//! Checkpoints: all that a run needs to go on to the same bits, in one safetensors file.
//!
//! Weights stand under the model's own names, their moments under [`FIRST_MOMENT`] and [`SECOND_MOMENT`]; the key
//! [`NOTE`] of the header holds a [`State`] as JSON. Same state, same bytes.

use std::{
    collections::BTreeMap,
    fs, io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, tensor::TensorInfo};
use serde::{Deserialize, Serialize};

use super::{
    mismatch::Mismatch,
    replace::{replace, sweep},
    step::{Part, Step, WeightInfo},
    tensor_file::{self, TensorFile},
};

/// Stands before a weight's name in the name of the running mean of its gradient.
pub const FIRST_MOMENT: &str = "optimizer.exp_avg.";
/// Stands before a weight's name in the name of the running mean of its squared gradient.
pub const SECOND_MOMENT: &str = "optimizer.exp_avg_sq.";
/// The header's key of the [`State`].
pub const NOTE: &str = "mimc";

/// The newest layout of a checkpoint, and the only one.
const FORMAT: u32 = 1;
const PARTS: [Part; 3] = [Part::Value, Part::FirstMoment, Part::SecondMoment];

/// Where a run stood. Its JSON is sorted by key, for the fields are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The epoch of the next step, from 0.
    pub epoch: u64,
    /// Images per micro-batch.
    pub micro_batch: usize,
    /// Images of that epoch before the next step's.
    pub position: usize,
    /// The resolved recipe.
    pub recipe: String,
    pub seed: u64,
    /// Optimizer steps made.
    pub step: u64,
}

/// What the header holds.
#[derive(Serialize, Deserialize)]
struct Note<T> {
    format: u32,
    state: T,
}

/// Why a checkpoint could not be written or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("cannot write the checkpoint {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read the checkpoint {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no checkpoint of a run: its header has no key `{NOTE}`", path.display())]
    Foreign { path: PathBuf },
    #[error("the checkpoint {} is of format {format}, and this mimc reads format {FORMAT}", path.display())]
    Format { path: PathBuf, format: u32 },
    #[error("the checkpoint {} does not fit the model: {mismatch}", path.display())]
    Mismatch { path: PathBuf, mismatch: Mismatch },
}

impl CheckpointError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Write { .. } => "free some space or make the folder writable, then go on with --resume",
            Self::Read { .. } => "remove the file: --resume then goes on from the one before it",
            Self::Foreign { .. } => "move the file out of the folder of checkpoints",
            Self::Format { .. } => "use the mimc that wrote it, or start anew in another folder with --output",
            Self::Mismatch { .. } => "resume with the recipe of the run, which lies beside its checkpoints as recipe.yaml",
        }
        .into()
    }
}

/// An opened checkpoint: its header is sound, its tensors are yet to be read.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    state: State,
    file: TensorFile,
}

/// Writes the state of a run to `folder/step_000200.safetensors` and returns that path. The file is whole or absent.
///
/// # Errors
/// [`CheckpointError::Write`].
pub fn save(folder: &Path, step: &dyn Step, state: &State) -> Result<PathBuf, CheckpointError> {
    let path = folder.join(file_name(state.step));
    let weights = step.weights();
    let tensors: Vec<(Part, usize)> = PARTS
        .iter()
        .flat_map(|&part| (0..weights.len()).map(move |index| (part, index)))
        .collect();
    let entries = tensors.iter().map(|&(part, index)| {
        let WeightInfo { name, dims, .. } = &weights[index];
        (tensor_name(part, name), dims.clone())
    });
    let entries = entries.collect();
    let note = Note {
        format: FORMAT,
        state,
    };
    let written = serde_json::to_string(&note)
        .map_err(io::Error::other)
        .and_then(|note| {
            fs::create_dir_all(folder)?;
            replace(&path, |file| {
                tensor_file::write(file, (NOTE, note), entries, |which, to| {
                    let (part, index) = tensors[which];
                    step.read(part, index, to);
                })
            })
        });
    match written {
        Ok(()) => Ok(path),
        Err(source) => Err(CheckpointError::Write { path, source }),
    }
}

/// Removes all but the newest `keep` checkpoints up to and including that of `step`, and what interrupted saves left.
/// Later ones stay: they cannot be this run's own.
///
/// # Errors
/// [`CheckpointError::Write`].
pub fn prune(folder: &Path, keep: NonZeroUsize, step: u64) -> Result<(), CheckpointError> {
    let cleaned = sweep(folder).and_then(|()| {
        let mut own = list(folder)?;
        own.retain(|(made, _)| *made <= step);
        let old = own.len().saturating_sub(keep.get());
        own[..old]
            .iter()
            .try_for_each(|(_, path)| fs::remove_file(path))
    });
    cleaned.map_err(|source| CheckpointError::Write {
        path: folder.to_owned(),
        source,
    })
}

/// Opens the newest sound checkpoint of a folder, and tells of newer ones that are damaged. `None` if the folder holds
/// none at all.
///
/// # Errors
/// The folder cannot be listed, or holds checkpoints of which none is sound.
pub fn latest(
    folder: &Path,
) -> Result<Option<(Checkpoint, Vec<CheckpointError>)>, CheckpointError> {
    let found = match list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(|source| CheckpointError::Read {
            path: folder.to_owned(),
            source,
        })?,
    };
    let mut damaged = Vec::new();
    for (_, path) in found.into_iter().rev() {
        match Checkpoint::open(&path) {
            Ok(checkpoint) => return Ok(Some((checkpoint, damaged))),
            Err(error) => damaged.push(error),
        }
    }
    match damaged.into_iter().next() {
        Some(newest) => Err(newest),
        None => Ok(None),
    }
}

impl Checkpoint {
    /// Reads and checks a checkpoint's header.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or is no checkpoint of a run.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let path = path.to_owned();
        let file = match TensorFile::open(&path) {
            Ok(file) => file,
            Err(source) => return Err(CheckpointError::Read { path, source }),
        };
        let Some(note) = file.note(NOTE) else {
            return Err(CheckpointError::Foreign { path });
        };
        match parse_note(note) {
            Ok(Ok(state)) => Ok(Self { path, state, file }),
            Ok(Err(format)) => Err(CheckpointError::Format { path, format }),
            Err(source) => Err(CheckpointError::Read {
                path,
                source: source.into(),
            }),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// Puts weights and moments into a program. Nothing is changed unless every tensor fits.
    ///
    /// # Errors
    /// The file cannot be read, or [`CheckpointError::Mismatch`].
    pub fn restore(&mut self, step: &mut dyn Step) -> Result<(), CheckpointError> {
        let weights = step.weights().to_vec();
        self.check(&weights)?;
        let mut values = Vec::new();
        for part in PARTS {
            for (index, weight) in weights.iter().enumerate() {
                values.resize(weight.len(), 0.0);
                let name = tensor_name(part, &weight.name);
                self.file
                    .read(&name, &mut values)
                    .map_err(|source| CheckpointError::Read {
                        path: self.path.clone(),
                        source,
                    })?;
                step.write(part, index, &values);
            }
        }
        Ok(())
    }

    fn check(&self, weights: &[WeightInfo]) -> Result<(), CheckpointError> {
        let mut wanted = BTreeMap::new();
        for part in PARTS {
            let named = weights
                .iter()
                .map(|w| (tensor_name(part, &w.name), &w.dims[..]));
            wanted.extend(named);
        }
        let tensors = self.file.tensors();
        let describe = |info: &TensorInfo| match info.dtype {
            Dtype::F32 => format!("{:?}", info.shape),
            other => format!("{:?} of {other}", info.shape),
        };
        let found = tensors
            .iter()
            .map(|(name, info)| (name.as_str(), describe(info)));
        let wanted = wanted
            .iter()
            .map(|(name, dims)| (name.as_str(), format!("{dims:?}")));
        match Mismatch::between(wanted.collect(), found.collect()) {
            None => Ok(()),
            Some(mismatch) => Err(CheckpointError::Mismatch {
                path: self.path.clone(),
                mismatch,
            }),
        }
    }
}

/// The state, or the format if it is another.
fn parse_note(note: &str) -> serde_json::Result<Result<State, u32>> {
    let Note { format, state } = serde_json::from_str::<Note<serde_json::Value>>(note)?;
    if format != FORMAT {
        return Ok(Err(format));
    }
    serde_json::from_value(state).map(Ok)
}

fn tensor_name(part: Part, weight: &str) -> String {
    let prefix = match part {
        Part::Value | Part::Gradient => "",
        Part::FirstMoment => FIRST_MOMENT,
        Part::SecondMoment => SECOND_MOMENT,
    };
    format!("{prefix}{weight}")
}

fn file_name(step: u64) -> String {
    format!("step_{step:06}.safetensors")
}

/// Checkpoints by their names, the oldest first.
fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|n| n.strip_prefix("step_")?.strip_suffix(".safetensors"));
        if let Some(step) = number.and_then(|digits| digits.parse().ok()) {
            found.push((step, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

//! Checkpoints: all that a run needs to go on to the same bits, in one safetensors file.
//!
//! Weights stand under the model's own names, their moments under [`FIRST_MOMENT`] and [`SECOND_MOMENT`]; the key
//! [`NOTE`] of the header holds a [`State`] and a checksum as JSON. Same state, same bytes.

mod error;
mod folder;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

pub use error::{CheckpointError, Room};
pub use folder::{latest, prune, taken};

use safetensors::{Dtype, tensor::TensorInfo};
use serde::{Deserialize, Serialize};
use twox_hash::xxhash3_128::Hasher;

use super::{
    disk::{Disk, create_folders},
    mismatch::Mismatch,
    replace::replace,
    step::{Part, Step, StepError, WeightInfo},
    tensor_file::{self, Entry, TensorFile},
};
use folder::ENDING;

/// Stands before a weight's name in the name of the running mean of its gradient.
pub const FIRST_MOMENT: &str = "optimizer.exp_avg.";
/// Stands before a weight's name in the name of the running mean of its squared gradient.
pub const SECOND_MOMENT: &str = "optimizer.exp_avg_sq.";
/// The header's key of the [`State`].
pub const NOTE: &str = "mimc";

/// The layout of a checkpoint: the second has a checksum, and says which images it saw. The first is not read.
const FORMAT: u32 = 2;
const PARTS: [Part; 3] = [Part::Value, Part::FirstMoment, Part::SecondMoment];

/// Where a run stood. Its JSON is sorted by key, for the fields are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Images per optimizer step.
    pub batch: usize,
    /// The epoch of the next step, from 0.
    pub epoch: u64,
    /// Checksums of the graph files that the model is made of, by their paths.
    pub graphs: BTreeMap<String, String>,
    /// Images found.
    pub images: usize,
    /// Images per micro-batch.
    pub micro_batch: usize,
    /// A checksum over the names of the images, in their order.
    pub names: String,
    /// Images of that epoch before the next step's.
    pub position: usize,
    /// The resolved recipe.
    pub recipe: String,
    /// Of the run.
    pub seed: u64,
    /// Optimizer steps made.
    pub step: u64,
}

/// What the header holds. Its JSON is sorted by key as well; the checksum stands first, before any text of a user's.
#[derive(Serialize, Deserialize)]
struct Note<T> {
    checksum: String,
    format: u32,
    state: T,
}

/// An opened checkpoint, whole by its checksum.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    state: State,
    file: TensorFile,
}

/// Writes the state of a run to `folder/step_000200.safetensors` and returns that path. The file is whole or absent.
///
/// # Errors
/// [`CheckpointError::Write`], and where the program's state cannot be read.
pub fn save(
    disk: &dyn Disk,
    folder: &Path,
    step: &dyn Step,
    state: &State,
) -> Result<PathBuf, CheckpointError> {
    let path = folder.join(file_name(state.step));
    let tensors = tensors(step.weights());
    let entries: Vec<_> = tensors.iter().map(|(_, _, entry)| entry.clone()).collect();
    let note = |seal: &str| {
        let note = Note {
            checksum: seal.into(),
            format: FORMAT,
            state,
        };
        serde_json::to_string(&note).expect("numbers and texts are always JSON")
    };
    let mut lost = None;
    let written = create_folders(disk, folder).and_then(|()| {
        replace(disk, &path, |file| {
            tensor_file::write(file, (NOTE, &note), entries, |which, to| {
                let (part, index, _) = tensors[which];
                step.read(part, index, to).map_err(|error| {
                    lost = Some(error);
                    io::ErrorKind::Other.into()
                })
            })
        })
    });
    match (written, lost) {
        (Ok(()), _) => Ok(path),
        (Err(_), Some(error)) => Err(error.into()),
        (Err(source), None) => Err(CheckpointError::Write {
            path,
            source,
            room: room(disk, folder, step),
        }),
    }
}

/// What the checkpoint of a program takes, and what a folder has left.
pub fn room(disk: &dyn Disk, folder: &Path, step: &dyn Step) -> Room {
    let elements: usize = step.weights().iter().map(WeightInfo::len).sum();
    Room {
        takes: (PARTS.len() * elements * size_of::<f32>()) as u64,
        free: disk.free(folder).ok(),
    }
}

/// The first tensor of a program's state that holds something other than a finite number: such a state is worth nothing.
///
/// # Errors
/// As [`Step::read`].
pub fn not_finite(step: &dyn Step) -> Result<Option<String>, StepError> {
    let mut values = Vec::new();
    for (part, index, (name, dims)) in tensors(step.weights()) {
        values.resize(dims.iter().product(), 0.0);
        step.read(part, index, &mut values)?;
        if values.iter().any(|value| !value.is_finite()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// A checksum over texts, one after the other: 32 hexadecimal digits.
pub fn checksum<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let mut hasher = Hasher::new();
    for text in texts {
        hasher.write(text.as_bytes());
        hasher.write(b"\0");
    }
    format!("{:032x}", hasher.finish_128())
}

/// What a checkpoint holds of some weights, in its order.
fn tensors(weights: &[WeightInfo]) -> Vec<(Part, usize, Entry)> {
    let of = |part: Part| {
        let weights = weights.iter().enumerate();
        weights.map(move |(index, weight)| {
            let entry = (tensor_name(part, &weight.name), weight.dims.clone());
            (part, index, entry)
        })
    };
    PARTS.into_iter().flat_map(of).collect()
}

impl Checkpoint {
    /// Opens a checkpoint and compares all of it with its checksum.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or is no checkpoint of a run.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let path = path.to_owned();
        let mut file = match TensorFile::open(&path) {
            Ok(file) => file,
            Err(source) => return Err(CheckpointError::Read { path, source }),
        };
        let Some(note) = file.note(NOTE) else {
            return Err(CheckpointError::Foreign { path });
        };
        let (checksum, state) = match parse_note(note) {
            Ok(Ok(parsed)) => parsed,
            Ok(Err(format)) => return Err(CheckpointError::Format { path, format }),
            Err(error) => {
                let source = error.into();
                return Err(CheckpointError::Read { path, source });
            }
        };
        match file.is_sealed_with(&checksum) {
            Ok(true) => Ok(Self { path, state, file }),
            Ok(false) => Err(CheckpointError::Damaged { path }),
            Err(source) => Err(CheckpointError::Read { path, source }),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the run stood.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The weights by name, with their shapes, in the order of the model.
    pub fn weights(&self) -> Vec<Entry> {
        let tensors = self.file.tensors();
        let moment = |name: &str| name.starts_with(FIRST_MOMENT) || name.starts_with(SECOND_MOMENT);
        let mut weights: Vec<_> = tensors.iter().filter(|(name, _)| !moment(name)).collect();
        weights.sort_by_key(|(_, info)| info.data_offsets);
        let entry = |(name, info): (&String, &&TensorInfo)| (name.clone(), info.shape.clone());
        weights.into_iter().map(entry).collect()
    }

    /// Reads one tensor of a weight. A gradient is not kept: it reads as the weight itself.
    ///
    /// # Errors
    /// The file cannot be read, or holds no such tensor of so many numbers.
    pub fn read(
        &mut self,
        part: Part,
        weight: &str,
        to: &mut [f32],
    ) -> Result<(), CheckpointError> {
        let read = self.file.read(&tensor_name(part, weight), to);
        read.map_err(|source| CheckpointError::Read {
            path: self.path.clone(),
            source,
        })
    }

    /// Puts weights and moments into a program. Nothing is changed unless every tensor fits.
    ///
    /// # Errors
    /// The file cannot be read, the program cannot be written to, or [`CheckpointError::Mismatch`].
    pub fn restore(&mut self, step: &mut dyn Step) -> Result<(), CheckpointError> {
        let weights = step.weights().to_vec();
        self.check(&weights)?;
        let mut values = Vec::new();
        for part in PARTS {
            for (index, weight) in weights.iter().enumerate() {
                values.resize(weight.len(), 0.0);
                self.read(part, &weight.name, &mut values)?;
                step.write(part, index, &values)?;
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

/// Checksum and state, or the format if it is another.
fn parse_note(note: &str) -> serde_json::Result<Result<(String, State), u32>> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } = serde_json::from_str(note)?;
    if format != FORMAT {
        return Ok(Err(format));
    }
    let Note {
        checksum, state, ..
    } = serde_json::from_str(note)?;
    Ok(Ok((checksum, state)))
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
    format!("step_{step:06}{ENDING}")
}

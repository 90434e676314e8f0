//! The checkpoints of a run, together.

use std::{
    fs, io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use super::{Checkpoint, CheckpointError};
use crate::train::{disk::Disk, output::numbered};

/// What each file's name ends with.
pub(super) const ENDING: &str = ".safetensors";

/// Removes all but the newest `keep` checkpoints up to and including that of `step`. Later ones stay: they cannot be
/// this run's own.
///
/// # Errors
/// [`CheckpointError::Remove`].
pub fn prune(
    disk: &dyn Disk,
    folder: &Path,
    keep: NonZeroUsize,
    step: u64,
) -> Result<(), CheckpointError> {
    let cleaned = list(folder).and_then(|mut own| {
        own.retain(|(made, _)| *made <= step);
        let old = own.len().saturating_sub(keep.get());
        own[..old]
            .iter()
            .try_for_each(|(_, path)| disk.remove(path))
    });
    cleaned.map_err(|source| CheckpointError::Remove {
        folder: folder.to_owned(),
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
    match damaged.len() {
        0 => Ok(None),
        1 => Err(damaged.remove(0)),
        _ => Err(CheckpointError::NoneSound {
            folder: folder.to_owned(),
            errors: damaged,
        }),
    }
}

/// Bytes of all checkpoints in a folder, as far as they can be told.
pub fn taken(folder: &Path) -> u64 {
    let found = list(folder).unwrap_or_default();
    let sizes = found.iter().filter_map(|(_, path)| fs::metadata(path).ok());
    sizes.map(|file| file.len()).sum()
}

/// Checkpoints by their names, the oldest first.
fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if let Some(step) = numbered(&path, ENDING) {
            found.push((step, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

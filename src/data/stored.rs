//! Images on disk: files in a folder, or in tar archives.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    DataError, file,
    folder::{self, Closed, SHARD},
    names::Names,
    shards::Shards,
};
use crate::text::paths::shown;

/// The images at a path, numbered from 0 in one order on every machine.
#[derive(Debug)]
pub enum Stored {
    Files(Names),
    Shards(Arc<Shards>),
}

/// The bytes of an image as they are stored, or why they cannot be read.
pub type Encoded = Result<Vec<u8>, String>;

/// What stands beside the images.
#[derive(Debug, Default)]
pub struct Beside {
    /// How many files of each extension are no images.
    pub others: BTreeMap<String, usize>,
    /// Folders that cannot be looked into.
    pub closed: Vec<Closed>,
}

impl Stored {
    /// Finds the images of a folder and all folders below it, of the tar archives there, or of one tar archive.
    ///
    /// # Errors
    /// Nothing is there, no images, or both images and archives; an archive cannot be read.
    pub fn open(path: &Path) -> Result<(Self, Beside), DataError> {
        if path.is_file() {
            return Ok((Self::one_shard(path)?, Beside::default()));
        }
        let listing = folder::list(path)?;
        let (images, shards) = (listing.images.len(), listing.shards.len());
        if let (0, Some(path)) = (images, listing.packed) {
            return Err(DataError::Packed { path });
        }
        let stored = match (images, shards) {
            (0, 0) => return Err(nothing(path, listing.others, listing.closed)),
            (_, 0) => Self::Files(listing.images),
            (0, _) => {
                let paths = (0..shards).map(|shard| listing.shards.path(shard));
                Self::of_shards(path, paths.collect())?
            }
            _ => {
                return Err(DataError::Mixed {
                    path: path.to_owned(),
                    images,
                    shards,
                    image: shown(&listing.images.path(0)),
                    shard: shown(&listing.shards.path(0)),
                });
            }
        };
        let (others, closed) = (listing.others, listing.closed);
        Ok((stored, Beside { others, closed }))
    }

    fn one_shard(path: &Path) -> Result<Self, DataError> {
        let path = path.to_owned();
        if folder::is_packed(&path) {
            return Err(DataError::Packed { path });
        }
        if folder::lower_extension(&path) != SHARD {
            return Err(DataError::NotAFolder { path });
        }
        let root = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::of_shards(&root, vec![path])
    }

    fn of_shards(root: &Path, paths: Vec<PathBuf>) -> Result<Self, DataError> {
        let place = if let [one] = &paths[..] { one } else { root };
        let (place, count) = (place.to_owned(), paths.len());
        match Shards::open(root, paths)? {
            shards if shards.len() == 0 => Err(DataError::NoImages {
                path: place,
                found: match count {
                    1 => "the archive holds none".into(),
                    count => format!("its {count} archives hold none"),
                },
            }),
            shards => Ok(Self::Shards(shards.into())),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Files(names) => names.len(),
            Self::Shards(shards) => shards.len(),
        }
    }

    /// The file of an image as a user would open it, on one line.
    pub fn name(&self, image: usize) -> String {
        match self {
            Self::Files(names) => shown(&names.path(image)),
            Self::Shards(shards) => shown(&shards.path(image)),
        }
    }

    /// The bytes of an image, as they are stored.
    ///
    /// # Errors
    /// Of the file system.
    pub fn read(&self, image: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::Files(names) => file::read(&names.path(image)),
            Self::Shards(shards) => shards.read(image),
        }
    }
}

impl Beside {
    /// # Errors
    /// A folder cannot be looked into: what is in it would be missing, and nobody would know.
    pub fn check(&self) -> Result<(), DataError> {
        match self.closed.first() {
            None => Ok(()),
            Some(Closed { path, reason }) => Err(DataError::Unlistable {
                path: path.clone(),
                reason: reason.clone(),
            }),
        }
    }
}

/// The folder holds neither images nor archives.
fn nothing(path: &Path, others: BTreeMap<String, usize>, closed: Vec<Closed>) -> DataError {
    if let Some(Closed { path, reason }) = closed.into_iter().next() {
        return DataError::Unlistable { path, reason };
    }
    DataError::NoImages {
        path: path.to_owned(),
        found: match folder::tell_kinds(&others) {
            kinds if kinds.is_empty() => "it holds no files".into(),
            kinds => format!("it holds {kinds}"),
        },
    }
}

//! Images in tar archives, as WebDataset lays them out: each is found once, and then read where it lies.
//!
//! Knowing where each image lies, an epoch is a permutation of all of them, whichever archive they are in, and a place
//! in the run is a number: nothing has to be read on the way to it. A local disk gives one image from the middle of an
//! archive as fast as a file of its own.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use tar::Archive;

use super::{
    DataError, file,
    folder::{EXTENSIONS, lower_extension},
    names::Names,
};

/// The images of all archives, in the order of the archives and of what lies in them.
#[derive(Debug)]
pub struct Shards {
    shards: Vec<Shard>,
    names: Names,
    entries: Vec<Span>,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    /// The number of its first image.
    first: usize,
}

/// Where an image lies in its archive, in bytes.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u64,
    length: u64,
}

impl Shards {
    /// Finds the images of some archives, several archives at the same time. `root` is what they stand in.
    ///
    /// # Errors
    /// An archive cannot be read, is compressed, is damaged, or ends early.
    pub fn open(root: &Path, paths: Vec<PathBuf>) -> Result<Self, DataError> {
        let found: Vec<_> = paths.par_iter().map(|path| index(path)).collect();
        let mut all = Self {
            shards: Vec::new(),
            names: Names::below(root.as_os_str()),
            entries: Vec::new(),
        };
        for (path, found) in paths.into_iter().zip(found) {
            let (mut names, entries) = found.map_err(|error| DataError::BadShard {
                path: path.clone(),
                reason: error.to_string(),
            })?;
            let first = all.entries.len();
            let below = path.strip_prefix(root).unwrap_or(&path);
            names.rename(below.as_os_str());
            all.names.append(&names);
            all.entries.extend(entries);
            all.shards.push(Shard { path, first });
        }
        all.names.shrink();
        all.entries.shrink_to_fit();
        Ok(all)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many archives there are.
    pub fn count(&self) -> usize {
        self.shards.len()
    }

    /// `shards/0001.tar/cat.jpg`
    pub fn path(&self, image: usize) -> PathBuf {
        self.names.path(image)
    }

    /// The bytes of an image.
    ///
    /// # Errors
    /// Of the file system: the archive is gone, or shorter than it was.
    pub fn read(&self, image: usize) -> io::Result<Vec<u8>> {
        let shard = self.shards.partition_point(|shard| shard.first <= image) - 1;
        let Span { start, length } = self.entries[image];
        let mut archive = File::open(&self.shards[shard].path)?;
        archive.seek(SeekFrom::Start(start))?;
        let mut bytes = vec![0; file::check(length)?];
        archive.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// What begins a compressed file, and what it is called.
const COMPRESSED: [(&[u8], &str); 4] = [
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
];

/// Reads the headers of an archive, and passes over what lies between them.
fn index(path: &Path) -> io::Result<(Names, Vec<Span>)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut start = Vec::new();
    file.by_ref().take(8).read_to_end(&mut start)?;
    if let Some((_, how)) = COMPRESSED
        .iter()
        .find(|(magic, _)| start.starts_with(magic))
    {
        let message =
            format!("it is compressed with {how}, and images are read from the middle of archives");
        return Err(io::Error::other(message));
    }
    file.rewind()?;
    let mut archive = Archive::new(file);
    let mut names = Names::below(OsStr::new(""));
    let mut spans = Vec::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let (start, size) = (entry.raw_file_position(), entry.size());
        let name = entry.path_bytes();
        if start.checked_add(size).is_none_or(|end| end > length) {
            let name = String::from_utf8_lossy(&name);
            return Err(io::Error::other(format!("it ends in the middle of {name}")));
        }
        let kind = entry.header().entry_type();
        if (kind.is_file() || kind.is_contiguous()) && is_image(&name) {
            names.push(relative(&name));
            spans.push(Span {
                start,
                length: size,
            });
        }
    }
    Ok((names, spans))
}

/// Without what stands for the archive itself.
fn relative(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = name.strip_prefix(b"./").or(name.strip_prefix(b"/")) {
        name = rest;
    }
    name
}

/// By its name: an extension of images, and no dot at its beginning.
fn is_image(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name);
    let path = Path::new(name.as_ref());
    let hidden = path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && EXTENSIONS.contains(&lower_extension(path).as_str())
}

//! Images in tar archives, as WebDataset lays them out: each is found once, and then read where it lies.
//!
//! Knowing where each image lies, an epoch is a permutation of all of them, whichever archive they are in, and a place
//! in the run is a number: nothing has to be read on the way to it. A local disk gives one image from the middle of an
//! archive as fast as a file of its own; where one does not, a [`Stream`](super::stream::Stream) reads them from front to
//! back.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
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
pub struct Span {
    pub start: u64,
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
        let (shard, span) = self.place(image);
        let mut archive = File::open(self.archive(shard))?;
        archive.seek(SeekFrom::Start(span.start))?;
        span.read(&mut archive)
    }

    /// The number of the archive that an image is in, and where it lies there.
    pub fn place(&self, image: usize) -> (usize, Span) {
        let shard = self.shards.partition_point(|shard| shard.first <= image) - 1;
        (shard, self.entries[image])
    }

    /// The path of an archive, whose number is below [`count`](Self::count).
    pub fn archive(&self, shard: usize) -> &Path {
        &self.shards[shard].path
    }

    /// The number of each archive's first image, and behind them the number of images.
    pub fn bounds(&self) -> Arc<[usize]> {
        let firsts = self.shards.iter().map(|shard| shard.first);
        firsts.chain([self.len()]).collect()
    }
}

impl Span {
    /// Where the next thing may lie.
    pub fn end(self) -> u64 {
        self.start + self.length
    }

    /// The bytes of an image, from an archive that stands at its start.
    ///
    /// # Errors
    /// Of the file system: the archive is shorter than it was.
    pub fn read(self, archive: &mut impl Read) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; file::check(self.length)?];
        archive
            .read_exact(&mut bytes)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    io::Error::other("the archive has become shorter, and ends before it does")
                }
                _ => error,
            })?;
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

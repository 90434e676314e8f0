//! What can go wrong with images: what was got, what was wanted, and the nearest fix.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::{
    folder::{EXTENSIONS, SHARD},
    tally::{Skipped, TOLERATED_PERCENT},
};

/// A failure of the image side. `Display` is the message, [`help`](DataError::help) the nearest fix.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "a variant's message says what its fields hold")]
pub enum DataError {
    #[error("no folder {}", path.display())]
    FolderMissing {
        path: PathBuf,
        /// The longest part of the path that is there, absolute.
        nearest: PathBuf,
        /// Folders beside the missing one: the close spellings if there are any, else the first few.
        beside: Vec<String>,
        /// Whether `beside` holds close spellings.
        misspelt: bool,
    },

    #[error("{} is a file, but images are read from a folder or a .tar", path.display())]
    NotAFolder { path: PathBuf },

    #[error("cannot look into {}: {reason}", path.display())]
    Unlistable { path: PathBuf, reason: String },

    /// `found` says what the folder holds instead.
    #[error("no images in {}: {found}", path.display())]
    NoImages { path: PathBuf, found: String },

    #[error("{} holds both images and tar archives: {images} such as {image}, and {shards} such as {shard}", path.display())]
    Mixed {
        path: PathBuf,
        images: usize,
        shards: usize,
        /// The first of each.
        image: String,
        shard: String,
    },

    #[error("cannot read the archive {}: {reason}", path.display())]
    BadShard { path: PathBuf, reason: String },

    #[error("{} is compressed, and images are read from plain tar archives", path.display())]
    Packed { path: PathBuf },

    #[error("{found} {} in {place}, but a batch takes {batch}", if *found == 1 { "image" } else { "images" })]
    TooFewImages {
        found: usize,
        batch: usize,
        place: String,
    },

    #[error("cannot read the image {name}: {reason}")]
    Unreadable { name: String, reason: String },

    #[error(
        "{unreadable} of the first {tried} images cannot be read, and more than {TOLERATED_PERCENT} % are too many: {}",
        named(first, *unreadable)
    )]
    TooManyUnreadable {
        unreadable: usize,
        tried: usize,
        /// The first few.
        first: Vec<Skipped>,
    },

    /// `key` is a path of the recipe.
    #[error("{key} = {got}, but it must be {wanted}")]
    OutOfRange {
        key: &'static str,
        got: String,
        wanted: String,
    },

    #[error("cannot start a thread that loads images: {reason}")]
    NoThread { reason: String },

    #[error("a thread that loads images ended early; its own message stands above")]
    LoaderEnded,
}

impl DataError {
    /// What to do about it, one or two sentences without a final full stop.
    pub fn help(&self) -> String {
        match self {
            Self::FolderMissing {
                nearest,
                beside,
                misspelt,
                ..
            } => missing_folder_help(nearest, beside, *misspelt),
            Self::NotAFolder { path } => match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => {
                    format!(
                        "give the folder that holds it: --data {}",
                        parent.display()
                    )
                }
                _ => "give the folder that holds it: --data .".into(),
            },
            Self::Unlistable { .. } => {
                "what is in it would be missing from training: give yourself permission to read it, or move it elsewhere"
                    .into()
            }
            Self::Mixed { path, .. } => format!(
                "keep them in two folders; if the archives are where the images came from, move them out of {}",
                path.display()
            ),
            Self::BadShard { .. } => {
                "an archive is read where it lies, so it must be plain (gunzip it) and whole (copy it again)".into()
            }
            Self::Packed { path } => format!(
                "images are compressed already, so unpacking costs little space: unpack {} once, to a tar or a folder",
                path.display()
            ),
            Self::NoImages { .. } => format!(
                "looked in it and in all folders below for {}, in upper or lower case; other kinds of images need converting",
                extension_list()
            ),
            Self::TooFewImages {
                found: 0, batch, ..
            } => format!("ask for {batch} images or more"),
            Self::TooFewImages { found, .. } => {
                format!("the largest batch that fits is {found}: --set train.batch={found}")
            }
            Self::Unreadable { .. } => {
                "the file is damaged or of another kind than its name says: repair it, or move it out of the folder"
                    .into()
            }
            Self::TooManyUnreadable { .. } => {
                "`mimc data` with this folder names them all: mend them or move them out of it; --resume then goes on"
                    .into()
            }
            Self::OutOfRange { key, .. } => format!("change {key} in the recipe, or --set {key}=…"),
            Self::NoThread { .. } => {
                "fewer threads may do: --set data.workers=1".into()
            }
            Self::LoaderEnded => "run again with RUST_BACKTRACE=1 to see where".into(),
        }
    }

    pub(super) fn no_thread(error: io::Error) -> Self {
        Self::NoThread {
            reason: error.to_string(),
        }
    }
}

/// `a.jpg (the file is empty), b.jpg (the file is cut short) and 9 more`
fn named(first: &[Skipped], all: usize) -> String {
    let told = first
        .iter()
        .map(|Skipped { name, reason }| format!("{name} ({reason})"));
    let told = told.collect::<Vec<_>>().join(", ");
    match all - first.len() {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

fn missing_folder_help(nearest: &std::path::Path, beside: &[String], misspelt: bool) -> String {
    let nearest = format!("the nearest folder that exists is {}", nearest.display());
    let names = beside.join(", ");
    match (beside.is_empty(), misspelt) {
        (true, _) => format!("{nearest}; --data gives another one"),
        (false, true) => format!("{nearest}; did you mean {names}?"),
        (false, false) => format!("{nearest}, which holds {names}; --data gives another one"),
    }
}

/// `.jpg, .jpeg, …, .bmp and .tar`
fn extension_list() -> String {
    let dotted: Vec<String> = EXTENSIONS.iter().map(|e| format!(".{e}")).collect();
    format!("{} and .{SHARD}", dotted.join(", "))
}

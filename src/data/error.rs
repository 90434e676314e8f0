//! What can go wrong with images: what was got, what was wanted, and the nearest fix.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::folder::EXTENSIONS;

/// A failure of the image side. `Display` is the message, [`help`](DataError::help) the nearest fix.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
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

    #[error("{} is a file, but images are read from a folder", path.display())]
    NotAFolder { path: PathBuf },

    #[error("cannot look into {}: {reason}", path.display())]
    Unlistable { path: PathBuf, reason: String },

    /// `found` says what the folder holds instead.
    #[error("no images in {}: {found}", path.display())]
    NoImages { path: PathBuf, found: String },

    #[error("{found} {} in {place}, but a batch takes {batch}", if *found == 1 { "image" } else { "images" })]
    TooFewImages {
        found: usize,
        batch: usize,
        place: String,
    },

    #[error("cannot read the image {}: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },

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
                "a link to nothing, or a folder without permission to read: mend it, or move it elsewhere"
                    .into()
            }
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
            Self::OutOfRange { key, .. } => format!("change {key} in the recipe, or --set {key}=…"),
            Self::NoThread { .. } => {
                "fewer threads may do: --set data.workers=1".into()
            }
            Self::LoaderEnded => "run again with RUST_BACKTRACE=1 to see where".into(),
        }
    }

    pub(super) fn unreadable(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Unreadable {
            path: path.into(),
            reason: reason.to_string(),
        }
    }

    pub(super) fn no_thread(error: io::Error) -> Self {
        Self::NoThread {
            reason: error.to_string(),
        }
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

/// `.jpg, .jpeg, .png and .webp`
fn extension_list() -> String {
    let dotted: Vec<String> = EXTENSIONS.iter().map(|e| format!(".{e}")).collect();
    let (last, rest) = dotted.split_last().expect("EXTENSIONS is not empty");
    format!("{} and {last}", rest.join(", "))
}

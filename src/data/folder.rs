//! The images of a folder: found by extension at any depth, in one order on every machine.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use walkdir::{DirEntry, WalkDir};

use super::DataError;

/// The file name extensions taken for images, in lower case. What a file really holds is told by its first bytes.
pub const EXTENSIONS: [&str; 10] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "tif", "tiff", "bmp",
];

/// All images below `root`, relative to it, sorted by path component: the order does not depend on the file system.
///
/// Links are followed, but never into a folder they stand in. Names that begin with a dot are passed over, for they
/// are thumbnails and resource forks.
///
/// # Errors
/// The folder is missing or a file, something below it cannot be listed, or it holds no image.
pub fn list(root: &Path) -> Result<Vec<PathBuf>, DataError> {
    check_is_folder(root)?;
    let mut images = Vec::new();
    let mut others = BTreeMap::<String, usize>::new();
    let visible = |entry: &DirEntry| {
        entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    for entry in WalkDir::new(root)
        .follow_links(true)
        .into_iter()
        .filter_entry(visible)
    {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if error.loop_ancestor().is_some() => continue,
            Err(error) => return Err(unlistable(root, error)),
        };
        if !entry.file_type().is_file() {
            continue;
        }
        let extension = lower_extension(entry.path());
        if EXTENSIONS.contains(&extension.as_str()) {
            let relative = entry.path().strip_prefix(root);
            images.push(relative.expect("the walk stays below its root").to_owned());
        } else {
            *others.entry(extension).or_default() += 1;
        }
    }
    if images.is_empty() {
        return Err(DataError::NoImages {
            path: root.to_owned(),
            found: tell_kinds(others),
        });
    }
    images.sort_unstable();
    Ok(images)
}

fn check_is_folder(root: &Path) -> Result<(), DataError> {
    match fs::metadata(root) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(DataError::NotAFolder {
            path: root.to_owned(),
        }),
        Err(error) if is_absence(&error) => Err(missing(root)),
        Err(error) => Err(DataError::Unlistable {
            path: root.to_owned(),
            reason: error.to_string(),
        }),
    }
}

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn unlistable(root: &Path, error: walkdir::Error) -> DataError {
    let path = error.path().unwrap_or(root).to_owned();
    let reason = match error.io_error() {
        Some(inner) => inner.to_string(),
        None => error.to_string(),
    };
    DataError::Unlistable { path, reason }
}

/// The error for a folder that is not there: how much of its path is, and what it may have been meant to be.
fn missing(root: &Path) -> DataError {
    let absolute = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let nearest = absolute
        .ancestors()
        .find(|parent| parent.is_dir())
        .unwrap_or(Path::new("/"))
        .to_owned();
    let wanted = absolute
        .strip_prefix(&nearest)
        .ok()
        .and_then(|rest| rest.components().next())
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut beside = folders_in(&nearest);
    let close: Vec<String> = beside
        .iter()
        .filter(|name| strsim::jaro_winkler(name, &wanted) > 0.85)
        .cloned()
        .collect();
    let misspelt = !close.is_empty();
    if misspelt {
        beside = close;
    }
    beside.truncate(5);
    DataError::FolderMissing {
        path: root.to_owned(),
        nearest,
        beside,
        misspelt,
    }
}

/// Visible folders directly in `parent`, sorted; none if it cannot be listed.
fn folders_in(parent: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort_unstable();
    names
}

fn lower_extension(path: &Path) -> String {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    extension.to_ascii_lowercase()
}

/// `3 .tif, 1 .txt`, the most frequent first.
fn tell_kinds(counts: BTreeMap<String, usize>) -> String {
    if counts.is_empty() {
        return "it holds no files".into();
    }
    let mut kinds: Vec<(String, usize)> = counts.into_iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let told: Vec<String> = kinds
        .iter()
        .take(4)
        .map(|(extension, count)| match extension.as_str() {
            "" => format!("{count} without an extension"),
            _ => format!("{count} .{extension}"),
        })
        .collect();
    let more = if kinds.len() > told.len() {
        ", …"
    } else {
        ""
    };
    format!("it holds {}{more}", told.join(", "))
}

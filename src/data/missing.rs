//! What may have been meant by a folder that is not there.

use std::{fs, path::Path};

use super::DataError;

/// The error for a folder that is not there: how much of its path is, and what it may have been meant to be.
pub fn missing(root: &Path) -> DataError {
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

//! The names of a million files in little memory: each name once, each folder's path once.

use std::{
    borrow::Cow,
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// Names of files by number, with the folders they stand in. Takes about 8 bytes and the name's own for a file.
#[derive(Debug, Clone)]
pub struct Names {
    files: Words,
    /// Stretches of files that stand in one folder.
    runs: Vec<Run>,
    folders: Words,
    /// The number of each folder's own folder. The first folder is the top, and is in none.
    parents: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    first: usize,
    folder: u32,
}

/// Words in one piece of memory.
#[derive(Debug, Clone, Default)]
struct Words {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Words {
    fn push(&mut self, word: &[u8]) {
        self.bytes.extend_from_slice(word);
        self.ends.push(self.bytes.len());
    }

    fn get(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[number]]
    }

    fn append(&mut self, other: &Words) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| before + end));
    }

    fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

impl Names {
    /// Nothing yet, below a folder of this name.
    pub fn below(folder: &OsStr) -> Self {
        let mut folders = Words::default();
        folders.push(folder.as_encoded_bytes());
        Self {
            files: Words::default(),
            runs: Vec::new(),
            folders,
            parents: vec![0],
        }
    }

    /// Names the top folder, of a set that is in no other.
    pub fn rename(&mut self, folder: &OsStr) {
        let mut folders = Self::below(folder).folders;
        (1..self.parents.len()).for_each(|at| folders.push(self.folders.get(at)));
        self.folders = folders;
    }

    pub fn len(&self) -> usize {
        self.files.ends.len()
    }

    /// Adds a file of the top folder.
    pub fn push(&mut self, name: &[u8]) {
        if self.runs.last().is_none_or(|run| run.folder != 0) {
            let first = self.len();
            self.runs.push(Run { first, folder: 0 });
        }
        self.files.push(name);
    }

    /// Adds everything below another folder, which stands in the top folder.
    pub fn append(&mut self, other: &Names) {
        if other.len() == 0 {
            return;
        }
        let (files, folders) = (self.len(), self.parents.len() as u32);
        self.files.append(&other.files);
        self.folders.append(&other.folders);
        self.runs.extend(other.runs.iter().map(|run| Run {
            first: files + run.first,
            folder: folders + run.folder,
        }));
        let inner = other.parents.iter().skip(1);
        self.parents.push(0);
        self.parents.extend(inner.map(|parent| folders + parent));
    }

    /// Gives back what growing took in advance.
    pub fn shrink(&mut self) {
        self.files.shrink();
        self.folders.shrink();
        self.runs.shrink_to_fit();
        self.parents.shrink_to_fit();
    }

    /// The path of a file, which is below [`len`](Self::len); it begins with the top folder's name.
    pub fn path(&self, file: usize) -> PathBuf {
        let run = self.runs.partition_point(|run| run.first <= file) - 1;
        let mut folder = self.runs[run].folder as usize;
        let mut parts = vec![self.files.get(file)];
        while folder != 0 {
            parts.push(self.folders.get(folder));
            folder = self.parents[folder] as usize;
        }
        parts.push(self.folders.get(0));
        parts.into_iter().rev().map(os_name).collect()
    }

    /// Bytes of memory taken.
    #[cfg(test)]
    fn memory(&self) -> usize {
        let words = |words: &Words| words.bytes.capacity() + 8 * words.ends.capacity();
        words(&self.files)
            + words(&self.folders)
            + 16 * self.runs.capacity()
            + 4 * self.parents.capacity()
    }
}

/// The name whose encoded bytes these are.
#[cfg(unix)]
fn os_name(bytes: &[u8]) -> Cow<'_, Path> {
    use std::os::unix::ffi::OsStrExt;
    Cow::Borrowed(Path::new(OsStr::from_bytes(bytes)))
}

/// Elsewhere a name that is no Unicode is not found again: the image is one that cannot be read.
#[cfg(not(unix))]
fn os_name(bytes: &[u8]) -> Cow<'_, Path> {
    Cow::Owned(PathBuf::from(String::from_utf8_lossy(bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &str, files: &[&str]) -> Names {
        let mut names = Names::below(OsStr::new(folder));
        files.iter().for_each(|file| names.push(file.as_bytes()));
        names
    }

    #[test]
    fn paths_come_back() {
        let mut inner = names("b", &["2"]);
        inner.append(&names("empty", &[]));
        inner.append(&names("c", &["3", "4"]));
        inner.push(b"5");
        let mut all = names("/top", &["1"]);
        all.append(&inner);
        all.append(&names("d", &["6"]));
        all.push(b"7");
        let paths: Vec<_> = (0..all.len()).map(|file| all.path(file)).collect();
        let expected = [
            "/top/1",
            "/top/b/2",
            "/top/b/c/3",
            "/top/b/c/4",
            "/top/b/5",
            "/top/d/6",
            "/top/7",
        ];
        assert_eq!(paths, expected.map(PathBuf::from));
    }

    #[test]
    fn a_file_takes_little_memory() {
        let mut all = names("images", &[]);
        for folder in 0..1000 {
            let files: Vec<_> = (0..100).map(|n| format!("n{folder:08}_{n}.JPEG")).collect();
            let files: Vec<_> = files.iter().map(String::as_str).collect();
            all.append(&names(&format!("n{folder:08}"), &files));
        }
        all.shrink();
        // 17 bytes of a name and 8 that say where it ends.
        assert!(
            all.memory() / all.len() < 30,
            "{}",
            all.memory() / all.len()
        );
    }
}

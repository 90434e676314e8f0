//! Files that are whole or absent, whatever stops the program.

use std::{
    ffi::OsString,
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::disk::Disk;

/// Ends the name of a file that is being written.
const UNFINISHED: &str = ".partial";

/// Writes a file beside its place, makes sure it is on the disk, and renames it into place. A reader sees the old
/// content or the new one. `path` must name a file.
///
/// # Errors
/// Of the file system, or of `write`; then the place keeps what it held.
pub fn replace(
    disk: &dyn Disk,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let beside = unfinished(path);
    let written = write_through(disk, &beside, write).and_then(|()| disk.rename(&beside, path));
    if written.is_err() {
        // The first error is the one to report; what is left behind is swept later.
        let _ = disk.remove(&beside);
    }
    written?;
    disk.sync_folder(path.parent().unwrap_or(Path::new("")))
}

/// Removes what an interrupted [`replace`] left in a folder, if there is such a folder.
///
/// # Errors
/// Of the file system.
pub fn sweep(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if name.starts_with(b".") && name.ends_with(UNFINISHED.as_bytes()) && path.is_file() {
            disk.remove(&path)?;
        }
    }
    Ok(())
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(UNFINISHED);
    path.with_file_name(name)
}

fn write_through(
    disk: &dyn Disk,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, disk.create(path)?);
    write(&mut file)?;
    file.flush()?;
    file.get_mut().sync()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::disk::RealDisk;

    #[test]
    fn a_failed_write_leaves_the_old_content() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.txt");
        replace(&RealDisk, &path, |file| file.write_all(b"old")).expect("written");
        let failed = replace(&RealDisk, &path, |file| {
            file.write_all(b"new")?;
            Err(io::Error::other("no more"))
        });
        assert_eq!(failed.expect_err("fails").to_string(), "no more");
        assert_eq!(fs::read(&path).expect("still there"), b"old");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }

    #[test]
    fn sweeping_removes_only_unfinished_files() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in [".a.safetensors.partial", "a.partial", ".partial.txt"] {
            fs::write(folder.path().join(name), "x").expect("written");
        }
        sweep(&RealDisk, folder.path()).expect("swept");
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .expect("listed")
            .map(|entry| entry.expect("listed").file_name())
            .collect();
        left.sort();
        assert_eq!(left, [".partial.txt", "a.partial"]);
        sweep(&RealDisk, &folder.path().join("none")).expect("nothing to do");
    }
}

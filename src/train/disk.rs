//! What a run asks of the disk: few enough operations that a test can fail each of them, or stop the world around it.
//!
//! The promises are those of a POSIX file system: what was written is lasting once the file is synced, and a name is
//! lasting once its folder is.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// Everything that changes something on a disk. Each operation may fail, and the program may end before or after it.
pub trait Disk: fmt::Debug + Send + Sync {
    /// An empty file, in place of any of that name.
    ///
    /// # Errors
    /// Of the file system.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// A file to be written on behind its end; an empty one where there is none.
    ///
    /// # Errors
    /// Of the file system.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Puts a file or folder in the place of another, in one step.
    ///
    /// # Errors
    /// Of the file system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Of the file system.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Creates a folder inside one that is there; one that exists stays as it is.
    ///
    /// # Errors
    /// Of the file system.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder lasting.
    ///
    /// # Errors
    /// Of the file system.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Bytes that can still be written in a folder.
    ///
    /// # Errors
    /// Of the file system.
    fn free(&self, folder: &Path) -> io::Result<u64>;
}

/// A file open for writing.
pub trait DiskFile: Write + fmt::Debug + Send {
    /// Makes what was written lasting.
    ///
    /// # Errors
    /// Of the file system.
    fn sync(&mut self) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Debug)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::create(path)?))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            created => created,
        }
    }

    #[cfg(unix)]
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(or_here(path))?.sync_all()
    }

    /// Elsewhere a folder cannot be opened, and the rename itself is as lasting as it gets.
    #[cfg(not(unix))]
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free(&self, folder: &Path) -> io::Result<u64> {
        fs4::available_space(or_here(folder))
    }
}

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// The folder of a path that names none is the one the program runs in.
fn or_here(folder: &Path) -> &Path {
    match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    }
}

/// Creates a folder with all above it, lastingly.
///
/// # Errors
/// Of the file system.
pub fn create_folders(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let above = path.parent().unwrap_or(Path::new(""));
    create_folders(disk, above)?;
    disk.create_folder(path)?;
    disk.sync_folder(above)
}

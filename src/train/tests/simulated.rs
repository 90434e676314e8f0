//! A disk on which things go wrong, as the test file systems of SQLite do it: it counts its operations, fails or ends the
//! world at a chosen one, and then forgets what nobody made lasting.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use crate::{
    random::Key,
    train::disk::{Disk, DiskFile},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accident {
    /// The power fails before the operation: no later one happens.
    PowerCut,
    /// The operation fails, and only this one.
    Fails,
    /// From this operation on nothing new fits; a write stops half-way.
    Full,
}

/// What of the things that were not made lasting is there after a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survives {
    Nothing,
    /// A part of the content, and the earlier of the names; which, the key says.
    Some(Key),
}

/// A real folder, and a record of what in it is not lasting yet.
#[derive(Debug, Clone)]
pub struct Simulated(Arc<Mutex<World>>);

#[derive(Debug)]
struct World {
    operations: usize,
    accident: Option<(usize, Accident)>,
    off: bool,
    full: bool,
    free: u64,
    /// Files with their lasting length.
    unsynced: Vec<(PathBuf, u64)>,
    /// The oldest first.
    names: Vec<NameChange>,
}

/// How to take back a change of names, and which folders have yet to be synced.
#[derive(Debug)]
struct NameChange {
    folders: Vec<PathBuf>,
    undo: Undo,
}

#[derive(Debug)]
enum Undo {
    Create(PathBuf),
    Remove(PathBuf, Vec<u8>),
    Rename {
        from: PathBuf,
        to: PathBuf,
        replaced: Option<Vec<u8>>,
    },
}

impl Simulated {
    /// Something happens at an operation, counted from 0; or nothing ever does.
    pub fn new(accident: Option<(usize, Accident)>) -> Self {
        Self(Arc::new(Mutex::new(World {
            operations: 0,
            accident,
            off: false,
            full: false,
            free: 1 << 40,
            unsynced: Vec::new(),
            names: Vec::new(),
        })))
    }

    /// Operations so far.
    pub fn operations(&self) -> usize {
        self.world().operations
    }

    /// Says that so many bytes are free, whatever is true.
    pub fn leave_free(&self, bytes: u64) {
        self.world().free = bytes;
    }

    /// Leaves in the real folder what a machine finds when it is started again.
    pub fn restart(&self, survives: Survives) {
        let mut world = self.world();
        let world = &mut *world;
        for (number, (path, lasting)) in world.unsynced.drain(..).enumerate() {
            let file = OpenOptions::new().write(true).open(&path);
            let Ok(file) = file else { continue };
            let written = file.metadata().expect("there").len();
            let more = written.saturating_sub(lasting);
            let kept = match survives {
                Survives::Nothing => 0,
                Survives::Some(key) => key.with("content").below(number as u64, more + 1),
            };
            file.set_len(lasting + kept).expect("cut");
        }
        let changes = world.names.len() as u64;
        let kept = match survives {
            Survives::Nothing => 0,
            Survives::Some(key) => key.with("names").below(0, changes + 1),
        };
        for change in world.names.drain(kept as usize..).rev() {
            change.undo.run();
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("no test panics while it holds this")
    }

    /// Counts an operation; it fails if its time has come.
    fn enter(&self) -> io::Result<MutexGuard<'_, World>> {
        let mut world = self.world();
        if world.off {
            return Err(io::Error::other("the power is off"));
        }
        let number = world.operations;
        world.operations += 1;
        match world.accident {
            Some((at, Accident::PowerCut)) if at == number => {
                world.off = true;
                Err(io::Error::other("the power is off"))
            }
            Some((at, Accident::Fails)) if at == number => Err(io::Error::other("a bad sector")),
            Some((at, Accident::Full)) if at <= number => {
                world.full = true;
                Ok(world)
            }
            _ => Ok(world),
        }
    }

    /// As [`enter`](Self::enter), for what takes space.
    fn enter_with_room(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.enter()?;
        match world.full {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(world),
        }
    }

    fn open(&self, path: &Path, file: File) -> Box<dyn DiskFile> {
        Box::new(SimulatedFile {
            disk: self.clone(),
            path: path.to_owned(),
            file,
        })
    }
}

impl World {
    fn changed(&mut self, folders: &[&Path], undo: Undo) {
        let folders = folders.iter().map(|folder| folder.to_path_buf()).collect();
        self.names.push(NameChange { folders, undo });
    }
}

impl Undo {
    fn run(self) {
        match self {
            Self::Create(path) if path.is_dir() => fs::remove_dir_all(path).expect("removed"),
            Self::Create(path) => fs::remove_file(path).expect("removed"),
            Self::Remove(path, content) => fs::write(path, content).expect("written"),
            Self::Rename { from, to, replaced } => {
                fs::rename(&to, from).expect("renamed");
                if let Some(content) = replaced {
                    fs::write(to, content).expect("written");
                }
            }
        }
    }
}

fn above(path: &Path) -> &Path {
    path.parent().expect("a path in a folder")
}

impl Disk for Simulated {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.enter_with_room()?;
        if !path.exists() {
            world.changed(&[above(path)], Undo::Create(path.to_owned()));
        }
        let file = File::create(path)?;
        world.unsynced.retain(|(other, _)| other != path);
        world.unsynced.push((path.to_owned(), 0));
        drop(world);
        Ok(self.open(path, file))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.enter_with_room()?;
        if !path.exists() {
            world.changed(&[above(path)], Undo::Create(path.to_owned()));
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        drop(world);
        Ok(self.open(path, file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.enter()?;
        let replaced = fs::read(to).ok();
        fs::rename(from, to)?;
        for (path, _) in &mut world.unsynced {
            if let Ok(below) = path.strip_prefix(from) {
                *path = match below.as_os_str().is_empty() {
                    true => to.to_owned(),
                    false => to.join(below),
                };
            }
        }
        let undo = Undo::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            replaced,
        };
        world.changed(&[above(from), above(to)], undo);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.enter()?;
        let content = fs::read(path)?;
        fs::remove_file(path)?;
        world.changed(&[above(path)], Undo::Remove(path.to_owned(), content));
        Ok(())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut world = self.enter_with_room()?;
        if !path.is_dir() {
            fs::create_dir(path)?;
            world.changed(&[above(path)], Undo::Create(path.to_owned()));
        }
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut world = self.enter()?;
        for change in &mut world.names {
            change.folders.retain(|folder| folder != path);
        }
        world.names.retain(|change| !change.folders.is_empty());
        Ok(())
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        let world = self.world();
        Ok(if world.full { 0 } else { world.free })
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: Simulated,
    path: PathBuf,
    file: File,
}

impl Write for SimulatedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut world = self.disk.enter()?;
        if !world.unsynced.iter().any(|(path, _)| *path == self.path) {
            let lasting = self.file.metadata()?.len();
            world.unsynced.push((self.path.clone(), lasting));
        }
        if world.full {
            self.file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn sync(&mut self) -> io::Result<()> {
        let mut world = self.disk.enter()?;
        world.unsynced.retain(|(path, _)| *path != self.path);
        Ok(())
    }
}

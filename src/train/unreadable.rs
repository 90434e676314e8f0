//! `unreadable.txt`: the images of a run that could not be read, one a line, with the reason behind a tab.

use std::{collections::BTreeSet, fs, io, path::PathBuf};

use super::disk::Disk;
use crate::data::Skipped;

/// The file of a run. It is there only if there is something to name; a resumed run adds to it.
#[derive(Debug)]
pub struct Unreadable {
    path: PathBuf,
    names: BTreeSet<String>,
}

impl Unreadable {
    /// Takes in what an earlier session of the run has named.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let name = |line: &str| Some(line.split_once('\t')?.0.to_owned());
        let names = text.lines().filter_map(name).collect();
        Ok(Self { path, names })
    }

    /// Names an image, and says whether it had not been named before.
    ///
    /// # Errors
    /// Of the file system.
    pub fn add(&mut self, disk: &dyn Disk, Skipped { name, reason }: &Skipped) -> io::Result<bool> {
        if !self.names.insert(name.clone()) {
            return Ok(false);
        }
        let mut file = disk.append(&self.path)?;
        file.write_all(format!("{name}\t{reason}\n").as_bytes())?;
        Ok(true)
    }

    /// Images named in all sessions of the run.
    pub fn count(&self) -> usize {
        self.names.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::disk::RealDisk;

    #[test]
    fn an_image_is_named_once_in_all_sessions() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("unreadable.txt");
        let skipped = |name: &str| Skipped {
            name: name.into(),
            reason: "the file is empty".into(),
        };
        let mut session = Unreadable::open(path.clone()).expect("nothing there");
        assert!(!path.exists());
        assert!(
            session
                .add(&RealDisk, &skipped("a b.jpg"))
                .expect("written")
        );
        assert!(!session.add(&RealDisk, &skipped("a b.jpg")).expect("known"));
        let mut resumed = Unreadable::open(path.clone()).expect("read");
        assert!(!resumed.add(&RealDisk, &skipped("a b.jpg")).expect("known"));
        assert!(resumed.add(&RealDisk, &skipped("c.jpg")).expect("written"));
        assert_eq!(resumed.count(), 2);
        let text = fs::read_to_string(path).expect("written");
        assert_eq!(
            text,
            "a b.jpg\tthe file is empty\nc.jpg\tthe file is empty\n"
        );
    }
}

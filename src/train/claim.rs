//! One run at a time in a folder.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    process,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::text::units::duration;

/// The file that is locked. It stays behind; what counts is the lock, which the system takes from a process that ends,
/// however it ends.
const LOCK: &str = ".lock";

/// Holds a folder until it is dropped.
#[derive(Debug)]
pub struct Claim {
    _file: File,
}

/// Who holds a folder, as it stands in the locked file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Seconds since 1970. A clock that was set meanwhile makes only a message wrong.
    started: u64,
}

/// Why a folder could not be claimed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "a variant's message says what its fields hold")]
pub enum ClaimError {
    #[error("another run is at work in {}{}", folder.display(), told(holder.as_ref()))]
    Held {
        folder: PathBuf,
        /// Unknown while it is only just beginning.
        holder: Option<Holder>,
    },
    #[error("cannot write {}: {source}", path.display())]
    Refused { path: PathBuf, source: io::Error },
}

impl ClaimError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Held { .. } => "wait for it, end it, or give another folder with --output",
            Self::Refused { .. } => {
                "make the folder writable, free some space, or give another folder with --output"
            }
        }
        .into()
    }
}

impl Claim {
    /// Claims a folder that is there.
    ///
    /// # Errors
    /// Another process holds it, or the file system allows no locked file in it.
    pub fn on(folder: &Path) -> Result<Self, ClaimError> {
        let path = folder.join(LOCK);
        let refused = |source| ClaimError::Refused {
            path: path.clone(),
            source,
        };
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).read(true).write(true);
        let mut file = options.open(&path).map_err(refused)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let read = file.read_to_string(&mut text);
                return Err(ClaimError::Held {
                    folder: folder.to_owned(),
                    holder: read.ok().and_then(|_| serde_json::from_str(&text).ok()),
                });
            }
            Err(TryLockError::Error(source)) => return Err(refused(source)),
        }
        sign(&mut file).map_err(refused)?;
        Ok(Self { _file: file })
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let holder = Holder {
        pid: process::id(),
        started: now.map_or(0, |since| since.as_secs()),
    };
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(&holder)?)
}

fn told(holder: Option<&Holder>) -> String {
    let Some(Holder { pid, started }) = holder else {
        return String::new();
    };
    let began = SystemTime::UNIX_EPOCH + Duration::from_secs(*started);
    let since = SystemTime::now().duration_since(began);
    let since = duration(since.unwrap_or_default().as_secs_f64());
    format!(": process {pid}, begun {since} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_at_a_time() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let claim = Claim::on(folder.path()).expect("free");
        let error = Claim::on(folder.path()).expect_err("taken");
        let told = error.to_string();
        let process = format!(": process {}, begun ", process::id());
        assert!(told.contains(&process) && told.ends_with(" ago"), "{told}");
        drop(claim);
        // What the holder before wrote, even a longer text, is no obstacle and does not stay.
        let stale = "{\"pid\":4294967295,\"started\":0}          of a process that is gone";
        std::fs::write(folder.path().join(LOCK), stale).expect("written");
        let _claim = Claim::on(folder.path()).expect("free again");
        let error = Claim::on(folder.path()).expect_err("taken");
        assert!(error.to_string().contains(&process), "{error}");
    }

    #[test]
    fn a_folder_that_takes_no_files_is_told() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = Claim::on(&folder.path().join("none")).expect_err("no folder");
        assert!(matches!(error, ClaimError::Refused { .. }), "{error}");
    }
}

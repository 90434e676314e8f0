//! The folder of a run.
//!
//! ```text
//! runs/quickstart/
//!   recipe.yaml                            the resolved recipe
//!   metrics.jsonl                          one line per optimizer step
//!   unreadable.txt                         images that could not be read, if there are any
//!   loss.png
//!   pictures/step_000200.png
//!   checkpoints/step_000200.safetensors
//!   earlier-1/                             an earlier run in the same folder, set aside
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use image::{RgbImage, codecs::png::PngEncoder};

use super::replace::replace;

/// Paths of one run.
#[derive(Debug, Clone)]
pub struct Output {
    folder: PathBuf,
}

/// What a run writes at the top of its folder.
const RECIPE: &str = "recipe.yaml";
const METRICS: &str = "metrics.jsonl";
const CURVE: &str = "loss.png";
const PICTURES: &str = "pictures";
const CHECKPOINTS: &str = "checkpoints";
const UNREADABLE: &str = "unreadable.txt";
const ENTRIES: [&str; 6] = [RECIPE, METRICS, UNREADABLE, CURVE, PICTURES, CHECKPOINTS];

impl Output {
    /// Names the paths; creates nothing.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Creates the folders of a run.
    ///
    /// # Errors
    /// Of the file system.
    pub fn create(&self) -> io::Result<()> {
        fs::create_dir_all(self.folder.join(PICTURES))?;
        fs::create_dir_all(self.checkpoints())
    }

    /// Moves what an earlier run wrote here into a numbered folder beside it, so that a new run neither mixes with it
    /// nor destroys it, and returns that folder; `None` if there is nothing to move. Files that no run writes stay.
    ///
    /// # Errors
    /// Of the file system.
    pub fn set_earlier_aside(&self) -> io::Result<Option<PathBuf>> {
        let left = ENTRIES.map(|name| self.folder.join(name));
        if !left.iter().any(|path| path.exists()) {
            return Ok(None);
        }
        let free = |number: &u64| !self.earlier(*number).exists();
        let number = (1..)
            .find(free)
            .expect("a folder holds finitely many names");
        let aside = self.earlier(number);
        fs::create_dir(&aside)?;
        for name in ENTRIES {
            let from = self.folder.join(name);
            if from.exists() {
                fs::rename(from, aside.join(name))?;
            }
        }
        Ok(Some(aside))
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn recipe(&self) -> PathBuf {
        self.folder.join(RECIPE)
    }

    pub fn metrics(&self) -> PathBuf {
        self.folder.join(METRICS)
    }

    pub fn unreadable(&self) -> PathBuf {
        self.folder.join(UNREADABLE)
    }

    pub fn curve(&self) -> PathBuf {
        self.folder.join(CURVE)
    }

    pub fn picture(&self, step: u64) -> PathBuf {
        self.folder
            .join(PICTURES)
            .join(format!("step_{step:06}.png"))
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.folder.join(CHECKPOINTS)
    }

    fn earlier(&self, number: u64) -> PathBuf {
        self.folder.join(format!("earlier-{number}"))
    }
}

/// Writes a picture that is whole whenever someone looks.
///
/// # Errors
/// Of the file system.
pub fn write_png(path: &Path, picture: &RgbImage) -> io::Result<()> {
    replace(path, |file| {
        let encoder = PngEncoder::new(file);
        picture
            .write_with_encoder(encoder)
            .map_err(io::Error::other)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_runs_are_kept_apart() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = Output::new(folder.path());
        assert_eq!(output.set_earlier_aside().expect("nothing there"), None);
        fs::write(folder.path().join("notes.txt"), "mine").expect("written");
        for number in 1..=2 {
            output.create().expect("created");
            fs::write(output.metrics(), format!("run {number}")).expect("written");
            let aside = output
                .set_earlier_aside()
                .expect("moved")
                .expect("a run was there");
            assert_eq!(aside, folder.path().join(format!("earlier-{number}")));
            let moved = fs::read_to_string(aside.join(METRICS)).expect("moved");
            assert_eq!(moved, format!("run {number}"));
            assert!(aside.join(CHECKPOINTS).is_dir() && !output.checkpoints().exists());
        }
        assert!(folder.path().join("notes.txt").exists());
    }
}

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
//!   tensorboard/events.out.tfevents.…      curves and pictures for TensorBoard
//!   report.html                            all of it on a page
//!   manifest.json                          what was run, on which images, where and when
//!   earlier-1/                             an earlier run in the same folder, set aside
//!   .lock                                  held by the process that writes here
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use image::{RgbImage, codecs::png::PngEncoder};

use super::{
    claim::{Claim, ClaimError},
    disk::{Disk, RealDisk, create_folders},
    replace::{replace, sweep},
};

/// Paths of one run, the disk they are on, and the claim to write there.
#[derive(Debug, Clone)]
pub struct Output {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    claim: Arc<Mutex<Option<Claim>>>,
}

/// What a run writes at the top of its folder.
const RECIPE: &str = "recipe.yaml";
const METRICS: &str = "metrics.jsonl";
const CURVE: &str = "loss.png";
const PICTURES: &str = "pictures";
const CHECKPOINTS: &str = "checkpoints";
const UNREADABLE: &str = "unreadable.txt";
const BOARD: &str = "tensorboard";
const REPORT: &str = "report.html";
const MANIFEST: &str = "manifest.json";
const ENTRIES: [&str; 9] = [
    RECIPE,
    METRICS,
    UNREADABLE,
    CURVE,
    PICTURES,
    CHECKPOINTS,
    BOARD,
    REPORT,
    MANIFEST,
];
/// Where an earlier run is collected before it gets its number.
const COLLECTING: &str = ".earlier";

impl Output {
    /// Names the paths; creates nothing.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self::on(Arc::new(RealDisk), folder)
    }

    /// The same, on a disk of one's own.
    pub fn on(disk: Arc<dyn Disk>, folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            disk,
            claim: Arc::default(),
        }
    }

    /// Where it is.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Creates the folder and keeps other processes from running in it, until the last clone of this is dropped.
    /// Claiming again changes nothing.
    ///
    /// # Errors
    /// Another process has claimed it, or the folder cannot be written.
    pub fn claim(&self) -> Result<(), ClaimError> {
        let mut claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        if claim.is_none() {
            let refused = |source| ClaimError::Refused {
                path: self.folder.clone(),
                source,
            };
            create_folders(self.disk(), &self.folder).map_err(refused)?;
            *claim = Some(Claim::on(&self.folder)?);
        }
        Ok(())
    }

    /// Where the command line writes event files for TensorBoard.
    pub fn board(&self) -> PathBuf {
        self.folder.join(BOARD)
    }

    /// Where the command line draws all of this on a page.
    pub fn report(&self) -> PathBuf {
        self.folder.join(REPORT)
    }

    /// Where the command line says what was run, where and when.
    pub fn manifest(&self) -> PathBuf {
        self.folder.join(MANIFEST)
    }

    /// The pictures that are there, by the steps behind which they were drawn.
    ///
    /// # Errors
    /// Of the file system.
    pub fn pictures(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let folder = match fs::read_dir(self.folder.join(PICTURES)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            folder => folder?,
        };
        let mut pictures = Vec::new();
        for entry in folder {
            let path = entry?.path();
            pictures.extend(numbered(&path, ".png").map(|step| (step, path)));
        }
        pictures.sort();
        Ok(pictures)
    }

    /// Creates the folders of a run, and removes the unfinished files of one that was killed.
    ///
    /// # Errors
    /// Of the file system.
    pub fn create(&self) -> io::Result<()> {
        let inner = [self.folder.join(PICTURES), self.checkpoints()];
        for folder in &inner {
            create_folders(self.disk(), folder)?;
            sweep(self.disk(), folder)?;
        }
        sweep(self.disk(), &self.folder)
    }

    /// Moves what an earlier run wrote here into a numbered folder beside it, so that a new run neither mixes with it
    /// nor destroys it, and returns that folder; `None` if there is nothing to move. Files that no run writes stay.
    /// [`finish_setting_aside`](Self::finish_setting_aside) completes a move that was cut off.
    ///
    /// # Errors
    /// Of the file system.
    pub fn set_earlier_aside(&self) -> io::Result<Option<PathBuf>> {
        let mut left = ENTRIES.map(|name| self.folder.join(name)).into_iter();
        if !left.any(|path| path.exists()) {
            return self.finish_setting_aside();
        }
        let collecting = self.folder.join(COLLECTING);
        self.disk.create_folder(&collecting)?;
        self.disk.sync_folder(&self.folder)?;
        self.finish_setting_aside()
    }

    /// Completes what [`set_earlier_aside`](Self::set_earlier_aside) began before the program ended.
    ///
    /// # Errors
    /// Of the file system.
    pub fn finish_setting_aside(&self) -> io::Result<Option<PathBuf>> {
        let collecting = self.folder.join(COLLECTING);
        if !collecting.is_dir() {
            return Ok(None);
        }
        for name in ENTRIES {
            let from = self.folder.join(name);
            if from.exists() {
                self.disk.rename(&from, &collecting.join(name))?;
            }
        }
        self.disk.sync_folder(&collecting)?;
        self.disk.sync_folder(&self.folder)?;
        let free = |number: &u64| !self.earlier(*number).exists();
        let number = (1..)
            .find(free)
            .expect("a folder holds finitely many names");
        let aside = self.earlier(number);
        self.disk.rename(&collecting, &aside)?;
        self.disk.sync_folder(&self.folder)?;
        Ok(Some(aside))
    }

    /// Removes the pictures of steps behind `step`: a resumed run draws them again.
    ///
    /// # Errors
    /// Of the file system.
    pub fn remove_pictures_behind(&self, step: u64) -> io::Result<()> {
        let pictures = self.pictures()?.into_iter();
        let mut behind = pictures.filter(|(drawn, _)| *drawn > step);
        behind.try_for_each(|(_, path)| self.disk.remove(&path))
    }

    /// The folder of the run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The resolved recipe.
    pub fn recipe(&self) -> PathBuf {
        self.folder.join(RECIPE)
    }

    /// One line of JSON per optimizer step, a [`Record`](super::metrics::Record) each.
    pub fn metrics(&self) -> PathBuf {
        self.folder.join(METRICS)
    }

    /// The images that could not be read; there if there are any.
    pub fn unreadable(&self) -> PathBuf {
        self.folder.join(UNREADABLE)
    }

    /// The loss of all steps, drawn.
    pub fn curve(&self) -> PathBuf {
        self.folder.join(CURVE)
    }

    /// What the network made of a few images behind a step.
    pub fn picture(&self, step: u64) -> PathBuf {
        self.folder
            .join(PICTURES)
            .join(format!("step_{step:06}.png"))
    }

    /// The folder of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.folder.join(CHECKPOINTS)
    }

    fn earlier(&self, number: u64) -> PathBuf {
        self.folder.join(format!("earlier-{number}"))
    }
}

/// The number in a name as runs give them: 200 of `step_000200.png`.
pub fn numbered(path: &Path, ending: &str) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("step_")?
        .strip_suffix(ending)?
        .parse()
        .ok()
}

/// Writes a picture that is whole whenever someone looks.
///
/// # Errors
/// Of the file system.
pub fn write_png(disk: &dyn Disk, path: &Path, picture: &RgbImage) -> io::Result<()> {
    replace(disk, path, |file| {
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

    #[test]
    fn a_move_that_was_cut_off_is_completed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = Output::new(folder.path());
        output.create().expect("created");
        fs::write(output.metrics(), "an earlier run").expect("written");
        // The program ended when only the metrics had moved.
        fs::create_dir(folder.path().join(COLLECTING)).expect("created");
        let moved = folder.path().join(COLLECTING).join(METRICS);
        fs::rename(output.metrics(), moved).expect("moved");
        let aside = output.finish_setting_aside().expect("moved");
        let aside = aside.expect("a run was there");
        assert!(aside.join(METRICS).exists() && aside.join(CHECKPOINTS).exists());
        assert!(!output.checkpoints().exists());
        assert_eq!(output.finish_setting_aside().expect("nothing left"), None);
    }

    #[test]
    fn a_claim_lasts_as_long_as_its_clones_and_is_made_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a/b");
        let output = Output::new(&path);
        output.claim().expect("free");
        output.claim().expect("its own");
        let clone = output.clone();
        drop(output);
        assert!(Output::new(&path).claim().is_err());
        drop(clone);
        Output::new(&path).claim().expect("free again");
    }
}

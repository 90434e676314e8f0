//! `metrics.jsonl`: one line of JSON per optimizer step.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    disk::{Disk, DiskFile},
    replace::replace,
};

/// One optimizer step in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Optimizer steps made, this one included: the first line says 1.
    pub step: u64,
    /// The epoch this step's images are of, from 0.
    pub epoch: u64,
    /// Mean over the micro-batches.
    pub loss: f32,
    /// The rate this step was made with.
    pub lr: f64,
    /// Norm of all gradients together, before clipping.
    pub grad_norm: f32,
    /// Of this step, waiting included.
    pub images_per_s: f64,
    /// How long the step waited for images, in seconds.
    pub data_wait: f64,
    /// How long the whole step took, in seconds.
    pub seconds: f64,
    /// Mean loss on the images held out, with the weights behind this step; where it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<f32>,
}

/// The open file of a run. A line is written at once, in one piece.
#[derive(Debug)]
pub struct Log {
    file: Box<dyn DiskFile>,
}

impl Log {
    /// Opens or creates the file and keeps only what was logged up to `step`, each step once: a resumed run makes the
    /// later steps again. A line that an interruption left unfinished goes too.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(disk: &dyn Disk, path: &Path, step: u64) -> io::Result<Self> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text?,
        };
        let mut kept = Vec::with_capacity(text.len());
        let mut last = 0;
        for line in lines(&text) {
            if let Some(record) = parse(line)
                && (last + 1..=step).contains(&record.step)
            {
                kept.extend_from_slice(line);
                kept.push(b'\n');
                last = record.step;
            }
        }
        if kept != text {
            replace(disk, path, |file| file.write_all(&kept))?;
        }
        let file = disk.append(path)?;
        if text.is_empty() {
            disk.sync_folder(path.parent().unwrap_or(Path::new("")))?;
        }
        Ok(Self { file })
    }

    /// # Errors
    /// Of the file system.
    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }

    /// Makes the lines lasting.
    ///
    /// # Errors
    /// Of the file system.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}

/// All steps logged in a file, in order.
///
/// # Errors
/// Of the file system.
pub fn read(path: &Path) -> io::Result<Vec<Record>> {
    Ok(lines(&fs::read(path)?).filter_map(parse).collect())
}

/// A power cut can leave anything behind: lines are bytes until they parse.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

fn parse(line: &[u8]) -> Option<Record> {
    serde_json::from_slice(line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::disk::RealDisk;

    fn record(step: u64) -> Record {
        Record {
            step,
            epoch: 0,
            loss: 0.5,
            lr: 1e-4,
            grad_norm: 1.25,
            images_per_s: 12.5,
            data_wait: 0.0,
            seconds: 0.16,
            held_out: None,
        }
    }

    #[test]
    fn a_line_is_plain_json_and_there_at_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("metrics.jsonl");
        let mut log = Log::open(&RealDisk, &path, 0).expect("created");
        log.append(&record(1)).expect("written");
        assert_eq!(
            fs::read_to_string(&path).expect("written"),
            "{\"step\":1,\"epoch\":0,\"loss\":0.5,\"lr\":0.0001,\"grad_norm\":1.25,\
             \"images_per_s\":12.5,\"data_wait\":0.0,\"seconds\":0.16}\n"
        );
    }

    #[test]
    fn resuming_cuts_what_will_be_made_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("metrics.jsonl");
        let mut log = Log::open(&RealDisk, &path, 0).expect("created");
        for step in 1..=5 {
            log.append(&record(step)).expect("written");
        }
        // The program was stopped while it wrote, and the disk put zeros and noise behind it.
        log.file
            .write_all(b"{\"step\":6,\"ep\0\0\xff\xfe")
            .expect("written");
        let mut log = Log::open(&RealDisk, &path, 3).expect("opened");
        log.append(&record(4)).expect("written");
        assert_eq!(steps(&path), [1, 2, 3, 4]);
        assert_eq!(fs::read(&path).expect("read").last(), Some(&b'\n'));
    }

    #[test]
    fn each_step_stays_once_and_a_torn_line_breaks_no_other() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("metrics.jsonl");
        let line = |step| serde_json::to_string(&record(step)).expect("JSON");
        let torn = format!(
            "{}\n{{\"ste\n{}\n{}\n{}",
            line(1),
            line(2),
            line(2),
            line(3)
        );
        fs::write(&path, torn).expect("written");
        let mut log = Log::open(&RealDisk, &path, 3).expect("opened");
        // The last line was whole but for its end.
        log.append(&record(4)).expect("written");
        assert_eq!(steps(&path), [1, 2, 3, 4]);
        assert_eq!(
            fs::read_to_string(&path).expect("read"),
            [1, 2, 3, 4].map(|step| line(step) + "\n").concat()
        );
    }

    fn steps(path: &Path) -> Vec<u64> {
        let records = read(path).expect("read");
        records.iter().map(|record| record.step).collect()
    }
}

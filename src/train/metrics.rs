//! `metrics.jsonl`: one line of JSON per optimizer step.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::replace::replace;

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
    pub images_per_s: f64,
    /// How long the step waited for images, in seconds.
    pub data_wait: f64,
    /// How long the whole step took, in seconds.
    pub seconds: f64,
}

/// The open file of a run. A line is written at once, in one piece.
#[derive(Debug)]
pub struct Log {
    file: File,
}

impl Log {
    /// Opens or creates the file and keeps only what was logged up to `step`: a resumed run makes the later steps again.
    /// A line that an interruption left unfinished goes too.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(path: &Path, step: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new();
        let file = file.create(true).append(true);
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let mut kept = String::with_capacity(text.len());
        for line in text.lines() {
            if parse(line).is_some_and(|record| record.step <= step) {
                kept.extend([line, "\n"]);
            }
        }
        if kept != text {
            replace(path, |file| file.write_all(kept.as_bytes()))?;
        }
        Ok(Self {
            file: file.open(path)?,
        })
    }

    /// # Errors
    /// Of the file system.
    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}

/// All steps logged in a file, in order.
///
/// # Errors
/// Of the file system.
pub fn read(path: &Path) -> io::Result<Vec<Record>> {
    let text = fs::read_to_string(path)?;
    Ok(text.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Record> {
    serde_json::from_str(line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        }
    }

    #[test]
    fn a_line_is_plain_json_and_there_at_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("metrics.jsonl");
        let mut log = Log::open(&path, 0).expect("created");
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
        let mut log = Log::open(&path, 0).expect("created");
        for step in 1..=5 {
            log.append(&record(step)).expect("written");
        }
        // The program was stopped while it wrote.
        log.file.write_all(b"{\"step\":6,\"ep").expect("written");
        let mut log = Log::open(&path, 3).expect("opened");
        log.append(&record(4)).expect("written");
        let steps: Vec<_> = read(&path).expect("read").iter().map(|r| r.step).collect();
        assert_eq!(steps, [1, 2, 3, 4]);
    }
}

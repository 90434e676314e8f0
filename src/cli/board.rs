//! TensorBoard's event files beside `metrics.jsonl`: curves and pictures while a run goes on.
//!
//! A file is a row of records, each with its length and checksums; a record is a protocol buffer, `Event` of TensorBoard's
//! `event.proto`, of which the fields used here are spelled out below.

use super::clock;
use mimc::train::{
    metrics::Record,
    run::{Event, Gradients, Observer},
};
use prost::Message;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Writes what it hears into a folder. A board is no result: where it cannot be written, that is told once and the run goes
/// on without.
pub struct Board {
    folder: PathBuf,
    file: Option<File>,
    failed: bool,
    /// The last step told.
    step: u64,
}

impl Board {
    /// Makes nothing yet: a run that has nothing to do leaves no file.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            file: None,
            failed: false,
            step: 0,
        }
    }

    fn tell(&mut self, event: LogEvent) {
        if self.failed {
            return;
        }
        if let Err(error) = self.write(event) {
            self.failed = true;
            let folder = self.folder.display();
            super::screen::warn(format_args!(
                "no more curves for TensorBoard in {folder}: {error}"
            ));
        }
    }

    fn write(&mut self, event: LogEvent) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(begin(&self.folder, self.step)?),
        };
        file.write_all(&framed(&event.encode_to_vec()))
    }

    fn scalars(&mut self, record: &Record) {
        let scalars = [
            ("train/loss", f64::from(record.loss)),
            ("train/lr", record.lr),
            ("train/grad_norm", f64::from(record.grad_norm)),
            ("speed/images_per_s", record.images_per_s),
            ("speed/step_s", record.seconds),
            ("speed/data_wait_s", record.data_wait),
        ];
        let held_out = record
            .held_out
            .map(|loss| ("validation/loss", f64::from(loss)));
        let values = scalars
            .into_iter()
            .chain(held_out)
            .map(|(tag, value)| Value {
                tag: tag.into(),
                simple_value: Some(value as f32),
                image: None,
            });
        self.tell(LogEvent::summary(record.step, values.collect()));
    }

    /// One curve for each weight.
    fn gradients(&mut self, gradients: &Gradients) {
        let of_each = gradients.weights.iter().zip(gradients.norms);
        let values = of_each.map(|(weight, norm)| Value {
            tag: format!("gradients/{}", weight.name),
            simple_value: Some(*norm),
            image: None,
        });
        self.tell(LogEvent::summary(gradients.step, values.collect()));
    }

    fn picture(&mut self, path: &Path) {
        // The picture lies beside: one that cannot be read here is missing on the board alone.
        let Ok(bytes) = fs::read(path) else {
            return;
        };
        let (width, height) = image::image_dimensions(path).unwrap_or_default();
        let value = Value {
            tag: "reconstructions".into(),
            simple_value: None,
            image: Some(Image {
                height: height as i32,
                width: width as i32,
                colorspace: 3,
                encoded_image_string: bytes,
            }),
        };
        self.tell(LogEvent::summary(self.step, vec![value]));
    }
}

impl Observer for Board {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Started(started) => self.step = started.step,
            Event::Step(record) => {
                self.scalars(record);
                self.step = record.step;
            }
            Event::Gradients(gradients) => self.gradients(&gradients),
            Event::Drawn(path) => self.picture(path),
            _ => {}
        }
    }
}

/// A new file of its own for each session: TensorBoard reads them in the order of their names, and forgets what an earlier
/// one holds from the step on that this one starts behind.
fn begin(folder: &Path, step: u64) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let name = format!(
        "events.out.tfevents.{:010}.{}.mimc",
        clock::since_1970() as u64,
        std::process::id()
    );
    let mut file = File::create(folder.join(name))?;
    let version = LogEvent {
        file_version: Some("brain.Event:2".into()),
        ..LogEvent::at(0)
    };
    let start = LogEvent {
        session_log: Some(SessionLog { status: START }),
        ..LogEvent::at(step as i64 + 1)
    };
    for event in [version, start] {
        file.write_all(&framed(&event.encode_to_vec()))?;
    }
    Ok(file)
}

/// A TFRecord: length, checksum of the length, bytes, checksum of the bytes.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    [
        &length[..],
        &masked(&length).to_le_bytes(),
        bytes,
        &masked(bytes).to_le_bytes(),
    ]
    .concat()
}

/// The format's own twist on CRC-32C.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[derive(Clone, PartialEq, Message)]
struct LogEvent {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "4")]
    image: Option<Image>,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    /// 3 for RGB.
    #[prost(int32, tag = "3")]
    colorspace: i32,
    /// A PNG.
    #[prost(bytes = "vec", tag = "4")]
    encoded_image_string: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `SessionLog.SessionStatus.START`
const START: i32 = 1;

impl LogEvent {
    fn at(step: i64) -> Self {
        Self {
            wall_time: clock::since_1970(),
            step,
            ..Self::default()
        }
    }

    fn summary(step: u64, value: Vec<Value>) -> Self {
        Self {
            summary: Some(Summary { value }),
            ..Self::at(step as i64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mimc::train::step::WeightInfo;

    #[test]
    fn records_are_framed_as_tensorflow_does() {
        // Of eight zero bytes, from TensorFlow's own tests of its CRC: 0x8a9136aa for 32 of them.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        let record = framed(b"abc");
        assert_eq!(record.len(), 8 + 4 + 3 + 4);
        assert_eq!(record[..8], 3u64.to_le_bytes());
        assert_eq!(record[8..12], masked(&record[..8]).to_le_bytes());
    }

    #[test]
    fn steps_and_pictures_can_be_read_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut board = Board::new(folder.path().join("board"));
        let record = Record {
            step: 7,
            epoch: 0,
            loss: 0.5,
            lr: 1e-3,
            grad_norm: 1.25,
            images_per_s: 64.0,
            data_wait: 0.0,
            seconds: 0.25,
            held_out: Some(0.75),
        };
        let weights = [WeightInfo {
            name: "decoder.0.bias".into(),
            dims: vec![4],
            decay: false,
        }];
        board.observe(Event::Gradients(Gradients {
            step: 7,
            weights: &weights,
            norms: &[0.125],
        }));
        board.observe(Event::Step(&record));
        let picture = folder.path().join("a.png");
        image::RgbImage::new(6, 4).save(&picture).expect("written");
        board.observe(Event::Drawn(&picture));
        let mut files = fs::read_dir(folder.path().join("board")).expect("listed");
        let file = files.next().expect("one file").expect("listed").path();
        let bytes = fs::read(file).expect("read");
        let mut rest = &bytes[..];
        let mut events = Vec::new();
        while let Some((head, behind)) = rest.split_at_checked(12) {
            let length = u64::from_le_bytes(head[..8].try_into().expect("eight bytes")) as usize;
            events.push(LogEvent::decode(&behind[..length]).expect("a message"));
            rest = &behind[length + 4..];
        }
        assert!(rest.is_empty() && files.next().is_none());
        assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
        assert_eq!(
            (
                events[1].step,
                events[1].session_log.as_ref().map(|log| log.status)
            ),
            (1, Some(START))
        );
        let norm = &events[2].summary.as_ref().expect("a norm").value[0];
        assert_eq!(
            (events[2].step, norm.tag.as_str(), norm.simple_value),
            (7, "gradients/decoder.0.bias", Some(0.125))
        );
        let loss = &events[3].summary.as_ref().expect("scalars").value[0];
        assert_eq!(
            (events[3].step, loss.tag.as_str(), loss.simple_value),
            (7, "train/loss", Some(0.5))
        );
        let image = events[4]
            .summary
            .as_ref()
            .and_then(|s| s.value[0].image.as_ref())
            .expect("a picture");
        assert_eq!((events[4].step, image.width, image.height), (7, 6, 4));
    }
}

//! Small runs and what is to be seen of them.

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use image::RgbImage;
use tempfile::TempDir;

use super::linear::Linear;
use crate::{
    data::{Crop, DataConfig, Source},
    random::Key,
    train::{
        error::TrainError,
        metrics::{self, Record},
        output::Output,
        run::{Event, Observer, Run, Summary},
        schedule::{Curve, ScheduleConfig},
        stop::Stop,
        trainer::Trainer,
    },
};

pub const SIZE: usize = 4;
pub const BATCH: usize = 4;
/// 12 images make 3 steps an epoch, 4 epochs make 12 steps.
pub const IMAGES: u32 = 12;
pub const TOTAL: u64 = 12;

/// A folder with images and room for runs.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary folder"));
        fs::create_dir(place.images()).expect("created");
        for number in 0..IMAGES {
            let key = Key::new(number.into());
            let shade = |x: u32, y: u32, c: u32| key.below((c * 64 + y * 8 + x).into(), 256) as u8;
            let image =
                RgbImage::from_fn(8, 8, |x, y| image::Rgb([0, 1, 2].map(|c| shade(x, y, c))));
            image
                .save(place.images().join(format!("{number:02}.png")))
                .expect("written");
        }
        place
    }

    pub fn images(&self) -> PathBuf {
        self.0.path().join("images")
    }

    /// The same images in a folder of two archives.
    pub fn archives(&self) -> PathBuf {
        let folder = self.0.path().join("archives");
        fs::create_dir(&folder).expect("created");
        for (name, numbers) in [("a.tar", 0..5), ("b.tar", 5..IMAGES)] {
            let file = fs::File::create(folder.join(name)).expect("created");
            let mut archive = tar::Builder::new(file);
            for name in numbers.map(|number| format!("{number:02}.png")) {
                let image = self.images().join(&name);
                archive.append_path_with_name(image, name).expect("written");
            }
            archive.into_inner().expect("written");
        }
        folder
    }

    pub fn run(&self, name: &str) -> Run {
        Run {
            title: name.into(),
            recipe: "doc: a test\ntrain: { epochs: 4 }\n".into(),
            graphs: [("graphs/a.yaml".to_owned(), "1e".to_owned())].into(),
            output: Output::new(self.0.path().join(name)),
            resume: false,
            data: DataConfig {
                images: Source::Folder(self.images()),
                size: SIZE,
                crop: Crop::default(),
                flip: true,
                mean: [0.5; 3],
                std: [0.25; 3],
                shuffle_buffer: None,
                workers: 1,
                seed: 7,
            },
            batch: BATCH,
            epochs: 4.0,
            schedule: ScheduleConfig {
                curve: Curve::Cosine,
                base_lr: 1.0,
                warmup_lr: 0.01,
                min_lr: 0.0,
                warmup_epochs: 1.0,
            },
            steps: None,
            checkpoint_every: 0,
            keep: NonZeroUsize::new(3).expect("not 0"),
            picture_every: 0,
            validation: None,
        }
    }
}

/// Keeps what was told, one line per event but the steps.
#[derive(Default)]
pub struct Heard(pub Vec<String>);

impl Observer for Heard {
    fn observe(&mut self, event: Event<'_>) {
        let name = |path: &Path| {
            path.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        };
        self.0.push(match event {
            Event::Step(_) | Event::Gradients(_) => return,
            Event::SetAside(folder) => format!("set aside {}", name(folder)),
            Event::Damaged(_) => "damaged".into(),
            Event::NothingToResume(_) => "nothing to resume".into(),
            Event::Changed(changes) => {
                let keys: Vec<_> = changes.iter().map(|change| change.to_string()).collect();
                keys.join("; ")
            }
            Event::Tight { checkpoints, .. } => format!("no room for {checkpoints}"),
            Event::Resumed { checkpoint, step } => format!("resumed {} {step}", name(checkpoint)),
            Event::Started(started) => format!(
                "started {} to {} of {}",
                started.step, started.goal, started.total
            ),
            Event::Saved(path) => format!("saved {}", name(path)),
            Event::Drawn(path) => format!("drew {}", name(path)),
            Event::Stopping => "stopping".into(),
            Event::Unreadable(image) => format!("passed over {}", image.name),
        });
    }
}

pub fn go(run: &Run, model: &mut Linear) -> (Result<Summary, TrainError>, Vec<String>) {
    go_until(run, model, &Stop::default())
}

pub fn go_until(
    run: &Run,
    model: &mut Linear,
    stop: &Stop,
) -> (Result<Summary, TrainError>, Vec<String>) {
    let mut heard = Heard::default();
    let trainer = Trainer::new(run, model).stop(stop);
    let result = trainer.observer(&mut heard).train();
    (result, heard.0)
}

/// Trains a fresh model, which must go well.
pub fn finished(run: &Run) -> (Linear, Summary) {
    let mut model = Linear::new(SIZE, BATCH, 2);
    let summary = go(run, &mut model).0.expect("the run ends well");
    (model, summary)
}

/// What must be the same for the same run: all but the times.
pub fn records(run: &Run) -> Vec<(u64, u64, u32, u64, u32)> {
    let all = metrics::read(&run.output.metrics()).expect("logged");
    let timeless = |r: &Record| {
        (
            r.step,
            r.epoch,
            r.loss.to_bits(),
            r.lr.to_bits(),
            r.grad_norm.to_bits(),
        )
    };
    all.iter().map(timeless).collect()
}

pub fn checkpoint(run: &Run, step: u64) -> PathBuf {
    run.output
        .checkpoints()
        .join(format!("step_{step:06}.safetensors"))
}

//! The `data` and `train` parts of a recipe as plain numbers. Types, defaults and ranges stand in
//! [`FIELDS`](super::FIELDS); the fields here are those rows.

use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf};

/// Images, and what is done to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Where they come from.
    pub images: Images,
    /// How many images are generated; a folder has as many as it has.
    pub count: usize,
    /// Images of archives that wait to be drawn, where they are read from front to back.
    pub shuffle_buffer: Option<usize>,
    /// Images that are never trained on.
    pub validation: Option<PathBuf>,
    /// How many of them are looked at.
    pub validation_count: usize,
    /// Side of what the network sees, in pixels, 1 to 8192.
    pub size: usize,
    /// What part of an image is shown.
    pub crop: Crop,
    /// Whether half of the images are mirrored.
    pub flip: bool,
    /// Subtracted from red, green and blue, in \[0, 1\].
    pub mean: [f64; 3],
    /// Divides red, green and blue after that; above 0.
    pub std: [f64; 3],
    /// Threads that decode and augment; 0 for one per core less one.
    pub workers: usize,
}

/// Where images come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Images {
    /// A folder of images or of tar archives of them, or one tar archive.
    Folder(PathBuf),
    /// Generated, as many as [`Data::count`] says.
    Synthetic,
}

/// Which random parts of an image are shown; the smaller number first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// Shares of the image's area, in (0, 1\].
    pub scale: [f64; 2],
    /// Width / height, 0.01 to 100.
    pub ratio: [f64; 2],
}

/// Batch, optimizer, schedule, and what a run leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Length of the run and of its schedule; may be a fraction.
    pub epochs: f64,
    /// Images per optimizer step, over all micro-batches.
    pub batch: usize,
    /// Images computed at once; `None` for the largest divisor of the batch that fits.
    pub micro_batch: Option<usize>,
    /// Of activations and weights; `None`, in a recipe `auto`, for what suits the backend.
    #[serde(with = "auto")]
    pub precision: Option<Precision>,
    /// Of how many blocks that repeat the inside is computed again for the gradient, instead of being kept; more than there are is
    /// all. `None` for as many as it takes to fit the memory, where one image at a time, or the micro-batch that is named, does not.
    pub recompute: Option<usize>,
    /// How gradients move weights.
    pub optimizer: Optimizer,
    /// The learning rate of every step.
    pub schedule: Schedule,
    /// Of initial weights, masks, crops and their order.
    pub seed: u64,
    /// Optimizer steps between checkpoints; 0 for one at the end.
    pub checkpoint_every: u64,
    /// How many of the latest checkpoints stay, at least 1.
    pub keep: usize,
    /// Optimizer steps between pictures; 0 for one at the end.
    pub picture_every: u64,
    /// Optimizer steps between two looks at the images held out; 0 for one at the end.
    pub validate_every: u64,
    /// Optimizer steps between printed lines where there is no terminal, at least 1.
    pub log_every: u64,
}

/// Of activations and weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// Weights, gradients, moments and sums in f32, what products read and activations are stored in bf16.
    Bf16,
}

/// As a recipe writes it.
impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        })
    }
}

impl Train {
    /// What is computed in: f32 where nobody has settled it.
    pub fn computed_in(&self) -> Precision {
        self.precision.unwrap_or(Precision::F32)
    }
}

/// `None` is the word `auto`.
mod auto {
    use super::Precision;
    use serde::{
        Deserialize, Deserializer, Serialize, Serializer,
        de::{IntoDeserializer, value::Error},
    };

    const AUTO: &str = "auto";

    pub fn serialize<S: Serializer>(value: &Option<Precision>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(precision) => precision.serialize(to),
            None => to.serialize_str(AUTO),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Precision>, D::Error> {
        let text = String::deserialize(from)?;
        if text == AUTO {
            return Ok(None);
        }
        let named = Precision::deserialize(text.into_deserializer());
        named
            .map(Some)
            .map_err(|error: Error| serde::de::Error::custom(error))
    }
}

/// How gradients move weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// The rule.
    pub name: OptimizerName,
    /// Decay of the mean gradient and of its square, each in \[0, 1).
    pub betas: [f64; 2],
    /// Keeps the division away from zero.
    pub eps: f64,
    /// Weight decay, decoupled from the gradient, 0 to 1.
    pub decay: f64,
    /// The largest norm of the whole gradient, above 0; `None` for no limit.
    pub clip: Option<f64>,
}

/// The rule by which gradients move weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    /// Adam with decoupled weight decay.
    AdamW,
}

/// The learning rate of every step; rates are per 512 images and scale with the batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// How it falls after the warm-up.
    pub name: ScheduleName,
    /// After the warm-up.
    pub base_lr: f64,
    /// Where the warm-up starts.
    pub warmup_lr: f64,
    /// At the end: cosine and linear.
    pub min_lr: f64,
    /// Length of the warm-up, linear per step.
    pub warmup_epochs: f64,
    /// Epochs at which multistep multiplies the rate by `gamma`; for step one number, the period.
    pub milestones: Vec<f64>,
    /// Factor of a milestone, in (0, 1\].
    pub gamma: f64,
}

/// How the learning rate falls after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleName {
    /// Half a cosine down to the least rate.
    Cosine,
    /// Times gamma at each milestone.
    Multistep,
    /// Times gamma every so many epochs.
    Step,
    /// A line down to the least rate.
    Linear,
    /// Not at all.
    Constant,
}

impl From<String> for Images {
    fn from(text: String) -> Self {
        match text.as_str() {
            "synthetic" => Images::Synthetic,
            _ => Images::Folder(text.into()),
        }
    }
}

impl From<Images> for String {
    fn from(images: Images) -> Self {
        match images {
            Images::Folder(path) => path.display().to_string(),
            Images::Synthetic => "synthetic".to_owned(),
        }
    }
}

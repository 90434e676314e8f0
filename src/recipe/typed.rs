//! The `data` and `train` parts of a recipe as plain numbers. Types, defaults and ranges stand in
//! [`FIELDS`](super::FIELDS); the fields here are those rows.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    pub images: Images,
    pub count: usize,
    pub shuffle_buffer: Option<usize>,
    pub size: usize,
    pub crop: Crop,
    pub flip: bool,
    pub mean: [f64; 3],
    pub std: [f64; 3],
    pub workers: usize,
}

/// Where images come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Images {
    Folder(PathBuf),
    Synthetic,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    pub scale: [f64; 2],
    pub ratio: [f64; 2],
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    pub epochs: f64,
    pub batch: usize,
    pub micro_batch: Option<usize>,
    pub precision: Precision,
    pub optimizer: Optimizer,
    pub schedule: Schedule,
    pub seed: u64,
    pub checkpoint_every: u64,
    pub keep: usize,
    pub picture_every: u64,
    pub log_every: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    F32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    pub name: OptimizerName,
    pub betas: [f64; 2],
    pub eps: f64,
    pub decay: f64,
    pub clip: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    AdamW,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    pub name: ScheduleName,
    pub base_lr: f64,
    pub warmup_lr: f64,
    pub min_lr: f64,
    pub warmup_epochs: f64,
    pub milestones: Vec<f64>,
    pub gamma: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleName {
    Cosine,
    Multistep,
    Step,
    Linear,
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

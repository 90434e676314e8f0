//! Images: found, decoded, augmented and delivered as batches.
//!
//! ```text
//! DataConfig -> Dataset   the images by number, and the views a network is fed
//!            -> Loader    batches in the order of steps, made in background threads
//! ```
//!
//! The augmentation is that of SimMIM's pre-training: torchvision's `RandomResizedCrop` (bilinear, antialiased), a
//! mirror image half of the time, then `(value − mean) / std`. Whatever is random is a pure function of (seed, epoch,
//! number of the image), so a batch has the same bits for any number of threads and after a resume at any step.

mod buffered;
mod crop;
mod dataset;
mod decode;
mod error;
mod file;
mod folder;
mod gather;
mod jpeg;
mod loader;
mod missing;
mod names;
mod normalize;
mod order;
mod resample;
mod shards;
mod stored;
mod stream;
pub mod survey;
pub mod synthetic;
mod tally;

use std::path::PathBuf;

pub use crop::{Crop, CropBox};
pub use dataset::{Dataset, center};
pub use decode::{Fault, Header, MAX_PIXELS, decode};
pub use error::DataError;
pub use folder::EXTENSIONS;
pub use loader::{Batch, Loader};
pub use normalize::Normalizer;
pub use order::{Order, Place, Samples, Slot};
pub use tally::{Skipped, TOLERATED_ALWAYS, TOLERATED_PERCENT};

/// Where images come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// All images in a folder and the folders below it, or in the tar archives there, or in one tar archive; labels are
    /// not needed.
    Folder(PathBuf),
    /// Generated scenes, see [`synthetic`].
    Synthetic {
        /// How many.
        count: usize,
    },
}

/// Which images, and what is done to them: the `data` part of a recipe.
#[derive(Debug, Clone, PartialEq)]
pub struct DataConfig {
    /// Where they are.
    pub images: Source,
    /// Side of what the network sees, in pixels, 1 to [`MAX_SIZE`].
    pub size: usize,
    /// What part of an image is shown.
    pub crop: Crop,
    /// Whether half of the images are mirrored.
    pub flip: bool,
    /// Per channel, of values in \[0, 1\].
    pub mean: [f32; 3],
    /// Per channel, above 0.
    pub std: [f32; 3],
    /// Reads tar archives from front to back, and draws from so many images that wait, at least 1; `None` draws from all
    /// and reads each image where it lies. Images in no archive take `None` alone.
    pub shuffle_buffer: Option<usize>,
    /// Threads that decode and augment; 0 for one per core less one.
    pub workers: usize,
    /// Of crops, mirroring, order, and of the images themselves where they are generated.
    pub seed: u64,
}

/// The largest [`DataConfig::size`].
pub const MAX_SIZE: usize = 8192;

/// Finds the images without reading them, and counts them.
///
/// # Errors
/// As [`Dataset::open`].
pub fn describe(config: &DataConfig) -> Result<usize, DataError> {
    Ok(Dataset::open(config)?.len())
}

impl DataConfig {
    /// Refuses numbers with which no image could be made.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        let [low, high] = self.crop.scale;
        let [narrow, wide] = self.crop.ratio;
        let normal = |values: &[f32; 3]| values.iter().all(|v| v.is_finite());
        let somewhere =
            !matches!(&self.images, Source::Folder(path) if path.as_os_str().is_empty());
        let in_archives = matches!(&self.images, Source::Folder(_));
        let rules = [
            (
                somewhere,
                "data.images",
                "\"\"".into(),
                "a folder or `synthetic`".into(),
            ),
            (
                (1..=MAX_SIZE).contains(&self.size),
                "data.size",
                self.size.to_string(),
                format!("1 to {MAX_SIZE}"),
            ),
            (
                0.0 < low && low <= high && high <= 1.0,
                "data.crop.scale",
                format!("{:?}", self.crop.scale),
                "[low, high] with 0 < low ≤ high ≤ 1".into(),
            ),
            (
                0.0 < narrow && narrow <= wide && wide.is_finite(),
                "data.crop.ratio",
                format!("{:?}", self.crop.ratio),
                "[low, high] with 0 < low ≤ high".into(),
            ),
            (
                normal(&self.mean),
                "data.mean",
                format!("{:?}", self.mean),
                "three finite numbers".into(),
            ),
            (
                normal(&self.std) && self.std.iter().all(|v| *v > 0.0),
                "data.std",
                format!("{:?}", self.std),
                "three finite numbers above 0".into(),
            ),
            (
                self.shuffle_buffer != Some(0),
                "data.shuffle_buffer",
                "0".into(),
                "at least 1, or null".into(),
            ),
            (
                in_archives || self.shuffle_buffer.is_none(),
                "data.shuffle_buffer",
                self.shuffle_buffer.unwrap_or_default().to_string(),
                "null: generated images lie in no archive".into(),
            ),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            None => Ok(()),
            Some((_, key, got, wanted)) => Err(DataError::OutOfRange { key, got, wanted }),
        }
    }
}

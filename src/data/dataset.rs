//! A set of images by number, and the views of them that a network is fed.

use std::{cell::RefCell, path::Path, sync::Arc};

use image::RgbImage;

use super::{
    CropBox, DataConfig, DataError, Normalizer, Source,
    crop::central_square,
    decode::decode_into,
    resample::{Resampler, flip},
    shards::Shards,
    stored::{Encoded, Stored},
    synthetic,
};
use crate::{random::Key, text::paths::shown};

/// The images a [`DataConfig`] asks for, numbered from 0 in one order on every machine.
///
/// ```
/// use mimc::data::{Crop, DataConfig, Dataset, Source};
///
/// let dataset = Dataset::open(&DataConfig {
///     images: Source::Synthetic { count: 100 },
///     shuffle_buffer: None,
///     size: 32,
///     crop: Crop::default(),
///     flip: true,
///     mean: [0.485, 0.456, 0.406],
///     std: [0.229, 0.224, 0.225],
///     workers: 0,
///     seed: 1,
/// })?;
/// assert_eq!((dataset.len(), dataset.name(42)), (100, "synthetic/000042".into()));
/// assert_eq!(dataset.center(42)?.len(), 3 * 32 * 32);
/// # Ok::<(), mimc::DataError>(())
/// ```
pub struct Dataset {
    config: DataConfig,
    index: Index,
    normalizer: Normalizer,
}

/// Which view of an image is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    pub epoch: u64,
    /// Unreadable images in whose place this one stands; not 0 makes another view than the image's own in this epoch.
    pub passed: usize,
}

/// What a thread keeps from one image to the next, so that memory is taken once. It changes no result.
#[derive(Default)]
pub(super) struct Scratch {
    resampler: Resampler,
    /// Of an image that was decoded.
    samples: Vec<u8>,
}

enum Index {
    Stored(Stored),
    Synthetic { count: usize },
}

impl Dataset {
    /// Checks the configuration and lists the images; reads none of them.
    ///
    /// # Errors
    /// A number out of range, or a folder that is missing, cannot be listed or holds no images; an archive that cannot be
    /// read; a buffer for images that are in no archive.
    pub fn open(config: &DataConfig) -> Result<Self, DataError> {
        config.check()?;
        let index = match &config.images {
            Source::Folder(path) => {
                let (stored, beside) = Stored::open(path)?;
                beside.check()?;
                check_buffer(config, &stored, path)?;
                Index::Stored(stored)
            }
            Source::Synthetic { count } => Index::Synthetic { count: *count },
        };
        Ok(Self {
            config: config.clone(),
            index,
            normalizer: Normalizer::new(config.mean, config.std),
        })
    }

    /// Number of images; 0 only for a synthetic set of none.
    pub fn len(&self) -> usize {
        match &self.index {
            Index::Stored(stored) => stored.len(),
            Index::Synthetic { count } => *count,
        }
    }

    /// Whether there is no image: only in a synthetic set of none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers in one image: 3 · size².
    pub fn image_len(&self) -> usize {
        3 * self.config.size * self.config.size
    }

    /// The file of an image as a user would open it, or `synthetic/000042`.
    ///
    /// # Panics
    /// Unless `image` is below [`len`](Self::len).
    pub fn name(&self, image: usize) -> String {
        match &self.index {
            Index::Stored(stored) => stored.name(image),
            Index::Synthetic { .. } => format!("synthetic/{image:06}"),
        }
    }

    /// The archives, and how many of their images are to wait in a buffer: `None` where each image is read by itself.
    pub(super) fn buffered(&self) -> Option<(&Arc<Shards>, usize)> {
        match (&self.index, self.config.shuffle_buffer) {
            (Index::Stored(Stored::Shards(shards)), Some(buffer)) => Some((shards, buffer)),
            _ => None,
        }
    }

    /// The mapping between pixels and what the network is fed.
    pub fn normalizer(&self) -> &Normalizer {
        &self.normalizer
    }

    /// The largest central square of an image, normalised, \[3, size, size\]: what pictures and validation show.
    ///
    /// # Errors
    /// The file cannot be read.
    ///
    /// # Panics
    /// As [`name`](Self::name).
    pub fn center(&self, image: usize) -> Result<Vec<f32>, DataError> {
        let pixels =
            self.pixels(image, None, Vec::new())
                .map_err(|reason| DataError::Unreadable {
                    name: self.name(image),
                    reason,
                })?;
        Ok(center(&pixels, self.config.size, &self.normalizer))
    }

    /// As [`center`](Self::center), of the first image from `image` on that can be read.
    ///
    /// # Errors
    /// None of the next thousand can be read; of the first.
    ///
    /// # Panics
    /// As [`name`](Self::name).
    pub fn center_from(&self, image: usize) -> Result<Vec<f32>, DataError> {
        let first = self.center(image);
        let mut next = (1..self.len().min(1000)).map(|passed| (image + passed) % self.len());
        match first {
            Ok(planes) => Ok(planes),
            Err(error) => next.find_map(|image| self.center(image).ok()).ok_or(error),
        }
    }

    /// What training sees of an image in an epoch, normalised, \[3, size, size\]: what a [`Loader`](super::Loader) delivers,
    /// made on this thread.
    ///
    /// # Errors
    /// The file cannot be read.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn seen(&self, image: usize, epoch: u64) -> Result<Vec<f32>, DataError> {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::default();
        }
        let view = View { epoch, passed: 0 };
        let pixels = SCRATCH.with_borrow_mut(|scratch| self.augment(image, None, view, scratch));
        let pixels = pixels.map_err(|reason| DataError::Unreadable {
            name: self.name(image),
            reason,
        })?;
        let mut planes = vec![0.0; pixels.len()];
        self.normalizer.apply(&pixels, &mut planes);
        Ok(planes)
    }

    /// What training sees of an image: a random crop, perhaps mirrored, as \[size, size, 3\] 8-bit RGB. A pure function
    /// of the seed, the view and the number of the image. Its bytes are read here unless they were before.
    ///
    /// # Errors
    /// Why the file cannot be read.
    pub(super) fn augment(
        &self,
        image: usize,
        encoded: Option<Encoded>,
        view: View,
        scratch: &mut Scratch,
    ) -> Result<Vec<u8>, String> {
        let pixels = self.pixels(image, encoded, std::mem::take(&mut scratch.samples))?;
        let (part, mirrored) = self.view(&pixels, image, view);
        let size = self.config.size as u32;
        let mut resized = scratch.resampler.resize(&pixels, part, size);
        scratch.samples = pixels.into_raw();
        if mirrored {
            flip(&mut resized, self.config.size);
        }
        Ok(resized)
    }

    fn view(
        &self,
        pixels: &RgbImage,
        image: usize,
        View { epoch, passed }: View,
    ) -> (CropBox, bool) {
        let key = Key::new(self.config.seed).with("augment");
        let mut key = key.at(epoch).at(image as u64);
        if passed > 0 {
            key = key.with("instead").at(passed as u64);
        }
        let (width, height) = pixels.dimensions();
        let part = self.config.crop.sample(width, height, key.with("crop"));
        let mirrored = self.config.flip && key.with("flip").uniform(0) < 0.5;
        (part, mirrored)
    }

    fn pixels(
        &self,
        image: usize,
        encoded: Option<Encoded>,
        memory: Vec<u8>,
    ) -> Result<RgbImage, String> {
        match &self.index {
            Index::Stored(stored) => {
                let read = || stored.read(image).map_err(|error| error.to_string());
                let bytes = encoded.unwrap_or_else(read)?;
                let decoded = decode_into(&bytes, memory);
                let (_, pixels) = decoded.map_err(|fault| fault.to_string())?;
                Ok(pixels)
            }
            Index::Synthetic { .. } => {
                let side = synthetic::side_for(self.config.size as u32);
                Ok(synthetic::scene(self.config.seed, image, side))
            }
        }
    }
}

/// The largest central square of a picture of any size, normalised, \[3, size, size\].
pub fn center(pixels: &RgbImage, size: usize, normalizer: &Normalizer) -> Vec<f32> {
    let part = central_square(pixels.width(), pixels.height());
    let resized = Resampler::default().resize(pixels, part, size as u32);
    let mut planes = vec![0.0; resized.len()];
    normalizer.apply(&resized, &mut planes);
    planes
}

/// Only archives are read from front to back.
fn check_buffer(config: &DataConfig, stored: &Stored, path: &Path) -> Result<(), DataError> {
    match (stored, config.shuffle_buffer) {
        (Stored::Files(_), Some(buffer)) => Err(DataError::OutOfRange {
            key: "data.shuffle_buffer",
            got: buffer.to_string(),
            wanted: format!("null: {} holds files and no tar archives", shown(path)),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Crop;

    fn synthetic(seed: u64) -> Dataset {
        let config = DataConfig {
            images: Source::Synthetic { count: 4000 },
            size: 24,
            crop: Crop::default(),
            flip: true,
            mean: [0.5; 3],
            std: [0.25; 3],
            shuffle_buffer: None,
            workers: 1,
            seed,
        };
        Dataset::open(&config).unwrap()
    }

    fn of_epoch(epoch: u64) -> View {
        View { epoch, passed: 0 }
    }

    #[test]
    fn half_of_the_views_are_mirrored_independently_of_the_crop() {
        let dataset = synthetic(0);
        let pixels = RgbImage::new(100, 100);
        let (mut mirrored, mut at_left) = (0, [0, 0]);
        for image in 0..4000 {
            let (part, flip) = dataset.view(&pixels, image, of_epoch(3));
            mirrored += usize::from(flip);
            at_left[usize::from(flip)] += usize::from(2 * part.left < 100 - part.width);
        }
        // Five standard deviations.
        assert!(mirrored.abs_diff(2000) < 160, "{mirrored} of 4000");
        assert!(at_left[0].abs_diff(at_left[1]) < 240, "{at_left:?}");
    }

    #[test]
    fn a_view_depends_on_seed_epoch_and_image_alone() {
        let view = |seed, image, epoch| {
            let mut scratch = Scratch::default();
            // What was resized before must not matter.
            synthetic(1)
                .augment(9, None, of_epoch(9), &mut scratch)
                .unwrap();
            synthetic(seed)
                .augment(image, None, of_epoch(epoch), &mut scratch)
                .unwrap()
        };
        assert_eq!(view(1, 5, 2), view(1, 5, 2));
        assert_ne!(view(1, 5, 2), view(1, 5, 3));
        assert_ne!(view(1, 5, 2), view(1, 6, 2));
        assert_ne!(view(1, 5, 2), view(2, 5, 2));
    }

    #[test]
    fn flipping_can_be_switched_off() {
        let mut dataset = synthetic(0);
        dataset.config.flip = false;
        let pixels = RgbImage::new(100, 100);
        assert!((0..100).all(|image| !dataset.view(&pixels, image, of_epoch(0)).1));
    }
}

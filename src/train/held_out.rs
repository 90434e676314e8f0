//! The loss on images that are never trained on, behind masks that stay the same over a run.

use rayon::prelude::*;

use super::{
    gallery::copy_weights,
    run::Validation,
    step::{Draw, Step, StepError},
};
use crate::data::{DataConfig, DataError, Dataset, Normalizer, Source};

/// Images held out, each its largest central square.
pub struct HeldOut {
    normalizer: Normalizer,
    /// `[size, size, 3]` each, 8-bit RGB.
    images: Vec<Vec<u8>>,
    seed: u64,
}

impl HeldOut {
    /// Reads the images, spread over the whole set; the next one for one that cannot be read.
    ///
    /// # Errors
    /// There are no images to be read there.
    pub fn open(validation: &Validation, data: &DataConfig) -> Result<Self, DataError> {
        let dataset = Dataset::open(&DataConfig {
            images: Source::Folder(validation.images.clone()),
            shuffle_buffer: None,
            ..data.clone()
        })?;
        let count = validation.count.min(dataset.len());
        let normalizer = dataset.normalizer().clone();
        let image = |at: usize| {
            let planes = dataset.center_from(at * dataset.len() / count)?;
            Ok(normalizer.to_rgb8(&planes))
        };
        let images = (0..count).into_par_iter().map(image);
        Ok(Self {
            images: images.collect::<Result<_, DataError>>()?,
            normalizer,
            seed: data.seed,
        })
    }

    /// The mean loss with the weights of `trained`, by `program`, the forward pass alone. A last group of images that does
    /// not fill the program is left out, unless it is the only one: then its images are taken more than once.
    ///
    /// # Errors
    /// The programs are not of the same model, or the backend cannot run `program`.
    pub fn loss(&self, program: &mut dyn Step, trained: &dyn Step) -> Result<f32, StepError> {
        copy_weights(trained, program)?;
        let group = program.micro_batch();
        let groups = (self.images.len() / group).max(1);
        let mut fed = vec![0.0; group * self.images[0].len()];
        let mut sum = 0.0;
        for first in (0..groups).map(|at| at * group) {
            let images = self.images.iter().cycle().skip(first);
            for (pixels, planes) in images.zip(fed.chunks_exact_mut(self.images[0].len())) {
                self.normalizer.apply(pixels, planes);
            }
            program.feed("image", &fed)?;
            sum += f64::from(program.accumulate(Draw {
                seed: self.seed,
                step: 0,
                first_sample: first as u64,
            })?);
        }
        Ok((sum / groups as f64) as f32)
    }
}

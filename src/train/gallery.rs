//! Draws what a model makes of a few images that stay the same over a run, behind masks that stay the same.

use image::RgbImage;

use super::{
    pictures::{View, sheet},
    step::{Draw, Part, Step, StepError},
};
use crate::data::{DataError, Dataset, Normalizer};

/// Images on a sheet, or fewer if there are fewer.
const VIEWS: usize = 8;

/// A program that draws, and the images it is shown.
pub struct Gallery<'a> {
    program: &'a mut dyn Step,
    normalizer: Normalizer,
    /// Side of an image, in pixels.
    size: usize,
    /// Normalised, `[3, size, size]` each.
    images: Vec<Vec<f32>>,
    seed: u64,
}

impl<'a> Gallery<'a> {
    /// Takes images from all over the dataset, the next one for one that cannot be read.
    ///
    /// # Errors
    /// There are no images to be read where they are taken from.
    pub fn new(
        program: &'a mut dyn Step,
        dataset: &Dataset,
        size: usize,
        seed: u64,
    ) -> Result<Self, DataError> {
        let count = VIEWS.min(dataset.len());
        let spread = (0..count).map(|i| i * dataset.len() / count);
        let images = spread.map(|image| dataset.center_from(image));
        let images = images.collect::<Result<_, _>>()?;
        let normalizer = dataset.normalizer().clone();
        Ok(Self::of(program, normalizer, size, images, seed))
    }

    /// Images of one's own: normalised, `[3, size, size]` each, at least one.
    pub fn of(
        program: &'a mut dyn Step,
        normalizer: Normalizer,
        size: usize,
        images: Vec<Vec<f32>>,
        seed: u64,
    ) -> Self {
        Self {
            program,
            normalizer,
            size,
            images,
            seed,
        }
    }

    /// The program that draws.
    pub fn program(&mut self) -> &mut dyn Step {
        self.program
    }

    /// Draws the sheet with the weights of another program.
    ///
    /// # Errors
    /// The programs are not of the same model, or the backend cannot run this one.
    pub fn draw(&mut self, trained: &dyn Step) -> Result<RgbImage, StepError> {
        copy_weights(trained, self.program)?;
        Ok(sheet(&self.views()?))
    }

    /// The images with what the program makes of them, its weights as they are.
    ///
    /// # Errors
    /// The backend cannot run the program.
    pub fn views(&mut self) -> Result<Vec<View>, StepError> {
        let micro_batch = self.program.micro_batch();
        let mut views = Vec::new();
        for (group, images) in self.images.chunks(micro_batch).enumerate() {
            // A last group that is too small is filled up with black images.
            let mut fed = images.concat();
            fed.resize(micro_batch * images[0].len(), 0.0);
            self.program.feed("image", &fed)?;
            self.program.accumulate(Draw {
                seed: self.seed,
                step: 0,
                first_sample: (group * micro_batch) as u64,
            })?;
            let decoded = self.program.output("decoder")?;
            let masks = self.program.output("mask")?;
            let each = decoded
                .chunks(decoded.len() / micro_batch)
                .zip(masks.chunks(masks.len() / micro_batch));
            for (image, (decoded, mask)) in images.iter().zip(each) {
                views.push(View {
                    original: self.picture(image),
                    reconstruction: self.picture(decoded),
                    hidden: mask.iter().map(|&hidden| hidden > 0.5).collect(),
                });
            }
        }
        Ok(views)
    }

    fn picture(&self, planes: &[f32]) -> RgbImage {
        let side = self.size as u32;
        RgbImage::from_raw(side, side, self.normalizer.to_rgb8(planes))
            .expect("an image fed to the program has three values for each pixel")
    }
}

/// The weights of one program into another of the same model.
pub(super) fn copy_weights(from: &dyn Step, to: &mut dyn Step) -> Result<(), StepError> {
    let mut values = Vec::new();
    for (index, weight) in to.weights().to_vec().iter().enumerate() {
        let known = from.weights().iter();
        let source = known
            .clone()
            .position(|w| w.name == weight.name && w.dims == weight.dims);
        let source = source.ok_or_else(|| {
            StepError::Backend(format!(
                "the program that draws pictures has a weight `{}` {:?} that the training program lacks",
                weight.name, weight.dims
            ))
        })?;
        values.resize(weight.len(), 0.0);
        from.read(Part::Value, source, &mut values)?;
        to.write(Part::Value, index, &values)?;
    }
    Ok(())
}

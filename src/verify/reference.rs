//! The file of another implementation's numbers.
//!
//! | key | shape | what |
//! |---|---|---|
//! | `param/<weight>` | the weight's | value at the start |
//! | `train/images` | \[T, B, 3, H, H\] | normalised images of T steps |
//! | `train/masks`, `train/unit_masks` | \[T, B, g, g\], \[T, B, u, u\] | 1 = hidden, per token and per unit |
//! | `act/<module>` | | what a module returns in step 0 |
//! | `output/loss`, `output/reconstruction` | \[1\], \[B, 3, H, H\] | of step 0, before any update |
//! | `grad/<weight>` | the weight's | gradient of step 0, not clipped |
//! | `train/lrs`, `train/losses`, `train/grad_norms` | \[T\] | rate, loss and norm before clipping of each step |
//! | `final/<weight>` | the weight's | value behind the last step |
//!
//! Metadata: `no_weight_decay`, a JSON list of weights; `grad_rel_error_f32_vs_f64`, how far the file's own gradients are
//! from exact; `autocast_bf16`, a JSON object whose `grad_rel_total` says how far the gradient is in mixed precision. Only the weights, the images and their masks must be there.

use crate::{compile::CHANNELS, train::tensor_file::TensorFile};
use std::{
    io,
    path::{Path, PathBuf},
};

/// How often its own rounding a gradient of the file may be off.
const GRADIENT_MARGIN: f64 = 5.0;

/// How often the error of the file's own mixed precision ours may have. Of an absolute error each pixel that ends on the other side
/// of zero moves the gradient of a small model by a hundredth, and which pixels do is chance.
const AUTOCAST_MARGIN: f64 = 1.25;

/// A file of numbers of another implementation, open for reading.
#[derive(Debug)]
pub struct Reference {
    path: PathBuf,
    file: TensorFile,
    /// Optimizer steps.
    steps: usize,
    batch: usize,
    /// Pixels per image side.
    size: usize,
    no_decay: Option<Vec<String>>,
    gradient_floor: f64,
    autocast: Option<f64>,
}

/// A file that cannot be compared with.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "a variant's message says what its fields hold")]
pub enum ReferenceError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} holds no tensor `{key}`", path.display())]
    Missing { path: PathBuf, key: String },
    #[error("`{key}` of {} is {dims:?}, wanted {wanted}", path.display())]
    Shape {
        path: PathBuf,
        key: String,
        dims: Vec<usize>,
        wanted: &'static str,
    },
    #[error("the metadata `{key}` of {} is not {wanted}", path.display())]
    Metadata {
        path: PathBuf,
        key: &'static str,
        wanted: &'static str,
    },
}

impl Reference {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// No safetensors file, or one without images or of contradicting shapes.
    pub fn open(path: &Path) -> Result<Self, ReferenceError> {
        let file = TensorFile::open(path).map_err(|source| ReferenceError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut reference = Self {
            path: path.to_owned(),
            file,
            steps: 0,
            batch: 0,
            size: 0,
            no_decay: None,
            gradient_floor: 0.0,
            autocast: None,
        };
        reference.read_shapes()?;
        reference.read_metadata()?;
        Ok(reference)
    }

    /// What the file decides of a recipe, as `--set` writes it.
    pub fn sets(&self) -> Vec<String> {
        let Self { batch, size, .. } = self;
        vec![
            format!("train.batch={batch}"),
            format!("train.micro_batch={batch}"),
            format!("data.size={size}"),
        ]
    }

    /// Names and shapes of the tensors behind a prefix, which the names are without.
    pub(super) fn group(&self, prefix: &str) -> Vec<(String, Vec<usize>)> {
        let tensors = self.file.tensors().into_iter();
        let group = tensors.filter_map(|(name, info)| {
            let name = name.strip_prefix(prefix)?.to_owned();
            Some((name, info.shape.clone()))
        });
        group.collect()
    }

    pub(super) fn dims(&self, key: &str) -> Option<Vec<usize>> {
        let tensors = self.file.tensors();
        tensors.get(key).map(|info| info.shape.clone())
    }

    pub(super) fn read(&mut self, key: &str) -> Result<Vec<f32>, ReferenceError> {
        let dims = self.dims(key).ok_or_else(|| self.missing(key))?;
        let mut values = vec![0.0; dims.iter().product()];
        let read = self.file.read(key, &mut values);
        read.map_err(|source| ReferenceError::Read {
            path: self.path.clone(),
            source,
        })?;
        Ok(values)
    }

    /// The part of a tensor, whose first axis is the step, that belongs to one step.
    pub(super) fn of_step(&mut self, key: &str, at: usize) -> Result<Vec<f32>, ReferenceError> {
        let values = self.read(key)?;
        let length = values.len() / self.steps;
        Ok(values[at * length..][..length].to_vec())
    }

    /// A short list, if the file holds it.
    pub(super) fn numbers(&mut self, key: &str) -> Result<Option<Vec<f32>>, ReferenceError> {
        self.dims(key).map(|_| self.read(key)).transpose()
    }

    /// Pixels per side of what was hidden together, where the file says.
    pub(super) fn unit(&self) -> Option<usize> {
        let units = *self.dims("train/unit_masks")?.last()?;
        Some(self.size / units)
    }

    pub(super) fn no_decay(&self) -> Option<&[String]> {
        self.no_decay.as_deref()
    }

    /// What gradients may be off by at least, relative: those of the file are no better.
    pub(super) fn gradient_floor(&self) -> f64 {
        GRADIENT_MARGIN * self.gradient_floor
    }

    /// What the whole gradient may be off by in mixed precision, relative, where the file has the error of its own.
    pub(super) fn autocast(&self) -> Option<f64> {
        self.autocast.map(|error| AUTOCAST_MARGIN * error)
    }

    fn read_shapes(&mut self) -> Result<(), ReferenceError> {
        let images = "train/images";
        let dims = self.dims(images).ok_or_else(|| self.missing(images))?;
        let [steps, batch, CHANNELS, height, width] = dims[..] else {
            return Err(self.misshapen(images, dims, "[steps, batch, 3, size, size]"));
        };
        if steps == 0 || batch == 0 || height == 0 || height != width {
            return Err(self.misshapen(
                images,
                dims,
                "[steps, batch, 3, size, size], none of them 0",
            ));
        }
        (self.steps, self.batch, self.size) = (steps, batch, height);
        for key in ["train/masks", "train/unit_masks"] {
            if let Some(dims) = self.dims(key)
                && (dims.len() != 4 || dims[..2] != [steps, batch] || dims.contains(&0))
            {
                return Err(self.misshapen(key, dims, "[steps, batch, side, side] as the images"));
            }
        }
        for key in ["train/lrs", "train/losses", "train/grad_norms"] {
            if let Some(dims) = self.dims(key)
                && dims != [steps]
            {
                return Err(self.misshapen(key, dims, "one number per step"));
            }
        }
        Ok(())
    }

    fn read_metadata(&mut self) -> Result<(), ReferenceError> {
        let wrong = |key, wanted| ReferenceError::Metadata {
            path: self.path.clone(),
            key,
            wanted,
        };
        let key = "no_weight_decay";
        let names = self.file.note(key).map(serde_json::from_str);
        let names = names.transpose();
        let names = names.map_err(|_| wrong(key, "a JSON list of weights"))?;
        let key = "grad_rel_error_f32_vs_f64";
        let floor = self.file.note(key).map(str::parse).transpose();
        let floor = floor.map_err(|_| wrong(key, "a number"))?;
        let key = "autocast_bf16";
        let total = |text: &str| -> Option<f64> {
            let errors: serde_json::Value = serde_json::from_str(text).ok()?;
            errors.get("grad_rel_total")?.as_f64()
        };
        let wanted = "a JSON object with a number `grad_rel_total`";
        let autocast = self.file.note(key).map(|text| total(text).ok_or(()));
        let autocast = autocast.transpose();
        self.autocast = autocast.map_err(|()| wrong(key, wanted))?;
        self.no_decay = names;
        self.gradient_floor = floor.unwrap_or(0.0);
        Ok(())
    }

    fn missing(&self, key: &str) -> ReferenceError {
        ReferenceError::Missing {
            path: self.path.clone(),
            key: key.to_owned(),
        }
    }

    fn misshapen(&self, key: &str, dims: Vec<usize>, wanted: &'static str) -> ReferenceError {
        ReferenceError::Shape {
            path: self.path.clone(),
            key: key.to_owned(),
            dims,
            wanted,
        }
    }
}

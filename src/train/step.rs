//! What the training loop asks of a compiled program. Every backend implements it; the loop knows nothing else of them.

use super::stop::Stop;
use crate::{data::Normalizer, plan::Work, random::Key, text::units::bytes};
use std::sync::Arc;

/// A compiled training step: forward, backward and update of one model.
///
/// Without a [`Trainer`](super::trainer::Trainer), whose images come from a [`Loader`](crate::data::Loader), a step takes
/// whatever it is fed:
///
/// ```
/// use mimc::{Cpu, Draw, Library, Options, Part, Recipe, compile};
///
/// let sets = ["model.encoder.window=3", "data.size=48", "train.batch=4", "train.micro_batch=2"];
/// let recipe = Recipe::load("quickstart", &sets.map(String::from))?;
/// let program = compile(&recipe, &Library::new(&[]), &Options::default())?;
/// let mut step = program.prepare(&Cpu, recipe.train.seed)?;
///
/// // [2, 3, 48, 48], normalised.
/// let images: Vec<f32> = (0..2 * 3 * 48 * 48).map(|at| (at as f32 / 7.0).sin()).collect();
/// for update in 1..=2 {
///     for first_sample in [0, 2] {
///         step.feed("image", &images)?;
///         let loss = step.accumulate(Draw { seed: 0, step: update - 1, first_sample })?;
///         assert!(loss.is_finite());
///     }
///     let norm = step.apply(1e-4, update)?;
///     assert!(norm > 0.0);
/// }
/// let mut bias = vec![0.0; step.weights()[0].len()];
/// step.read(Part::Value, 0, &mut bias)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Step {
    /// The weights in the order of the graph.
    fn weights(&self) -> &[WeightInfo];

    /// Copies one tensor of one weight out of the program.
    ///
    /// # Errors
    /// If what it lies on was lost.
    ///
    /// # Panics
    /// If `index` is not one of [`Step::weights`], or `to` is not as long as the weight.
    fn read(&self, part: Part, index: usize, to: &mut [f32]) -> Result<(), StepError>;

    /// Copies one tensor of one weight into the program.
    ///
    /// # Errors
    /// As [`Step::read`].
    ///
    /// # Panics
    /// As [`Step::read`].
    fn write(&mut self, part: Part, index: usize, from: &[f32]) -> Result<(), StepError>;

    /// Images per micro-batch.
    fn micro_batch(&self) -> usize;

    /// Feeds a named input of the graph for the next run: `image` `[micro, 3, size, size]`, `mask`, ... The images of the next
    /// step may be fed before [`Step::apply`] ends this one.
    ///
    /// # Errors
    /// If the graph has no such input, or the input has another number of elements.
    fn feed(&mut self, name: &str, values: &[f32]) -> Result<(), StepError>;

    /// Whether it takes images as pixels and normalises them itself, by this from now on: a quarter of the bytes, to the same
    /// bits. `false` where [`Step::feed`] alone takes images.
    ///
    /// # Errors
    /// If what it lies on was lost.
    fn normalize_by(&mut self, normalizer: &Normalizer) -> Result<bool, StepError> {
        let _ = normalizer;
        Ok(false)
    }

    /// Feeds `image` as interleaved red, green and blue, `[micro, size, size, 3]`, once [`Step::normalize_by`] has said yes.
    ///
    /// # Errors
    /// As [`Step::feed`], and if it takes no pixels.
    fn feed_pixels(&mut self, pixels: &[u8]) -> Result<(), StepError> {
        let _ = pixels;
        let told = "this program takes images that are normalised";
        Err(StepError::Backend(told.into()))
    }

    /// Runs forward and backward on what was fed and adds the gradients, each already divided by the number of
    /// micro-batches in a batch. Returns this micro-batch's own loss; the batch's is the mean over its micro-batches.
    ///
    /// # Errors
    /// If the backend cannot run the program.
    fn accumulate(&mut self, draw: Draw) -> Result<f32, StepError>;

    /// Norm, clip, update, gradients zeroed. `update` counts from 1 over the whole run. Returns the gradient norm before
    /// clipping.
    ///
    /// # Errors
    /// If `update` is 0, or the backend cannot run the program.
    fn apply(&mut self, lr: f32, update: u64) -> Result<f32, StepError>;

    /// From now on, a run of [`Step::accumulate`] under way ends with [`StepError::Interrupted`] soon after `stop` is
    /// requested. Gradients are then worth nothing; weights and moments are what they were. A program that cannot end
    /// in the middle ignores this, and the micro-batch is waited for.
    fn end_early_on(&mut self, stop: &Stop) {
        let _ = stop;
    }

    /// Measures every kernel from now on, from zero. `false` where the backend cannot: then [`Step::kernel_times`] stays empty.
    fn time_kernels(&mut self) -> bool {
        false
    }

    /// What each kernel took since [`Step::time_kernels`], in the order they run.
    fn kernel_times(&self) -> Vec<KernelTime> {
        Vec::new()
    }

    /// A named output of the last [`Step::accumulate`]: `loss`, `decoder` `[micro, 3, size, size]`, `mask`, or an
    /// activation that was kept on request.
    ///
    /// # Errors
    /// If the program keeps no such output.
    fn output(&self, name: &str) -> Result<Vec<f32>, StepError>;
}

/// One weight of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightInfo {
    /// The official checkpoint's name: `encoder.layers.0.blocks.1.attn.qkv.weight`.
    pub name: String,
    /// The official checkpoint's shape.
    pub dims: Vec<usize>,
    /// Whether weight decay applies.
    pub decay: bool,
}

impl WeightInfo {
    /// Elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How long one kernel has run.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelTime {
    /// The word for its kind: `gemm`, `rows`, `attention`.
    pub label: &'static str,
    /// `encoder.layers.0.blocks.1.attn.qkv`; a gradient ends in `'`.
    pub origin: Arc<str>,
    /// Of one run.
    pub work: Work,
    /// How often.
    pub runs: u32,
    /// Of all runs.
    pub seconds: f64,
}

/// The tensors that belong to one weight, all of its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// What the model computes with.
    Value,
    /// Summed over the micro-batches of the step under way.
    Gradient,
    /// Running mean of the gradient.
    FirstMoment,
    /// Running mean of the squared gradient.
    SecondMoment,
}

/// Names the random numbers of one micro-batch: a pure function of these three, however the batch is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// Of the run.
    pub seed: u64,
    /// Optimizer step, from 0.
    pub step: u64,
    /// Position of the micro-batch's first image in the effective batch.
    pub first_sample: u64,
}

impl Draw {
    /// The stream of the run and step; each random tensor draws from `key().with(name)`.
    pub fn key(&self) -> Key {
        Key::new(self.seed).with("draws").at(self.step)
    }
}

/// Why a step could not be fed, run or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "a variant's message says what its fields hold")]
pub enum StepError {
    #[error("the graph has no input `{name}`; its inputs are {}", list(known))]
    UnknownInput { name: String, known: Vec<String> },
    #[error("input `{name}` takes {wanted} values, got {got}")]
    InputLength {
        name: String,
        wanted: usize,
        got: usize,
    },
    #[error("the program keeps no output `{name}`; it keeps {}", list(known))]
    UnknownOutput { name: String, known: Vec<String> },
    #[error("updates are counted from 1, got 0")]
    UpdateZero,
    #[error("the micro-batch was interrupted")]
    Interrupted,
    #[error("no GPU can be used here: {0}")]
    NoGpu(String),
    /// Found before the first step, with nothing taken.
    #[error(
        "the program needs {} on the {device}, which has {} left",
        bytes(*needed),
        bytes(*free)
    )]
    Memory {
        device: String,
        needed: u64,
        free: u64,
    },
    #[error("the {device} was lost {doing}: {cause}")]
    Lost {
        device: String,
        doing: String,
        cause: String,
    },
    #[error("the kernel `{name}` does not compile: {told}")]
    Kernel { name: String, told: String },
    /// The backend's own words.
    #[error("{0}")]
    Backend(String),
}

impl StepError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::NoGpu(_) => {
                "`mimc doctor` tells what was looked for and where; --backend cpu runs without a GPU"
            }
            Self::Memory { .. } => {
                "a smaller train.micro_batch takes less, on the same images and masks; or end what else runs on the GPU"
            }
            Self::Lost { .. } => "once the GPU is back, --resume goes on from the last checkpoint",
            Self::Kernel { .. } => {
                "this is a fault of mimc or of the CUDA it found (`mimc doctor`); --backend cpu runs without"
            }
            _ => return None,
        };
        Some(help.into())
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_what_there_is() {
        let wrong = StepError::UnknownInput {
            name: "images".into(),
            known: vec!["image".into(), "mask".into()],
        };
        assert_eq!(
            wrong.to_string(),
            "the graph has no input `images`; its inputs are `image`, `mask`"
        );
    }
}

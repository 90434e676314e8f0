//! A plan: kernels in order over buffers in one arena. Plain data, `Send`, free of luminal's types.

pub mod check;
pub mod kernel;
mod layout;
mod lower;
pub mod print;
pub mod work;

use std::sync::Arc;

pub use kernel::{Access, Kernel};
pub use layout::{Life, lives};
pub use lower::{Lowered, lower, lower_from};
pub use work::Work;

/// Index into [`Plan::buffers`].
pub type BufferId = usize;
/// Index into [`Plan::streams`].
pub type StreamId = usize;

/// One training step (or one forward pass) as two lists of kernels.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub buffers: Vec<Buffer>,
    /// Random tensors: computed where they are read, never stored.
    pub streams: Vec<Stream>,
    /// Forward, backward, gradients added: runs once per micro-batch.
    pub accumulate: Vec<Scheduled>,
    /// Norm, clip, update, gradients zeroed: runs once per optimizer step.
    pub apply: Vec<Scheduled>,
    /// What the caller feeds: `image`, `mask`, `lr`, ...
    pub feeds: Vec<(String, BufferId)>,
    /// What the caller reads: `loss`, `decoder`, `gradient_norm`, ...
    pub outputs: Vec<(String, BufferId)>,
    pub weights: Vec<Weight>,
    /// Bytes of the arena that all [`Place::Arena`] buffers share.
    pub arena: usize,
    /// Images per run of `accumulate`.
    pub batch: usize,
}

impl Plan {
    /// Whether both factors of a product hold bf16, or are rounded to it as they are read.
    pub fn reads_halves(&self, gemm: &kernel::Gemm) -> bool {
        let factors = [gemm.a.0, gemm.b.0].into_iter().zip(gemm.rounds);
        (factors.into_iter()).all(|(buffer, rounds)| rounds || self.holds_halves(buffer))
    }

    /// Whether queries, keys and values hold bf16: then weights and gradients are rounded to it before they are multiplied.
    pub fn attends_halves(&self, attention: &kernel::Attention) -> bool {
        let operands = [attention.q.0, attention.k.0, attention.v.0];
        operands.into_iter().all(|buffer| self.holds_halves(buffer))
    }

    fn holds_halves(&self, buffer: BufferId) -> bool {
        self.buffers[buffer].element == Element::Bf16
    }
}

/// A kernel with where it came from.
#[derive(Debug, Clone)]
pub struct Scheduled {
    pub kernel: Kernel,
    /// `encoder.layers.0.blocks.1.attn.qkv`; a gradient ends in `'`.
    pub origin: Arc<str>,
    /// Floating-point operations, a multiply-add as two.
    pub flops: u64,
}

#[derive(Debug, Clone)]
pub struct Buffer {
    /// Row-major.
    pub dims: Vec<usize>,
    pub element: Element,
    pub place: Place,
    pub origin: Arc<str>,
}

impl Buffer {
    /// Elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory; none for what lies aside.
    pub fn bytes(&self) -> usize {
        match self.place {
            Place::Aside => 0,
            _ => self.len() * self.element.bytes(),
        }
    }
}

/// As what the elements of a buffer are stored. Kernels compute in f32 whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    F32,
    /// The upper half of an f32: its range, and eight significant bits.
    Bf16,
}

impl Element {
    /// Of one element.
    pub fn bytes(self) -> usize {
        match self {
            Element::F32 => 4,
            Element::Bf16 => 2,
        }
    }
}

#[derive(Debug, Clone)]
pub enum Place {
    /// At an offset of the arena in bytes, a multiple of 64. Lives from its first writer to its last reader.
    Arena(usize),
    /// Nowhere: a product that only its own epilogue reads, block by block, in the working memory of its kernel.
    Aside,
    /// Kept between runs: weights, gradients, moments.
    State,
    /// Written by the caller before a run.
    Feed,
    Constant(Arc<[f32]>),
}

/// A virtual tensor of uniform draws in [0, 1).
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// Instance path: what the numbers are for.
    pub purpose: String,
    /// Elements per image of the batch; 0 where the tensor does not depend on the image.
    pub per_sample: usize,
}

/// A weight and the state that trains it. All four buffers are [`Place::State`] and of the same dims.
#[derive(Debug, Clone)]
pub struct Weight {
    pub name: String,
    pub dims: Vec<usize>,
    /// Whether weight decay applies.
    pub decay: bool,
    pub value: BufferId,
    /// `None` in a plan that does not train.
    pub training: Option<Training>,
}

#[derive(Debug, Clone)]
pub struct Training {
    pub gradient: BufferId,
    pub first_moment: BufferId,
    pub second_moment: BufferId,
}

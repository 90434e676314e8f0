//! A plan as work for a GPU: kernels with their source, and the order of their launches. Plain data: made, printed and checked
//! without a GPU.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::plan::{BufferId, Element, StreamId, Work};

/// A plan, lowered to CUDA for one [`Target`].
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// Each distinct kernel once.
    pub kernels: Vec<Kernel>,
    /// Runs before a micro-batch whose images were fed as pixels.
    pub intake: Option<Intake>,
    /// Runs once per micro-batch.
    pub accumulate: Vec<Scheduled>,
    /// Runs once per optimizer step.
    pub apply: Vec<Scheduled>,
    /// Data that launches read and nobody writes, uploaded once.
    pub tables: Vec<Table>,
    /// Bytes of working memory beside the arena. What a launch leaves there, later ones of the same run read; nothing is kept
    /// from run to run.
    pub scratch: usize,
}

/// Compute capability, 90 for `sm_90`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target(pub u32);

impl Target {
    /// Bytes of shared memory that a block can have.
    pub fn shared(self) -> usize {
        let kib = match self.0 {
            86 | 89 | 120.. => 99,
            80..=89 => 163,
            _ => 227,
        };
        kib << 10
    }
}

/// One translation unit with one entry point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Of the entry point: `extern "C" __global__`, all of whose parameters are pointers.
    pub name: String,
    /// CUDA C without any `#include`.
    pub source: String,
}

/// What takes images over that were fed as pixels.
#[derive(Debug, Clone)]
pub struct Intake {
    /// Index into the plan's feeds.
    pub feed: usize,
    pub launch: Scheduled,
}

/// A launch with where it came from.
#[derive(Debug, Clone)]
pub struct Scheduled {
    pub launch: Launch,
    /// As [`crate::plan::Kernel::label`], of the kernel of the plan that this is or helps; `cast` where it serves many.
    pub label: &'static str,
    pub origin: Arc<str>,
    /// The place of that kernel, those of the update behind those of a micro-batch. `None` where it serves many.
    pub of: Option<usize>,
    pub work: Work,
}

impl Program {
    /// What computes one kernel of the plan, by its place, in order.
    pub fn launches_of(&self, kernel: usize) -> impl Iterator<Item = &Scheduled> {
        let launches = self.accumulate.iter().chain(&self.apply);
        launches.filter(move |scheduled| scheduled.of == Some(kernel))
    }
}

#[derive(Debug, Clone)]
pub enum Launch {
    Kernel {
        /// Index into [`Program::kernels`].
        kernel: usize,
        grid: [u32; 3],
        /// Threads of a block.
        block: u32,
        /// Bytes of dynamic shared memory.
        shared: u32,
        arguments: Vec<Argument>,
    },
    Product(Product),
}

/// A pointer that a launch gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Argument {
    /// The first element of a buffer of the plan.
    Buffer(BufferId),
    /// Offset in bytes into [`Program::scratch`], a multiple of 256.
    Scratch(usize),
    /// Index into [`Program::tables`].
    Table(usize),
    /// Unsigned 64-bit numbers that change from run to run: the position of the micro-batch's first image in the effective
    /// batch, then the key of each stream of the plan.
    Draws,
    /// The key of one stream, where it stands among them.
    Key(StreamId),
    /// Where a feed of the plan waits for the run that it is for.
    Staged(usize),
    /// What each level of red, green and blue is normalised to: three times 256 numbers.
    Levels,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Table {
    Bytes(Vec<u8>),
    /// Addresses of buffers of the plan, 64 bits each.
    Addresses(Vec<BufferId>),
}

/// `c = a·b + added + bias` by cublasLt, repeated over one batch axis. All is added in f32; where `c` is of bf16, the result is
/// rounded once, behind that.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub count: usize,
    pub a: Factor,
    pub b: Factor,
    pub c: Factor,
    /// Of the element and the order of `c`; `c` itself, where its sums go on.
    pub added: Option<Factor>,
    /// One number for each column, where `c` is of f32 and not transposed.
    pub bias: Option<Bias>,
}

/// As many numbers of f32 as a result has columns, side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bias {
    pub memory: Argument,
    /// First element, in elements.
    pub offset: usize,
}

/// A matrix in memory: contiguous along rows, or, `transposed`, along columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor {
    pub memory: Argument,
    /// First element, in elements.
    pub offset: usize,
    pub element: Element,
    pub transposed: bool,
    /// Elements from one row (transposed: column) to the next.
    pub stride: usize,
    /// Elements from one matrix of the batch to the next.
    pub batch_stride: usize,
}

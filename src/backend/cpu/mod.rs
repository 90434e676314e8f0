//! The CPU backend: all cores, f32, kernels dispatched at run time to the best instructions the processor has.

pub mod memory;

use crate::random::Key;

/// What changes from run to run besides the buffers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Launch {
    /// The stream of this run and step; each [`crate::plan::Stream`] draws from `key.with(purpose)`.
    pub key: Key,
    /// Position of the micro-batch's first image in the effective batch.
    pub first_sample: u64,
}

//! What is computed again so that it need not be kept.

use crate::text::units::{bytes, flops, lasting};
use serde::Serialize;
use std::fmt;

/// What is computed again so that it need not be kept, beside the program that keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Recomputed {
    /// Blocks whose inside is computed again.
    pub blocks: usize,
    /// Blocks that could be.
    pub of: usize,
    /// Bytes that the plan takes less.
    pub saved: u64,
    /// Of matrix products, per image, more.
    pub flops: u64,
    /// Of an optimizer step, more; `null` where the backend does not tell.
    pub step_seconds: Option<f64>,
}

/// `12 of 24 blocks, which saves 1.20 GiB and takes 14.3 GFLOP more per image, about 3.1 s per step`
impl fmt::Display for Recomputed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            blocks,
            of,
            saved,
            flops: more,
            step_seconds,
        } = *self;
        let (saved, more) = (bytes(saved), flops(more));
        write!(
            f,
            "{blocks} of {of} blocks, which saves {saved} and takes {more} more per image"
        )?;
        match step_seconds {
            Some(seconds) => write!(f, ", about {} per step", lasting(seconds)),
            None => Ok(()),
        }
    }
}

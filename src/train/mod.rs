//! Training: the loop over a compiled step, and what it leaves behind.

mod canvas;
pub mod checkpoint;
pub mod curve;
pub mod metrics;
pub mod mismatch;
pub mod output;
pub mod pictures;
pub mod replace;
pub mod schedule;
pub mod signals;
pub mod step;
pub mod tensor_file;

#[cfg(test)]
mod tests;

//! Training: the loop over a compiled step, and what it leaves behind.

pub mod step;

//! Tests of whole runs and checkpoints, on a model written out in plain Rust.

mod checkpoint;
mod disasters;
mod linear;
mod resume;
mod runs;
mod simulated;
mod trainer;

//! Tests of whole runs and checkpoints, on a model written out in plain Rust.

mod checkpoint;
mod linear;
mod resume;
mod runs;
mod trainer;

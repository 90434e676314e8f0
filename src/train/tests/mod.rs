//! Tests of checkpoints, on a model written out in plain Rust.

mod checkpoint;
mod linear;

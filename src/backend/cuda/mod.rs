//! The CUDA backend: a plan as CUDA C and launches, and what compiles, loads and runs them on a GPU.
//!
//! The emission half is plain text and numbers, made and printed anywhere. The host half opens NVIDIA's libraries when a GPU
//! is asked for, and not before.

mod allocation;
pub mod cache;
mod compiler;
pub mod device;
mod emit;
mod feeds;
pub mod functions;
pub mod library;
mod memory;
mod module;
mod print;
mod product;
pub mod program;
mod recording;
pub mod search;
mod step;
mod stream;

pub use emit::emit;
pub use print::{launch, print};
pub use program::{Program, Target};
pub use step::CudaStep;

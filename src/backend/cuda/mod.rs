//! The CUDA backend: a plan as CUDA C and launches.

mod emit;
mod print;
#[allow(
    missing_docs,
    reason = "launches and their parts are named for what they are"
)]
pub mod program;

pub use emit::emit;
pub use print::print;
pub use program::{Program, Target};

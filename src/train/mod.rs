//! Training: the loop over a compiled step, and what it leaves behind.

pub mod changes;
pub mod checkpoint;
pub mod claim;
pub mod curve;
pub mod disk;
pub mod error;
pub mod from_recipe;
pub mod gallery;
mod gradients;
mod held_out;
pub mod metrics;
pub mod mismatch;
pub mod output;
pub mod pictures;
pub mod replace;
mod resume;
pub mod run;
pub mod schedule;
mod session;
pub mod step;
pub mod stop;
pub mod tensor_file;
pub mod trainer;
mod unreadable;
mod upkeep;

#[cfg(test)]
mod tests;

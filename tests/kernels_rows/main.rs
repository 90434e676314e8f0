//! The row, fold, take and optimizer kernels of the CPU backend against plain loops in f64.

mod fold;
mod half_buffers;
mod harness;
mod optimizer;
mod programs;
mod random;
mod rows;
mod take;
mod throughput;

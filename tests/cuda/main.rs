//! Kernels for a GPU, checked without one: compiled by NVRTC where there is one, and run on the CPU beside its own kernels.

mod cases;
mod emulator;
mod kernels;
mod listing;
mod nvrtc;
mod programs;

//! The CUDA backend on a driver that is emulated: everything but the GPU itself.

mod desk;
mod emulator;
mod signatures;
mod training;
mod trouble;

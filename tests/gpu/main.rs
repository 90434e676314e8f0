//! The CUDA backend on a driver that is emulated: everything but the GPU itself.

mod desk;
mod emulator;
mod products;
mod signatures;
mod training;
mod trouble;

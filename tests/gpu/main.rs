//! The CUDA backend on a driver that is emulated: everything but the GPU itself.

#[path = "../desk/mod.rs"]
mod desk;
mod emulated;
mod emulator;
mod finish;
mod products;
mod signatures;
mod training;
mod trouble;

//! Backends: what runs a compiled graph.

pub mod cpu;
pub mod reference;

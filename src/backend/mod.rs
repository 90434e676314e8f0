//! Backends: what runs a compiled graph.

pub mod cpu;

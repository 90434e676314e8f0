//! The contract on top of luminal's graph.

pub mod program;

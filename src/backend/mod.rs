//! Backends: what runs a compiled graph.

pub mod cpu;
pub mod reference;

use crate::{
    ir::Graph,
    plan,
    train::step::{Step, StepError},
};

/// What turns a compiled graph into a step that runs.
pub trait Backend {
    /// As `--backend` names it.
    fn name(&self) -> &'static str;

    /// One line on what it is for.
    fn doc(&self) -> &'static str;

    /// Takes a legal graph, fused or not. Weights and their state start at zero: the caller writes them.
    ///
    /// # Errors
    /// Where the machine lacks what the backend needs.
    fn prepare(&self, graph: Graph) -> Result<Box<dyn Step>, StepError>;
}

/// Every backend, the default first.
pub const BACKENDS: &[&dyn Backend] = &[&Cpu, &Reference];

/// The backend of that name.
pub fn named(name: &str) -> Option<&'static dyn Backend> {
    BACKENDS.iter().find(|b| b.name() == name).copied()
}

struct Cpu;

impl Backend for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn doc(&self) -> &'static str {
        "fused kernels on all cores, f32"
    }

    fn prepare(&self, graph: Graph) -> Result<Box<dyn Step>, StepError> {
        Ok(Box::new(cpu::CpuStep::new(plan::lower(&graph))?))
    }
}

struct Reference;

impl Backend for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn doc(&self) -> &'static str {
        "luminal's own primitives, one by one: the oracle of the tests, for tiny models only"
    }

    fn prepare(&self, graph: Graph) -> Result<Box<dyn Step>, StepError> {
        Ok(Box::new(reference::prepare(graph)))
    }
}

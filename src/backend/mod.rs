//! Backends: what runs a compiled graph.

pub mod cpu;
pub mod cuda;
pub mod reference;

use crate::{
    ir::Graph,
    pace::{self, Pace},
    plan,
    train::step::{Step, StepError},
};
use serde::Serialize;

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

    /// What the machine can do at most, measured now, in about a tenth of a second. `None` where the backend cannot tell.
    fn ceiling(&self) -> Option<Ceiling> {
        None
    }

    /// How fast the kernels of this backend are here, measured now, in about a tenth of a second. `None` where the backend
    /// cannot tell.
    ///
    /// # Errors
    /// Where the machine lacks what the backend needs.
    fn pace(&self) -> Result<Option<Pace>, StepError> {
        Ok(None)
    }
}

/// What no kernel surpasses on all threads together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ceiling {
    /// Floating-point operations per second of multiply-adds (two each) on numbers in registers.
    pub flops: f64,
    /// Bytes per second, read and written, of a copy that no cache holds.
    pub bandwidth: f64,
}

impl Ceiling {
    /// The least time for a kernel's products or bytes, whichever takes longer.
    pub fn seconds(&self, work: &plan::Work) -> f64 {
        (work.flops as f64 / self.flops).max(work.bytes as f64 / self.bandwidth)
    }
}

/// Every backend, the default first.
pub const BACKENDS: &[&dyn Backend] = &[&Cpu, &Reference];

/// The backend of that name.
pub fn named(name: &str) -> Option<&'static dyn Backend> {
    BACKENDS.iter().find(|b| b.name() == name).copied()
}

/// Fused kernels on all cores, in f32, on buffers of f32 or bf16. Training memory is one mapping; threads are those of rayon's current pool.
pub struct Cpu;

impl Backend for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn doc(&self) -> &'static str {
        "fused kernels on all cores, f32 and bf16"
    }

    fn prepare(&self, graph: Graph) -> Result<Box<dyn Step>, StepError> {
        Ok(Box::new(cpu::CpuStep::new(plan::lower(&graph))?))
    }

    fn ceiling(&self) -> Option<Ceiling> {
        Some(cpu::ceiling())
    }

    fn pace(&self) -> Result<Option<Pace>, StepError> {
        Pace::measure(&mut cpu::CpuStep::new(pace::samples())?)
    }
}

/// luminal's own primitives, one by one: a second opinion on every kernel, for tiny models only.
pub struct Reference;

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

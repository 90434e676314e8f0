//! Backends: what runs a compiled graph.

pub mod cpu;
#[allow(
    missing_docs,
    reason = "kernels and their fields are named for what they are"
)]
pub mod cuda;
mod lookup;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod luminal_cuda;
pub mod reference;

use crate::{
    ir::Graph,
    machine::{FreeMemory, Grant, free_memory},
    pace::{self, Pace},
    plan,
    recipe::Precision,
    train::step::{Step, StepError},
};
use serde::Serialize;
use std::sync::OnceLock;

/// What turns a compiled graph into a step that runs.
pub trait Backend: Sync {
    /// As `--backend` names it.
    fn name(&self) -> &'static str;

    /// One line on what it is for.
    fn doc(&self) -> &'static str;

    /// What is in the way of using it here, if anything: one sentence, without a full stop.
    fn unusable(&self) -> Option<String> {
        None
    }

    /// Bytes that a program can still take, and who grants them. `None` where that is not told.
    fn free_memory(&self) -> Option<FreeMemory> {
        free_memory()
    }

    /// What `train.precision: auto` comes to here.
    fn precision(&self) -> Precision {
        Precision::F32
    }

    /// What who trains in this precision here ought to know: one sentence, without a full stop.
    fn notice(&self, _precision: Precision) -> Option<&'static str> {
        None
    }

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
    /// The same of bf16, summed in f32. Where the processor multiplies none, they count as f32.
    pub halves: f64,
    /// Bytes per second, read and written, of a copy that no cache holds.
    pub bandwidth: f64,
}

impl Ceiling {
    /// The least time for a kernel's products or bytes, whichever takes longer.
    pub fn seconds(&self, work: &plan::Work) -> f64 {
        let whole = (work.flops - work.halves) as f64 / self.flops;
        let halves = work.halves as f64 / self.halves;
        (whole + halves).max(work.bytes as f64 / self.bandwidth)
    }
}

/// Every backend: first the one that runs on any machine.
pub const BACKENDS: &[&dyn Backend] = &[&Cpu, &Cuda, &LuminalCuda, &Reference];

/// Stands for the fastest backend that can be used here: see [`auto`].
pub const AUTO: &str = "auto";

/// The backend of that name.
pub fn named(name: &str) -> Option<&'static dyn Backend> {
    BACKENDS.iter().find(|b| b.name() == name).copied()
}

/// Those that can be used here.
pub fn usable() -> impl Iterator<Item = &'static dyn Backend> {
    let usable = |backend: &&'static dyn Backend| backend.unusable().is_none();
    BACKENDS.iter().copied().filter(usable)
}

/// A backend, and why it was taken.
#[derive(Clone)]
pub struct Choice {
    /// What runs the program.
    pub backend: &'static dyn Backend,
    /// `the GPU here is an NVIDIA H100`
    pub why: String,
}

/// A GPU where one can be used, and else the CPU. Asked once in a process.
pub fn auto() -> &'static Choice {
    static CHOICE: OnceLock<Choice> = OnceLock::new();
    CHOICE.get_or_init(
        || match cuda::device::usable(cuda::library::Libraries::here()) {
            Ok(device) => Choice {
                backend: &Cuda,
                why: format!("here is an {}", device.told()),
            },
            Err(way) => Choice {
                backend: &Cpu,
                why: format!("no GPU can be used here: {way}"),
            },
        },
    )
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

    fn notice(&self, precision: Precision) -> Option<&'static str> {
        let slow = precision == Precision::Bf16 && cpu::multiplies_bf16().is_none();
        slow.then_some("this processor multiplies no bf16: that saves memory, and products take the time of f32")
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

/// Fused kernels on a GPU of NVIDIA's, in f32 or bf16. Its libraries are opened when it is asked for.
pub struct Cuda;

impl Backend for Cuda {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn doc(&self) -> &'static str {
        "fused kernels on an NVIDIA GPU, f32 and bf16"
    }

    fn precision(&self) -> Precision {
        Precision::Bf16
    }

    fn unusable(&self) -> Option<String> {
        cuda::device::usable(cuda::library::Libraries::here()).err()
    }

    fn free_memory(&self) -> Option<FreeMemory> {
        let context = cuda::device::Context::new(cuda::library::Libraries::here()).ok()?;
        Some(FreeMemory {
            bytes: context.free().ok()?,
            granted_by: Grant::Device(context.device().name.clone()),
        })
    }

    fn prepare(&self, graph: Graph) -> Result<Box<dyn Step>, StepError> {
        Ok(Box::new(cuda::CudaStep::new(plan::lower(&graph))?))
    }
}

/// luminal's own compiler for CUDA, in f32: the baseline that fused kernels are measured against.
pub struct LuminalCuda;

impl Backend for LuminalCuda {
    fn name(&self) -> &'static str {
        "luminal-cuda"
    }

    fn doc(&self) -> &'static str {
        "luminal's own CUDA compiler, f32: slow, a baseline"
    }

    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    fn unusable(&self) -> Option<String> {
        luminal_cuda::unusable()
    }

    #[cfg(not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )))]
    fn unusable(&self) -> Option<String> {
        Some("it is built for Linux on x86-64 and ARM alone".into())
    }

    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    fn prepare(&self, graph: Graph) -> Result<Box<dyn Step>, StepError> {
        Ok(Box::new(luminal_cuda::prepare(graph)?))
    }

    #[cfg(not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )))]
    fn prepare(&self, _: Graph) -> Result<Box<dyn Step>, StepError> {
        Err(StepError::NoGpu(self.unusable().unwrap_or_default()))
    }
}

/// luminal's own primitives, one by one: a second opinion on every kernel, for tiny models only.
pub struct Reference;

impl Backend for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn doc(&self) -> &'static str {
        "luminal's own primitives, one by one: slow, an oracle"
    }

    fn prepare(&self, graph: Graph) -> Result<Box<dyn Step>, StepError> {
        Ok(Box::new(reference::prepare(graph)))
    }
}

//! The CPU backend: all cores, f32, kernels dispatched at run time to the best instructions the processor has.

pub mod attention;
mod ceiling;
mod fetch;
pub mod fold;
pub mod gemm;
mod half;
mod math;
pub mod memory;
pub mod optimizer;
pub mod rows;
mod step;
mod storage;
pub mod take;
mod tile;

use crate::{
    plan::{Kernel, Plan},
    random::Key,
};

pub use ceiling::ceiling;
pub use memory::Memory;
pub use step::CpuStep;

/// The instructions that kernels are made of here: `AVX-512`, `AVX2`, or `portable` ones.
pub fn instructions() -> &'static str {
    gemm::isa::Level::best().name()
}

/// The instructions by which bf16 are multiplied as such here, `AMX` or `AVX-512 BF16`; `None` where products of them are those of f32.
pub fn multiplies_bf16() -> Option<&'static str> {
    struct Name;
    impl gemm::isa::Make for Name {
        type Output = Option<&'static str>;

        fn make<S: gemm::isa::Isa>(self, simd: S) -> Self::Output {
            simd.pairs().map(|pairs| pairs.name)
        }
    }
    gemm::isa::Level::best().make(Name)
}

/// What changes from run to run besides the buffers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Launch {
    /// The stream of this run and step; each [`crate::plan::Stream`] draws from `key.with(purpose)`.
    pub key: Key,
    /// Position of the micro-batch's first image in the effective batch.
    pub first_sample: u64,
}

/// A kernel of a plan, ready to run: what depends on shapes alone is decided once, when it is prepared.
pub trait Run: Send + Sync {
    /// Runs on all threads of the current rayon pool; the bits of the result do not depend on how many there are.
    ///
    /// `memory` holds the buffers of the plan the kernel was prepared for.
    fn run(&self, memory: &Memory, launch: &Launch);
}

/// A kernel of a plan, ready to run.
pub fn prepare(kernel: &Kernel, plan: &Plan) -> Box<dyn Run> {
    match kernel {
        Kernel::Rows(kernel) => Box::new(rows::prepare(kernel, plan)),
        Kernel::Fold(kernel) => Box::new(fold::prepare(kernel, plan)),
        Kernel::Gemm(kernel) => gemm::prepare(kernel, plan),
        Kernel::Attention(kernel) => attention::prepare(kernel, plan),
        Kernel::AttentionBackward(kernel) => attention::prepare_backward(kernel, plan),
        Kernel::Take(kernel) => Box::new(take::prepare_take(kernel, plan)),
        Kernel::Scatter(kernel) => Box::new(take::prepare_scatter(kernel, plan)),
        Kernel::SumSquares(kernel) => Box::new(optimizer::prepare_sum_squares(kernel, plan)),
        Kernel::AdamW(kernel) => Box::new(optimizer::prepare_adamw(kernel, plan)),
    }
}

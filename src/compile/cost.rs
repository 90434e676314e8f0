//! What a program takes, told by its plan.

use crate::plan::{Place, Plan, Scheduled};

/// What a program takes, before it has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations of the products per image, a multiply-add as two.
    pub forward_flops: u64,
    /// The same of the backward part.
    pub backward_flops: u64,
    /// Bytes of everything that lives only inside a run.
    pub arena: u64,
    /// Bytes of weights, gradients, moments and constants.
    pub state: u64,
    /// Nodes before fusion.
    pub nodes: usize,
    /// Kernels behind it: those that run for each micro-batch and those of the update.
    pub kernels: usize,
}

impl Cost {
    /// Of a plan that so many nodes were fused to.
    pub(super) fn of(plan: &Plan, nodes: usize) -> Cost {
        let lasts = |place: &Place| !matches!(place, Place::Arena(_) | Place::Aside);
        let lasting = plan.buffers.iter().filter(|b| lasts(&b.place));
        let flops = |backward: bool| -> u64 {
            let of = |s: &&Scheduled| s.origin.ends_with('\'') == backward;
            let kernels = plan.accumulate.iter().filter(of);
            kernels.map(|s| s.flops).sum::<u64>() / plan.batch.max(1) as u64
        };
        Cost {
            forward_flops: flops(false),
            backward_flops: flops(true),
            arena: plan.arena as u64,
            state: lasting.map(|b| b.bytes() as u64).sum(),
            nodes,
            kernels: plan.accumulate.len() + plan.apply.len(),
        }
    }

    /// Bytes of the whole plan.
    pub fn memory(&self) -> u64 {
        self.arena + self.state
    }
}

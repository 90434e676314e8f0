//! Copies in bf16 of what products read rounded: of weights once a run, of all else before the product.

use super::{
    Argument, Emission,
    source::{Draft, Part},
    sweep::words,
};
use crate::{
    backend::cuda::program::Table,
    plan::{BufferId, Element, Kernel, Place, Work},
};

const BLOCK: u32 = 256;

impl Emission<'_> {
    /// Rounds every weight that a product of a micro-batch reads rounded, in one launch in front of all others.
    pub fn cast_weights(&mut self) {
        let state = |buffer: BufferId| matches!(self.plan.buffers[buffer].place, Place::State);
        let mut weights: Vec<BufferId> = Vec::new();
        for scheduled in &self.plan.accumulate {
            let Kernel::Gemm(gemm) = &scheduled.kernel else {
                continue;
            };
            for (buffer, rounds) in [(gemm.a.0, gemm.rounds[0]), (gemm.b.0, gemm.rounds[1])] {
                let written = |buffer| {
                    let mut kernels = self.plan.accumulate.iter().map(|s| &s.kernel);
                    kernels.any(|kernel| kernel.writes().contains(&buffer))
                };
                let new = rounds && state(buffer) && !weights.contains(&buffer);
                if new && self.element(buffer) == Element::F32 && !written(buffer) {
                    weights.push(buffer);
                }
            }
        }
        let lens: Vec<usize> = weights
            .iter()
            .map(|&b| self.plan.buffers[b].len())
            .collect();
        let pieces = self.pieces(&lens);
        if pieces.count == 0 {
            return;
        }
        let mut offsets: Vec<u32> = Vec::new();
        for (&weight, len) in weights.iter().zip(&lens) {
            let offset = self.room(len * Element::Bf16.bytes());
            self.rounded.insert(weight, offset);
            offsets.push((offset / super::ALIGNMENT) as u32);
        }
        self.kept = self.taken;
        self.label = "cast";
        self.origin = "weights".into();
        let elements: usize = lens.iter().sum();
        let draft = Draft {
            stem: "cast",
            note: format!("{} weights rounded to bf16", weights.len()),
            parts: vec![Part::Element, Part::Vector],
            text: include_str!("../kernels/cast.cu").into(),
            grid: [pieces.count as u32, 1, 1],
            block: BLOCK,
            shared: 0,
        };
        let offsets = self.table(Table::Bytes(words(&offsets)));
        let weights = self.table(Table::Addresses(weights));
        let arguments = vec![weights, pieces.table, offsets, Argument::Scratch(0)];
        let work = Work {
            bytes: (elements * (Element::F32.bytes() + Element::Bf16.bytes())) as u64,
            ..Work::default()
        };
        self.launch(draft, arguments, work);
    }
}

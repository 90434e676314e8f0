//! The update of all weights in one launch.

use super::{
    Emission,
    source::{Draft, Part, literal},
    sweep::words,
};
use crate::{
    backend::cuda::program::{Argument, Table},
    plan::{Work, kernel::AdamW},
};

const BLOCK: u32 = 256;

impl Emission<'_> {
    pub fn adamw(&mut self, sweep: &AdamW, work: Work) {
        let lens: Vec<usize> = (sweep.segments.iter())
            .map(|segment| self.plan.buffers[segment.weight].len())
            .collect();
        let pieces = self.pieces(&lens);
        if pieces.count == 0 {
            return;
        }
        let state = sweep.segments.iter();
        let state = state.flat_map(|s| [s.weight, s.gradient, s.first_moment, s.second_moment]);
        let state = self.table(Table::Addresses(state.collect()));
        let decays: Vec<u32> = sweep.segments.iter().map(|s| s.decay.to_bits()).collect();
        let decays = self.table(Table::Bytes(words(&decays)));
        let [beta1, beta2] = sweep.betas;
        let numbers = [
            ("LERP", (1.0 - beta1) as f32),
            ("KEEP", beta2 as f32),
            ("RENEW", (1.0 - beta2) as f32),
            ("EPS", sweep.eps),
        ];
        let mut text: String = (numbers.iter())
            .map(|(name, x)| format!("constexpr float {name} = {};\n", literal(*x)))
            .collect();
        text += "\n";
        text += include_str!("../kernels/adamw.cu");
        let draft = Draft {
            stem: "adamw",
            note: format!("one step of {} weights, gradients zeroed", lens.len()),
            parts: vec![Part::Element, Part::Vector],
            text,
            grid: [pieces.count as u32, 1, 1],
            block: BLOCK,
            shared: 0,
        };
        let scalars = [sweep.lr, sweep.correction1, sweep.correction2, sweep.clip];
        let scalars = scalars.map(Argument::Buffer);
        let arguments = [&[state, decays, pieces.table][..], &scalars].concat();
        self.launch(draft, arguments, work);
    }
}

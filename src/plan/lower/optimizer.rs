//! The update: one norm node and one update node per weight become one sweep each.

use super::{Home, Lowering};
use crate::{
    ir::{Value, ops},
    plan::{
        Kernel,
        kernel::{AdamW, Segment, SumSquares},
    },
};

impl Lowering<'_> {
    pub(super) fn sum_squares(&mut self, inputs: &[Value]) {
        let (source, out) = (self.floats_in_order(&inputs[0]), self.out(0));
        // Joining an earlier sweep is sound: its sources are gradients, which nothing before the update writes.
        let earlier = self
            .plan
            .apply
            .iter_mut()
            .find_map(|s| match &mut s.kernel {
                Kernel::SumSquares(sweep) => Some(sweep),
                _ => None,
            });
        match earlier {
            Some(sweep) => {
                sweep.sources.push(source);
                sweep.outs.push(out);
            }
            None => self.push(
                Kernel::SumSquares(SumSquares {
                    sources: vec![source],
                    outs: vec![out],
                }),
                0,
            ),
        }
    }

    pub(super) fn adamw(&mut self, adamw: &ops::AdamW, inputs: &[Value]) {
        let [weight, gradient, first_moment, second_moment] =
            [0, 1, 2, 3].map(|i| self.floats_in_order(&inputs[i]));
        let [lr, correction1, correction2, clip] =
            [4, 5, 6, 7].map(|i| self.floats_in_order(&inputs[i]));
        for (output, state) in [weight, first_moment, second_moment]
            .into_iter()
            .enumerate()
        {
            self.homes
                .insert((self.current, output as u8), Home::Buffer(state));
        }
        let segment = Segment {
            weight,
            gradient,
            first_moment,
            second_moment,
            decay: adamw.decay,
        };
        let same = |sweep: &AdamW| {
            (sweep.betas, sweep.eps) == (adamw.betas, adamw.eps)
                && (sweep.lr, sweep.correction1, sweep.correction2, sweep.clip)
                    == (lr, correction1, correction2, clip)
        };
        let earlier = self
            .plan
            .apply
            .iter_mut()
            .find_map(|s| match &mut s.kernel {
                Kernel::AdamW(sweep) if same(sweep) => Some(sweep),
                _ => None,
            });
        match earlier {
            Some(sweep) => sweep.segments.push(segment),
            None => {
                let (betas, eps) = (adamw.betas, adamw.eps);
                let sweep = AdamW {
                    segments: vec![segment],
                    betas,
                    eps,
                    lr,
                    correction1,
                    correction2,
                    clip,
                };
                self.push(Kernel::AdamW(sweep), 0);
            }
        }
    }
}

//! Which weights dropout keeps: draws of a stream at the weight's position.

use crate::backend::cpu::Launch;
use crate::backend::cpu::gemm::matrix::Index;
use crate::plan::kernel::Dropout;
use crate::plan::{Access, Plan};
use crate::random::{Key, draw};

pub struct Draws {
    purpose: String,
    per_sample: usize,
    access: Access,
    /// A weight is kept where the top 24 bits of its draw are at least this: the rate, in the draw's units.
    threshold: u32,
    /// What kept weights are multiplied by.
    kept: f32,
}

impl Draws {
    pub fn new(dropout: &Dropout, plan: &Plan) -> Self {
        let stream = &plan.streams[dropout.stream];
        Draws {
            purpose: stream.purpose.clone(),
            per_sample: stream.per_sample,
            access: dropout.access.clone(),
            threshold: (dropout.rate * (1 << 24) as f32).ceil() as u32,
            kept: 1.0 / (1.0 - dropout.rate),
        }
    }

    pub fn unit(&self, launch: &Launch, index: &Index) -> UnitDraws<'_> {
        let (outer, inner) = self.access.strides.split_at(self.access.strides.len() - 2);
        let offset = self.access.offset + index.offset(outer);
        UnitDraws {
            draws: self,
            key: launch.key.with(&self.purpose),
            first: launch.first_sample * self.per_sample as u64 + offset as u64,
            row: inner[0] as u64,
            column: inner[1] as u64,
        }
    }
}

/// The draws of one index of the batch in one launch.
pub struct UnitDraws<'a> {
    draws: &'a Draws,
    key: Key,
    /// Position of the first weight, and the distance to the next query and key.
    first: u64,
    row: u64,
    column: u64,
}

impl UnitDraws<'_> {
    /// Writes the factor of each of a query's `keys` weights: zero or 1 / (1 - rate).
    ///
    /// # Safety
    /// `factors` is valid for writes of `keys` numbers.
    #[inline(always)]
    pub unsafe fn factors(&self, query: usize, factors: *mut f32, keys: usize) {
        // SAFETY: as the caller promises; scratch always holds numbers.
        let factors = unsafe { std::slice::from_raw_parts_mut(factors, keys) };
        let first = self.first + query as u64 * self.row;
        let last = first + factors.len() as u64 * self.column;
        if first >> 32 == last >> 32 {
            let lane = self.key.lane((first >> 32) as u32);
            let (first, column) = (first as u32, self.column as u32);
            for (key, out) in (0u32..).zip(factors) {
                *out = self.factor(draw(lane, first.wrapping_add(key.wrapping_mul(column))));
            }
        } else {
            for (key, out) in (0u64..).zip(factors) {
                let position = first + key * self.column;
                let lane = self.key.lane((position >> 32) as u32);
                *out = self.factor(draw(lane, position as u32));
            }
        }
    }

    #[inline(always)]
    fn factor(&self, bits: u32) -> f32 {
        if bits >> 8 >= self.draws.threshold {
            self.draws.kept
        } else {
            0.0
        }
    }
}

//! Attention without its scores in memory: one image, window and head at a time, in the cache.

mod backward;
mod bias;
mod dropout;
mod forward;
mod softmax;
mod tasks;
#[cfg(test)]
mod tests;
mod unit;

use super::gemm::isa::{Isa, Level};
use super::gemm::scratch;
use super::gemm::stored::Tensor;
use super::gemm::words::Words;
use super::{Memory, Run};
use crate::plan::Plan;
use crate::plan::kernel::{Attention, AttentionBackward};
use bias::{Bias, BiasRows};
use dropout::Draws;

/// The kernel `attention` of `plan`, ready to run.
pub fn prepare(attention: &Attention, plan: &Plan) -> Box<dyn Run> {
    Level::best().make(forward::Prepare { attention, plan })
}

/// The kernel `backward` of `plan`, ready to run.
pub fn prepare_backward(backward: &AttentionBackward, plan: &Plan) -> Box<dyn Run> {
    Level::best().make(backward::Prepare { backward, plan })
}

/// Numbers of a block of scores that stays in the first cache beside what is multiplied with it.
const SCORES: usize = 8192;

/// What the forward and the backward pass decide alike.
struct Heads<S: 'static> {
    simd: S,
    words: Words<S>,
    attention: Attention,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    /// Indices of the batch axes.
    units: usize,
    /// Distance of scratch rows as long as the keys.
    key_stride: usize,
    /// Queries whose scores are computed at a time.
    block: usize,
    biases: Vec<Bias>,
    draws: Option<Draws>,
}

impl<S: Isa> Heads<S> {
    fn new(simd: S, attention: &Attention, plan: &Plan) -> Self {
        let words = Words::new(simd, plan.attends_halves(attention));
        Heads::multiplied(simd, words, attention, plan)
    }

    /// Whose products are computed of these words.
    fn multiplied(simd: S, words: Words<S>, attention: &Attention, plan: &Plan) -> Self {
        let key_stride = scratch::apart(attention.keys);
        let rows = words.tiles().len();
        let block = (SCORES / key_stride.max(1) / rows).max(1) * rows;
        Heads {
            simd,
            words,
            units: attention.batch.iter().product(),
            key_stride,
            block: block.min(attention.queries),
            biases: attention
                .biases
                .iter()
                .map(|bias| Bias::new(bias, attention, key_stride))
                .collect(),
            draws: attention
                .dropout
                .as_ref()
                .map(|dropout| Draws::new(dropout, plan)),
            q: Tensor::new(&attention.q, plan),
            k: Tensor::new(&attention.k, plan),
            v: Tensor::new(&attention.v, plan),
            out: Tensor::new(&attention.out, plan),
            attention: attention.clone(),
        }
    }

    /// Runs `work` with every bias as contiguous rows.
    fn with_biases(&self, memory: &Memory, work: impl FnOnce(&[BiasRows])) {
        let total = self.biases.iter().map(Bias::scratch).sum();
        scratch::parts([total], |[mut place]| {
            let rows: Vec<_> = self
                .biases
                .iter()
                .map(|bias| {
                    let rows = bias.rows(self.simd, memory, place);
                    place = place.wrapping_add(bias.scratch());
                    rows
                })
                .collect();
            work(&rows);
        });
    }
}

/// Whole vectors that hold `columns` numbers.
fn padded<S: Isa>(columns: usize) -> usize {
    columns.next_multiple_of(S::F32_LANES)
}

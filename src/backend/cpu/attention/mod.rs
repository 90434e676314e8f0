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
struct Heads<S> {
    simd: S,
    attention: Attention,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    /// Indices of the batch axes.
    units: usize,
    /// Distance of scratch rows as long as the keys, the width and the value width.
    key_stride: usize,
    width_stride: usize,
    value_stride: usize,
    /// Queries whose scores are computed at a time.
    block: usize,
    biases: Vec<Bias>,
    draws: Option<Draws>,
}

impl<S: Isa> Heads<S> {
    fn new(simd: S, attention: &Attention, plan: &Plan) -> Self {
        let key_stride = row_stride::<S>(attention.keys);
        let rows = S::TILES.len();
        let block = (SCORES / key_stride.max(1) / rows).max(1) * rows;
        Heads {
            simd,
            units: attention.batch.iter().product(),
            key_stride,
            width_stride: row_stride::<S>(attention.width),
            value_stride: row_stride::<S>(attention.value_width),
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

/// Whole vectors for `columns` numbers, and not a distance at which the rows of a tile fall on the same few lines of a cache.
fn row_stride<S: Isa>(columns: usize) -> usize {
    let whole = columns.next_multiple_of(S::F32_LANES);
    whole + if whole % 256 == 0 { S::F32_LANES } else { 0 }
}

/// Whole vectors that hold `columns` numbers.
fn padded<S: Isa>(columns: usize) -> usize {
    columns.next_multiple_of(S::F32_LANES)
}

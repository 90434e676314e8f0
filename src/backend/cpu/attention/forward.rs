//! `softmax(scale·q·kᵀ + Σ biases)·v` and the log-sum-exp of its rows.

use rayon::prelude::*;

use super::softmax::{Scores, log_sums};
use super::unit::Unit;
use super::{Heads, padded};
use crate::backend::cpu::gemm::isa::{Isa, Make};
use crate::backend::cpu::gemm::matrix::Matrix;
use crate::backend::cpu::gemm::scratch;
use crate::backend::cpu::gemm::stored::Stored;
use crate::backend::cpu::gemm::tile::Product;
use crate::backend::cpu::{Launch, Memory, Run};
use crate::plan::Plan;
use crate::plan::kernel::Attention;

pub struct Prepare<'a> {
    pub attention: &'a Attention,
    pub plan: &'a Plan,
}

impl Make for Prepare<'_> {
    type Output = Box<dyn Run>;

    fn make<S: Isa>(self, simd: S) -> Box<dyn Run> {
        Box::new(Forward(Heads::new(simd, self.attention, self.plan)))
    }
}

pub struct Forward<S: 'static>(pub Heads<S>);

/// Tasks the units are dealt out to: enough for many threads, each with some units in a row where there are many.
const TASKS: usize = 128;

/// Queries whose weights are computed side by side.
const TOGETHER: usize = 4;

impl<S: Isa> Run for Forward<S> {
    fn run(&self, memory: &Memory, launch: &Launch) {
        let heads = &self.0;
        let tasks = heads.units.min(TASKS);
        heads.with_biases(memory, |biases| {
            (0..tasks).into_par_iter().for_each(|task| {
                let numbers = task * heads.units / tasks..(task + 1) * heads.units / tasks;
                let mut units = numbers
                    .map(|number| Unit::new(heads, memory, launch, biases, number))
                    .peekable();
                heads.with_space(|space| {
                    while let Some(unit) = units.next() {
                        heads.forward(&unit, units.peek(), space);
                    }
                });
            });
        });
    }
}

/// Scratch of one unit: its operands, and a block of scores with their results.
struct Space {
    /// Transposed.
    k: Matrix,
    v: Matrix,
    q: Matrix,
    weights: Matrix,
    /// As they are multiplied, where that is not as they are computed.
    packed_weights: Matrix,
    out: Matrix,
    /// Rows: factors of dropout, maxima of scores, sums of weights.
    factors: Matrix,
    maxima: Matrix,
    sums: Matrix,
}

impl<S: Isa> Heads<S> {
    fn forward(&self, unit: &Unit, next: Option<&Unit>, space: &Space) {
        let Attention {
            queries,
            keys,
            width,
            value_width,
            ..
        } = self.attention;
        let (simd, words, block) = (self.simd, self.words, self.block);
        // SAFETY: the matrices of the unit are those of the plan, the parts of scratch as large as what is put there.
        unsafe {
            words.enter();
            words.pack_right(simd, unit.k.transposed(), [width, keys], space.k, false);
            words.pack_right(simd, unit.v, [keys, value_width], space.v, false);
            for first in (0..queries).step_by(block) {
                let rows = block.min(queries - first);
                let q = unit.q.skip_rows(first);
                self.products(q, rows, space.q, space.k, space.weights);
                if let Some(next) = next.filter(|_| first == 0) {
                    next.k.prefetch([keys, width]);
                    next.q.prefetch([queries, width]);
                }
                self.softmax(unit, first, rows, space);
                if let Some(next) = next.filter(|_| first == 0) {
                    next.v.prefetch([keys, value_width]);
                }
                let weights = words.left(simd, space.weights, [rows, keys], space.packed_weights);
                let product = Product {
                    k: keys,
                    a: weights,
                    b: space.v,
                    c: space.out,
                    columns: padded::<S>(value_width),
                    add: false,
                };
                words.multiply(simd, rows, &product);
                simd.compiled(
                    #[inline(always)]
                    || {
                        let target = unit.out.skip_rows(first);
                        let sum = |row: usize| *space.sums.first.add(row);
                        target.unpack(
                            simd,
                            [rows, value_width],
                            space.out,
                            #[inline(always)]
                            |row| 1.0 / sum(row),
                        );
                    },
                );
            }
            words.leave();
        }
    }

    /// `q·kᵀ` of `rows` queries, which are packed to `q`; the keys lie transposed at `k`.
    ///
    /// # Safety
    /// `q` holds a block of queries, `k` all keys, `scores` a block of rows of keys.
    pub unsafe fn products(
        &self,
        queries: Stored,
        rows: usize,
        q: Matrix,
        k: Matrix,
        scores: Matrix,
    ) {
        let product = Product {
            k: self.attention.width,
            a: q,
            b: k,
            c: scores,
            columns: padded::<S>(self.attention.keys),
            add: false,
        };
        // SAFETY: as the caller promises.
        unsafe {
            let shape = [rows, self.attention.width];
            self.words.pack_left(self.simd, queries, shape, q, false);
            self.words.multiply(self.simd, rows, &product);
        }
    }

    /// Turns products into weights, not yet divided by their sums.
    ///
    /// # Safety
    /// The space holds the products of `rows` queries from `first` on.
    unsafe fn softmax(&self, unit: &Unit, first: usize, rows: usize, space: &Space) {
        let simd = self.simd;
        let Attention { keys, scale, .. } = self.attention;
        let (factors, maxima, sums) = (space.factors.first, space.maxima.first, space.sums.first);
        simd.compiled(
            #[inline(always)]
            || {
                let scores = Scores::new(simd, keys, scale, &unit.biases);
                // SAFETY: the row is one of the block's, the query one of the unit's.
                unsafe {
                    let weights = |row| space.weights.skip_rows(row);
                    let note = |row: usize, (maximum, sum)| {
                        *maxima.add(row) = maximum;
                        *sums.add(row) = sum;
                    };
                    let together = rows / TOGETHER * TOGETHER;
                    for row in (0..together).step_by(TOGETHER) {
                        let results = scores.exponentials::<TOGETHER>(first + row, weights(row));
                        for (result, row) in results.into_iter().zip(row..) {
                            note(row, result);
                        }
                    }
                    for row in together..rows {
                        let [result] = scores.exponentials::<1>(first + row, weights(row));
                        note(row, result);
                    }
                    if let Some(draws) = &unit.draws {
                        for row in 0..rows {
                            draws.factors(first + row, factors, keys);
                            scores.multiply(weights(row).first, factors);
                        }
                    }
                    log_sums(simd, maxima, sums, rows);
                    let target = unit.log_sum.skip_columns(first);
                    target.unpack(simd, [1, rows], space.maxima, |_| 1.0);
                }
            },
        );
    }

    fn with_space(&self, work: impl FnOnce(&Space)) {
        let Attention {
            keys,
            width,
            value_width,
            ..
        } = self.attention;
        let (words, block) = (self.words, self.block);
        let shapes = [
            words.right_shape(width, keys),
            words.right_shape(keys, value_width),
            words.left_shape(block, width),
            words.sums_shape(block, keys),
            words.spare(words.left_shape(block, keys)),
            words.sums_shape(block, value_width),
            (1, self.key_stride),
            (1, block),
            (1, block),
        ];
        scratch::matrices(shapes, |parts| {
            let [k, v, q, weights, packed_weights, out, factors, maxima, sums] = parts;
            work(&Space {
                k,
                v,
                q,
                weights,
                packed_weights,
                out,
                factors,
                maxima,
                sums,
            });
        });
    }
}

//! `softmax(scale·q·kᵀ + Σ biases)·v` and the log-sum-exp of its rows.

use rayon::prelude::*;

use super::softmax::Scores;
use super::unit::Unit;
use super::{Heads, padded};
use crate::backend::cpu::gemm::isa::{Isa, Make};
use crate::backend::cpu::gemm::matrix::Matrix;
use crate::backend::cpu::gemm::scratch;
use crate::backend::cpu::gemm::tile::{Product, multiply};
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

struct Forward<S>(Heads<S>);

impl<S: Isa> Run for Forward<S> {
    fn run(&self, memory: &Memory, launch: &Launch) {
        let heads = &self.0;
        heads.with_biases(memory, |biases| {
            (0..heads.units).into_par_iter().for_each(|index| {
                heads.forward(&Unit::new(heads, memory, launch, biases, index));
            });
        });
    }
}

impl<S: Isa> Heads<S> {
    fn forward(&self, unit: &Unit) {
        let Attention {
            queries,
            keys,
            width,
            value_width,
            ..
        } = self.attention;
        let (simd, block) = (self.simd, self.block);
        let sizes = [
            width * self.key_stride,
            keys * self.value_stride,
            block * self.width_stride,
            block * self.key_stride,
            block * self.value_stride,
            self.key_stride,
            block,
        ];
        // SAFETY: the matrices of the unit are those of the plan, the parts of scratch as large as what is put there.
        scratch::parts(sizes, |[k, v, q, weights, out, factors, sums]| unsafe {
            let k = Matrix::rows(k, self.key_stride);
            let v = Matrix::rows(v, self.value_stride);
            let q = Matrix::rows(q, self.width_stride);
            let weights = Matrix::rows(weights, self.key_stride);
            let out = Matrix::rows(out, self.value_stride);
            simd.compiled(
                #[inline(always)]
                || {
                    unit.k.transposed().pack(simd, [width, keys], k);
                    unit.v.pack(simd, [keys, value_width], v);
                },
            );
            for first in (0..queries).step_by(block) {
                let rows = block.min(queries - first);
                self.products(unit.q.skip_rows(first), rows, q, k, weights);
                self.softmax(unit, first, rows, weights, factors, sums);
                let product = Product {
                    k: keys,
                    a: weights,
                    b: v,
                    c: out,
                    columns: padded::<S>(value_width),
                    add: false,
                };
                multiply(simd, rows, &product);
                simd.compiled(
                    #[inline(always)]
                    || {
                        let target = unit.out.skip_rows(first);
                        target.unpack(simd, [rows, value_width], out, |row| 1.0 / *sums.add(row));
                    },
                );
            }
        });
    }

    /// `q·kᵀ` of `rows` queries, which are packed to `q`; the keys lie transposed at `k`.
    ///
    /// # Safety
    /// `q` holds a block of queries, `k` all keys, `scores` a block of rows of keys.
    pub unsafe fn products(
        &self,
        queries: Matrix,
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
            self.simd.compiled(
                #[inline(always)]
                || queries.pack(self.simd, [rows, self.attention.width], q),
            );
            multiply(self.simd, rows, &product);
        }
    }

    /// Turns products into weights, not yet divided by their sums, which go to `sums`.
    ///
    /// # Safety
    /// The places are as large as the block's scores, a row of them and the block.
    unsafe fn softmax(
        &self,
        unit: &Unit,
        first: usize,
        rows: usize,
        weights: Matrix,
        factors: *mut f32,
        sums: *mut f32,
    ) {
        let Attention { keys, scale, .. } = self.attention;
        self.simd.compiled(
            #[inline(always)]
            || {
                let scores = Scores::new(self.simd, keys, scale, &unit.biases);
                for row in 0..rows {
                    let query = first + row;
                    // SAFETY: the row is one of the block's, the query one of the unit's.
                    unsafe {
                        let weights = weights.skip_rows(row).first;
                        let (maximum, sum) = scores.exponentials(query, weights);
                        *sums.add(row) = sum;
                        *unit.log_sum(query) = maximum + sum.ln();
                        if let Some(draws) = &unit.draws {
                            draws.factors(query, factors, keys);
                            scores.multiply(weights, factors);
                        }
                    }
                }
            },
        );
    }
}

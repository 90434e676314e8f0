//! Gradients of attention: the weights are computed again from the log-sum-exp of their rows, block by block.

use rayon::prelude::*;

use super::softmax::{GradientRows, Scores, dot};
use super::tasks::{Tasks, Total};
use super::unit::Unit;
use super::{Heads, padded};
use crate::backend::cpu::gemm::isa::{Isa, Make};
use crate::backend::cpu::gemm::matrix::Matrix;
use crate::backend::cpu::gemm::scratch;
use crate::backend::cpu::gemm::tile::{Product, multiply};
use crate::backend::cpu::{Launch, Memory, Run};
use crate::plan::kernel::{Attention, AttentionBackward};
use crate::plan::{Access, BufferId, Plan};

pub struct Prepare<'a> {
    pub backward: &'a AttentionBackward,
    pub plan: &'a Plan,
}

impl Make for Prepare<'_> {
    type Output = Box<dyn Run>;

    fn make<S: Isa>(self, simd: S) -> Box<dyn Run> {
        let heads = Heads::new(simd, &self.backward.forward, self.plan);
        Box::new(Backward {
            tasks: Tasks::new(self.backward, heads.key_stride),
            out_gradient: self.backward.out_gradient.clone(),
            q_gradient: self.backward.q_gradient.clone(),
            k_gradient: self.backward.k_gradient.clone(),
            v_gradient: self.backward.v_gradient.clone(),
            heads,
        })
    }
}

struct Backward<S> {
    heads: Heads<S>,
    tasks: Tasks,
    out_gradient: (BufferId, Access),
    q_gradient: (BufferId, Access),
    k_gradient: (BufferId, Access),
    v_gradient: (BufferId, Access),
}

impl<S: Isa> Run for Backward<S> {
    fn run(&self, memory: &Memory, launch: &Launch) {
        let (heads, tasks) = (&self.heads, &self.tasks);
        heads.with_biases(memory, |biases| {
            tasks.with_totals(memory, |totals| {
                (0..tasks.count()).into_par_iter().for_each(|task| {
                    for (turn, index) in tasks.units(task).enumerate() {
                        let unit = Unit::new(heads, memory, launch, biases, index);
                        let total = totals.map(|totals| totals.of(task, turn == 0));
                        self.differentiate(memory, &unit, total);
                    }
                });
            });
        });
    }
}

/// Scratch of one unit: operands in the orders the products want, a block of scores with their gradients, and results.
struct Space {
    k_across: Matrix,
    v_across: Matrix,
    k: Matrix,
    k_gradient: Matrix,
    v_gradient: Matrix,
    q: Matrix,
    q_gradient: Matrix,
    out: Matrix,
    out_gradient: Matrix,
    weights: Matrix,
    score_gradient: Matrix,
    factors: *mut f32,
}

impl<S: Isa> Backward<S> {
    fn differentiate(&self, memory: &Memory, unit: &Unit, total: Option<Total>) {
        let heads = &self.heads;
        let simd = heads.simd;
        let Attention {
            ref batch,
            queries,
            keys,
            width,
            value_width,
            scale,
            ..
        } = heads.attention;
        let at = |operand| Matrix::at(memory, operand, batch, unit.index);
        let (q_gradient, out_gradient) = (at(&self.q_gradient), at(&self.out_gradient));
        self.with_space(|space| {
            // SAFETY: the matrices of the unit are those of the plan, the parts of scratch as large as what is put there.
            unsafe {
                simd.compiled(
                    #[inline(always)]
                    || {
                        let (k, v) = (unit.k, unit.v);
                        k.pack(simd, [keys, width], space.k);
                        k.transposed().pack(simd, [width, keys], space.k_across);
                        v.transposed()
                            .pack(simd, [value_width, keys], space.v_across);
                    },
                );
                for first in (0..queries).step_by(heads.block) {
                    let rows = heads.block.min(queries - first);
                    heads.products(
                        unit.q.skip_rows(first),
                        rows,
                        space.q,
                        space.k_across,
                        space.weights,
                    );
                    self.scores(
                        unit,
                        first,
                        rows,
                        out_gradient.skip_rows(first),
                        space,
                        total,
                    );
                    self.products(rows, first > 0, space);
                    simd.compiled(
                        #[inline(always)]
                        || {
                            let target = q_gradient.skip_rows(first);
                            target.unpack(simd, [rows, width], space.q_gradient, |_| scale);
                        },
                    );
                }
                simd.compiled(
                    #[inline(always)]
                    || {
                        let (k, v) = (at(&self.k_gradient), at(&self.v_gradient));
                        k.unpack(simd, [keys, width], space.k_gradient, |_| scale);
                        v.unpack(simd, [keys, value_width], space.v_gradient, |_| 1.0);
                    },
                );
            }
        });
    }

    /// From products to the weights of a block of queries, and the gradients of their scores.
    ///
    /// # Safety
    /// The space holds the products and the values, `out_gradient` starts at the block.
    unsafe fn scores(
        &self,
        unit: &Unit,
        first: usize,
        rows: usize,
        out_gradient: Matrix,
        space: &Space,
        total: Option<Total>,
    ) {
        let heads = &self.heads;
        let simd = heads.simd;
        let Attention {
            keys,
            value_width,
            scale,
            ..
        } = heads.attention;
        let product = Product {
            k: value_width,
            a: space.out_gradient,
            b: space.v_across,
            c: space.score_gradient,
            columns: padded::<S>(keys),
            add: false,
        };
        // SAFETY: every row is one of the block's, every query one of the unit's.
        unsafe {
            simd.compiled(
                #[inline(always)]
                || {
                    unit.out
                        .skip_rows(first)
                        .pack(simd, [rows, value_width], space.out);
                    out_gradient.pack(simd, [rows, value_width], space.out_gradient);
                },
            );
            multiply(simd, rows, &product);
            simd.compiled(
                #[inline(always)]
                || {
                    let scores = Scores::new(simd, keys, scale, &unit.biases);
                    for row in 0..rows {
                        let query = first + row;
                        let at = |part: Matrix| part.skip_rows(row).first;
                        // Σ weight·gradient over the keys is the product of result and gradient, dropout or not.
                        let mean = dot(simd, at(space.out), at(space.out_gradient), value_width);
                        let factors = unit.draws.as_ref().map(|draws| {
                            draws.factors(query, space.factors, keys);
                            space.factors.cast_const()
                        });
                        let rows = GradientRows {
                            scores: at(space.weights),
                            gradient: at(space.score_gradient),
                            factors,
                            total: total.map(|total| total.row(query)),
                            log_sum: *unit.log_sum(query),
                            mean,
                        };
                        scores.gradients(query, &rows);
                    }
                },
            );
        }
    }

    /// The products with a block's weights and gradients of scores.
    ///
    /// # Safety
    /// The space holds them.
    unsafe fn products(&self, rows: usize, add: bool, space: &Space) {
        let heads = &self.heads;
        let Attention {
            keys,
            width,
            value_width,
            ..
        } = heads.attention;
        let (across, deep) = (padded::<S>(width), padded::<S>(value_width));
        let v_gradient = Product {
            k: rows,
            a: space.weights.transposed(),
            b: space.out_gradient,
            c: space.v_gradient,
            columns: deep,
            add,
        };
        let k_gradient = Product {
            k: rows,
            a: space.score_gradient.transposed(),
            b: space.q,
            c: space.k_gradient,
            columns: across,
            add,
        };
        let q_gradient = Product {
            k: keys,
            a: space.score_gradient,
            b: space.k,
            c: space.q_gradient,
            columns: across,
            add: false,
        };
        // SAFETY: as the caller promises.
        unsafe {
            multiply(heads.simd, keys, &v_gradient);
            multiply(heads.simd, keys, &k_gradient);
            multiply(heads.simd, rows, &q_gradient);
        }
    }

    fn with_space(&self, work: impl FnOnce(&Space)) {
        let heads = &self.heads;
        let Attention {
            keys,
            width,
            value_width,
            ..
        } = heads.attention;
        let (across, deep, tall) = (heads.width_stride, heads.value_stride, heads.key_stride);
        let shapes = [
            (width, tall),
            (value_width, tall),
            (keys, across),
            (keys, across),
            (keys, deep),
            (heads.block, across),
            (heads.block, across),
            (heads.block, deep),
            (heads.block, deep),
            (heads.block, tall),
            (heads.block, tall),
            (1, tall),
        ];
        let sizes = shapes.map(|(rows, stride)| rows * stride);
        scratch::parts(sizes, |parts| {
            let part = |index: usize| Matrix::rows(parts[index], shapes[index].1);
            work(&Space {
                k_across: part(0),
                v_across: part(1),
                k: part(2),
                k_gradient: part(3),
                v_gradient: part(4),
                q: part(5),
                q_gradient: part(6),
                out: part(7),
                out_gradient: part(8),
                weights: part(9),
                score_gradient: part(10),
                factors: parts[11],
            });
        });
    }
}

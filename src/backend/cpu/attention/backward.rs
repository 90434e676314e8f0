//! Gradients of attention: the weights are computed again from the log-sum-exp of their rows, block by block.

use rayon::prelude::*;

use super::softmax::{GradientRows, Scores, dot};
use super::tasks::{Tasks, Total};
use super::unit::Unit;
use super::{Heads, padded};
use crate::backend::cpu::gemm::isa::{Isa, Make};
use crate::backend::cpu::gemm::matrix::Matrix;
use crate::backend::cpu::gemm::scratch;
use crate::backend::cpu::gemm::stored::{Stored, Tensor};
use crate::backend::cpu::gemm::tile::Product;
use crate::backend::cpu::{Launch, Memory, Run};
use crate::plan::Plan;
use crate::plan::kernel::{Attention, AttentionBackward};

pub struct Prepare<'a> {
    pub backward: &'a AttentionBackward,
    pub plan: &'a Plan,
}

impl Make for Prepare<'_> {
    type Output = Box<dyn Run>;

    fn make<S: Isa>(self, simd: S) -> Box<dyn Run> {
        let heads = Heads::new(simd, &self.backward.forward, self.plan);
        Box::new(Backward::new(heads, self.backward, self.plan))
    }
}

pub struct Backward<S: 'static> {
    heads: Heads<S>,
    tasks: Tasks,
    out_gradient: Tensor,
    q_gradient: Tensor,
    k_gradient: Tensor,
    v_gradient: Tensor,
}

impl<S: Isa> Run for Backward<S> {
    fn run(&self, memory: &Memory, launch: &Launch) {
        let (heads, tasks) = (&self.heads, &self.tasks);
        heads.with_biases(memory, |biases| {
            tasks.with_totals(heads.simd, memory, |totals| {
                (0..tasks.count()).into_par_iter().for_each(|task| {
                    let gradients = |(turn, number)| {
                        let unit = Unit::new(heads, memory, launch, biases, number);
                        let total = totals.map(|totals| totals.of(task, turn == 0));
                        self.gradients(memory, unit, total)
                    };
                    let mut units = tasks.units(task).enumerate().map(gradients).peekable();
                    self.with_space(|space| {
                        while let Some(unit) = units.next() {
                            self.differentiate(&unit, units.peek(), space);
                        }
                    });
                });
            });
        });
    }
}

/// A unit with its gradients.
struct Gradients<'a> {
    unit: Unit<'a>,
    out: Stored,
    q: Stored,
    k: Stored,
    v: Stored,
    /// Where the gradients of the scores add up.
    total: Option<Total>,
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
    factors: Matrix,
    /// As they are multiplied, where that is not as they are computed.
    packed: Packed,
}

struct Packed {
    q_across: Matrix,
    out_gradient: Matrix,
    out_gradient_across: Matrix,
    /// Transposed.
    weights: Matrix,
    score_gradient: Matrix,
    /// Transposed.
    score_gradient_down: Matrix,
}

impl<S: Isa> Backward<S> {
    pub fn new(heads: Heads<S>, backward: &AttentionBackward, plan: &Plan) -> Self {
        Backward {
            tasks: Tasks::new(backward, heads.key_stride),
            out_gradient: Tensor::new(&backward.out_gradient, plan),
            q_gradient: Tensor::new(&backward.q_gradient, plan),
            k_gradient: Tensor::new(&backward.k_gradient, plan),
            v_gradient: Tensor::new(&backward.v_gradient, plan),
            heads,
        }
    }

    fn gradients<'a>(
        &self,
        memory: &Memory,
        unit: Unit<'a>,
        total: Option<Total>,
    ) -> Gradients<'a> {
        Gradients {
            out: self.out_gradient.at(memory, &unit.index),
            q: self.q_gradient.at(memory, &unit.index),
            k: self.k_gradient.at(memory, &unit.index),
            v: self.v_gradient.at(memory, &unit.index),
            unit,
            total,
        }
    }

    fn differentiate(&self, gradients: &Gradients, next: Option<&Gradients>, space: &Space) {
        let heads = &self.heads;
        let (simd, words) = (heads.simd, heads.words);
        let Attention {
            queries,
            keys,
            width,
            value_width,
            scale,
            ..
        } = heads.attention;
        let unit = &gradients.unit;
        // SAFETY: the matrices of the unit are those of the plan, the parts of scratch as large as what is put there.
        unsafe {
            words.enter();
            let (k, v) = (unit.k, unit.v.transposed());
            words.pack_right(simd, k, [keys, width], space.k, false);
            words.pack_right(simd, k.transposed(), [width, keys], space.k_across, false);
            words.pack_right(simd, v, [value_width, keys], space.v_across, false);
            for first in (0..queries).step_by(heads.block) {
                let rows = heads.block.min(queries - first);
                let ahead = next.filter(|_| first == 0);
                let q = unit.q.skip_rows(first);
                heads.products(q, rows, space.q, space.k_across, space.weights);
                if let Some(next) = ahead {
                    next.unit.k.prefetch([keys, width]);
                    next.unit.v.prefetch([keys, value_width]);
                }
                self.scores(gradients, first, rows, space);
                if let Some(next) = ahead {
                    next.unit.q.prefetch([queries, width]);
                    next.unit.out.prefetch([queries, value_width]);
                    next.out.prefetch([queries, value_width]);
                }
                self.products(q, rows, first > 0, space);
                simd.compiled(
                    #[inline(always)]
                    || {
                        let q = gradients.q.skip_rows(first);
                        q.unpack(simd, [rows, width], space.q_gradient, |_| scale);
                    },
                );
            }
            simd.compiled(
                #[inline(always)]
                || {
                    let (k, v) = (gradients.k, gradients.v);
                    k.unpack(simd, [keys, width], space.k_gradient, |_| scale);
                    v.unpack(simd, [keys, value_width], space.v_gradient, |_| 1.0);
                },
            );
            words.leave();
        }
    }

    /// From products to the weights of a block of queries, and the gradients of their scores.
    ///
    /// # Safety
    /// The space holds the products of `rows` queries from `first` on, and the values.
    unsafe fn scores(&self, gradients: &Gradients, first: usize, rows: usize, space: &Space) {
        let heads = &self.heads;
        let simd = heads.simd;
        let Attention {
            keys,
            value_width,
            scale,
            ..
        } = heads.attention;
        let unit = &gradients.unit;
        let shape = [rows, value_width];
        // SAFETY: every row is one of the block's, every query one of the unit's.
        unsafe {
            simd.compiled(
                #[inline(always)]
                || {
                    let out = unit.out.skip_rows(first);
                    out.pack(simd, shape, space.out, false);
                    let gradient = gradients.out.skip_rows(first);
                    gradient.pack(simd, shape, space.out_gradient, false);
                },
            );
            let packed = space.packed.out_gradient;
            let product = Product {
                k: value_width,
                a: heads.words.left(simd, space.out_gradient, shape, packed),
                b: space.v_across,
                c: space.score_gradient,
                columns: padded::<S>(keys),
                add: false,
            };
            heads.words.multiply(simd, rows, &product);
            simd.compiled(
                #[inline(always)]
                || {
                    let scores = Scores::new(simd, keys, scale, &unit.biases);
                    for row in 0..rows {
                        let query = first + row;
                        let (out, gradient) = (space.out, space.out_gradient);
                        let (out, gradient) = (out.skip_rows(row), gradient.skip_rows(row));
                        let factors = unit.draws.as_ref().map(|draws| {
                            draws.factors(query, space.factors.first, keys);
                            space.factors.first.cast_const()
                        });
                        let rows = GradientRows {
                            scores: space.weights.skip_rows(row).first,
                            gradient: space.score_gradient.skip_rows(row).first,
                            factors,
                            total: gradients.total.map(|total| total.row(query)),
                            log_sum: *unit.log_sum.skip_columns(query).first,
                            // Σ weight·gradient over the keys is the product of result and gradient, dropout or not.
                            mean: dot(simd, out.first, gradient.first, value_width),
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
    unsafe fn products(&self, q: Stored, rows: usize, add: bool, space: &Space) {
        let heads = &self.heads;
        let (simd, words) = (heads.simd, heads.words);
        let Attention {
            keys,
            width,
            value_width,
            ..
        } = heads.attention;
        let Space {
            weights,
            score_gradient,
            out_gradient,
            packed,
            ..
        } = space;
        let (gradient, down) = (Stored::F32(*out_gradient), [keys, rows]);
        // SAFETY: as the caller promises.
        unsafe {
            let across = packed.out_gradient_across;
            let v_gradient = Product {
                k: rows,
                a: words.left(simd, weights.transposed(), down, packed.weights),
                b: words.right(simd, gradient, *out_gradient, [rows, value_width], across),
                c: space.v_gradient,
                columns: padded::<S>(value_width),
                add,
            };
            let turned = score_gradient.transposed();
            let k_gradient = Product {
                a: words.left(simd, turned, down, packed.score_gradient_down),
                b: words.right(simd, q, space.q, [rows, width], packed.q_across),
                c: space.k_gradient,
                columns: padded::<S>(width),
                ..v_gradient
            };
            let q_gradient = Product {
                k: keys,
                a: words.left(simd, *score_gradient, [rows, keys], packed.score_gradient),
                b: space.k,
                c: space.q_gradient,
                add: false,
                ..k_gradient
            };
            words.multiply(simd, keys, &v_gradient);
            words.multiply(simd, keys, &k_gradient);
            words.multiply(simd, rows, &q_gradient);
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
        let (words, block) = (heads.words, heads.block);
        let operands = [
            words.right_shape(width, keys),
            words.right_shape(value_width, keys),
            words.right_shape(keys, width),
            words.left_shape(block, width),
        ];
        let floats = [
            words.sums_shape(keys, width),
            words.sums_shape(keys, value_width),
            words.sums_shape(block, width),
            words.sums_shape(block, value_width),
            words.sums_shape(block, value_width),
            words.sums_shape(block, keys),
            words.sums_shape(block, keys),
            (1, heads.key_stride),
        ];
        let packed = [
            words.right_shape(block, width),
            words.left_shape(block, value_width),
            words.right_shape(block, value_width),
            words.left_shape(keys, block),
            words.left_shape(block, keys),
            words.left_shape(keys, block),
        ];
        let packed = packed.map(|shape| words.spare(shape));
        scratch::matrices(operands, |[k_across, v_across, k, q]| {
            scratch::matrices(packed, |packed| {
                let [q_across, out_gradient, out_gradient_across, ..] = packed;
                let [.., weights, score_gradient, score_gradient_down] = packed;
                let packed = Packed {
                    q_across,
                    out_gradient,
                    out_gradient_across,
                    weights,
                    score_gradient,
                    score_gradient_down,
                };
                scratch::matrices(floats, |floats| {
                    let [k_gradient, v_gradient, q_gradient, out, ..] = floats;
                    let [.., out_gradient, weights, score_gradient, factors] = floats;
                    work(&Space {
                        k_across,
                        v_across,
                        k,
                        k_gradient,
                        v_gradient,
                        q,
                        q_gradient,
                        out,
                        out_gradient,
                        weights,
                        score_gradient,
                        factors,
                        packed,
                    });
                });
            });
        });
    }
}

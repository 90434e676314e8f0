//! Tasks of the backward pass, so cut that the gradients of biases add up in an order that depends on shapes alone.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;

use crate::backend::cpu::Memory;
use crate::backend::cpu::gemm::isa::Isa;
use crate::backend::cpu::gemm::matrix::{Index, Matrix};
use crate::backend::cpu::gemm::scratch;
use crate::plan::kernel::AttentionBackward;
use crate::plan::{Access, BufferId};

/// Tasks aimed at where a bias learns: enough to share out evenly, few enough that their totals stay small.
const TASKS: usize = 32;

/// Units of the batch, dealt out to tasks: a task has one index of the axes along which a learning bias varies, and a range of
/// the indices of the others. Its scores' gradients add up to one total.
pub struct Tasks {
    /// Axes along which a learning bias varies.
    kept: Axes,
    summed: Axes,
    /// Ranges of the summed indices for each kept one.
    chunks: usize,
    shape: [usize; 2],
    row: usize,
    gradients: Vec<BiasGradient>,
}

/// Some of the batch axes, with their strides in the numbering of units.
#[derive(Default)]
struct Axes {
    dims: Vec<usize>,
    strides: Vec<usize>,
}

struct BiasGradient {
    target: (BufferId, Access),
    /// Each distinct matrix: its place in the target and the tasks whose totals it is the sum of.
    matrices: Vec<(usize, Vec<usize>)>,
}

/// Where the gradients of a task's scores add up.
#[derive(Clone, Copy)]
pub struct Total {
    rows: Matrix,
    /// Nothing is there yet.
    pub fresh: bool,
}

impl Total {
    pub fn row(self, query: usize) -> (*mut f32, bool) {
        (self.rows.skip_rows(query).first, self.fresh)
    }
}

impl Axes {
    fn count(&self) -> usize {
        self.dims.iter().product()
    }

    fn unit(&self, index: usize) -> usize {
        Index::new(&self.dims, index).offset(&self.strides)
    }
}

impl Tasks {
    pub fn new(backward: &AttentionBackward, row: usize) -> Self {
        let batch = &backward.forward.batch;
        let targets = backward.bias_gradients.iter().map(|(_, target)| target);
        let (mut kept, mut summed) = (Axes::default(), Axes::default());
        let mut kept_axes = Vec::new();
        for (axis, &dim) in batch.iter().enumerate() {
            let varies = targets.clone().any(|(_, access)| access.strides[axis] != 0);
            let axes = if varies || backward.bias_gradients.is_empty() {
                kept_axes.push(axis);
                &mut kept
            } else {
                &mut summed
            };
            axes.dims.push(dim);
            axes.strides.push(batch[axis + 1..].iter().product());
        }
        let chunks = TASKS
            .div_ceil(kept.count().max(1))
            .clamp(1, summed.count().max(1));
        let gradient = |target: &(BufferId, Access)| {
            let strides: Vec<_> = kept_axes
                .iter()
                .map(|&axis| target.1.strides[axis])
                .collect();
            let mut matrices = BTreeMap::<usize, Vec<usize>>::new();
            for index in 0..kept.count() {
                let place = target.1.offset + Index::new(&kept.dims, index).offset(&strides);
                let tasks = index * chunks..(index + 1) * chunks;
                matrices.entry(place).or_default().extend(tasks);
            }
            BiasGradient {
                target: target.clone(),
                matrices: matrices.into_iter().collect(),
            }
        };
        Tasks {
            gradients: targets.clone().map(gradient).collect(),
            chunks,
            shape: [backward.forward.queries, backward.forward.keys],
            row,
            kept,
            summed,
        }
    }

    pub fn count(&self) -> usize {
        self.kept.count() * self.chunks
    }

    /// The indices of the batch that a task works on, in order.
    pub fn units(&self, task: usize) -> impl Iterator<Item = usize> {
        let (kept, chunk) = (task / self.chunks, task % self.chunks);
        let count = self.summed.count();
        let range: Range<usize> = chunk * count / self.chunks..(chunk + 1) * count / self.chunks;
        range.map(move |index| self.kept.unit(kept) + self.summed.unit(index))
    }

    /// Runs `work` with a total for each task if any bias learns, and adds these up to the biases' gradients.
    pub fn with_totals<S: Isa>(
        &self,
        simd: S,
        memory: &Memory,
        work: impl FnOnce(Option<&Totals>),
    ) {
        if self.gradients.is_empty() {
            return work(None);
        }
        let size = self.count() * self.shape[0] * self.row;
        scratch::parts([size], |[first]| {
            let totals = Totals {
                rows: Matrix::rows(first, self.row),
                queries: self.shape[0],
            };
            work(Some(&totals));
            for gradient in &self.gradients {
                gradient.add_up(simd, memory, &totals, self.shape);
            }
        });
    }
}

/// The totals of all tasks: so many rows each, one behind the other.
pub struct Totals {
    rows: Matrix,
    queries: usize,
}

impl Totals {
    pub fn of(&self, task: usize, fresh: bool) -> Total {
        Total {
            rows: self.rows.skip_rows(task * self.queries),
            fresh,
        }
    }

    /// Adds up the row of a query over the totals of some tasks, in their order.
    #[inline(always)]
    fn sum(&self, tasks: &[usize], query: usize, sums: &mut [f32]) {
        sums.fill(0.0);
        for &task in tasks {
            let (total, _) = self.of(task, false).row(query);
            // SAFETY: every task has written a total with a row for each query.
            let total = unsafe { std::slice::from_raw_parts(total, sums.len()) };
            for (sum, gradient) in sums.iter_mut().zip(total) {
                *sum += gradient;
            }
        }
    }
}

impl BiasGradient {
    fn add_up<S: Isa>(
        &self,
        simd: S,
        memory: &Memory,
        totals: &Totals,
        [queries, keys]: [usize; 2],
    ) {
        let (buffer, access) = &self.target;
        let inner = &access.strides[access.strides.len() - 2..];
        let target = Matrix {
            first: memory.at(*buffer),
            row: inner[0],
            column: inner[1],
        };
        self.matrices.par_iter().for_each(|(place, tasks)| {
            let target = target.shifted(*place);
            scratch::parts([keys], |[sums]| {
                // SAFETY: scratch always holds numbers.
                let sums = unsafe { std::slice::from_raw_parts_mut(sums, keys) };
                for query in 0..queries {
                    simd.compiled(
                        #[inline(always)]
                        || totals.sum(tasks, query, sums),
                    );
                    for (key, sum) in sums.iter().enumerate() {
                        let place = target.skip_rows(query).skip_columns(key).first;
                        // Of a bias that several queries or keys share, the gradients of these add up too.
                        let first =
                            (query == 0 || target.row > 0) && (key == 0 || target.column > 0);
                        // SAFETY: the access lies within its buffer, and no other matrix shares the place.
                        unsafe { *place = if first { *sum } else { *place + *sum } };
                    }
                }
            });
        });
    }
}

//! Matrix products: `c (+)= a·b` with any strides, repeated over batch axes.

mod block;
mod cut;
pub(super) mod isa;
mod load;
pub(super) mod matrix;
pub(super) mod near;
#[cfg(target_arch = "x86_64")]
pub(super) mod pairs;
pub(super) mod scratch;
pub(super) mod stored;
#[cfg(test)]
pub(super) mod testbed;
#[cfg(test)]
mod tests;
pub(super) mod tile;
mod transpose;
pub(super) mod words;

use std::ops::Range;

use rayon::prelude::*;

use super::rows::{self, Blocks, CompiledRows};
use super::{Launch, Memory, Run};
use crate::plan::kernel::{Gemm, Rows};
use crate::plan::{Place, Plan};
use block::Block;
use cut::{Problem, piece, units};
use isa::{Isa, Level, Make};
use matrix::{Index, Matrix};
use stored::{Stored, Tensor};
use words::Words;

/// The kernel `gemm` of `plan`, ready to run.
pub fn prepare(gemm: &Gemm, plan: &Plan) -> Box<dyn Run> {
    Level::best().make(Prepare { gemm, plan })
}

struct Prepare<'a> {
    gemm: &'a Gemm,
    plan: &'a Plan,
}

impl Make for Prepare<'_> {
    type Output = Box<dyn Run>;

    fn make<S: Isa>(self, simd: S) -> Box<dyn Run> {
        let words = Words::new(simd, self.plan.reads_halves(self.gemm));
        Box::new(PreparedGemm::new(simd, words, self.gemm, self.plan))
    }
}

struct PreparedGemm<S: 'static> {
    simd: S,
    words: Words<S>,
    gemm: Gemm,
    a: Tensor,
    b: Tensor,
    /// Where the product is in nobody's memory but this kernel's: from one row of it to the next.
    aside: Option<usize>,
    epilogue: Option<CompiledRows>,
}

impl<S: Isa> PreparedGemm<S> {
    fn new(simd: S, words: Words<S>, gemm: &Gemm, plan: &Plan) -> Self {
        let (c, epilogue) = (gemm.c.0, gemm.epilogue.as_ref());
        // What the epilogue stores over the product in memory is all that the memory is for.
        let replaces = |e: &Rows| e.stores.iter().any(|s| s.buffer == c && s.value != 0);
        let aside = matches!(plan.buffers[c].place, Place::Aside)
            || !gemm.accumulate && epilogue.is_some_and(replaces);
        let aside = aside.then(|| scratch::apart(gemm.n));
        let blocks = Blocks {
            aside: aside.map(|row| (c, row)),
            columns: words.shape().finished(),
        };
        PreparedGemm {
            simd,
            words,
            epilogue: epilogue.map(|epilogue| rows::prepare_blocks(epilogue, plan, blocks)),
            a: Tensor::new(&gemm.a, plan),
            b: Tensor::new(&gemm.b, plan),
            aside,
            gemm: gemm.clone(),
        }
    }
}

impl<S: Isa> Run for PreparedGemm<S> {
    fn run(&self, memory: &Memory, launch: &Launch) {
        let gemm = &self.gemm;
        let count: usize = gemm.batch.iter().product();
        let problem = Problem {
            count,
            m: gemm.m,
            n: gemm.n,
            k: gemm.k,
            whole_rows: self.epilogue.as_ref().is_some_and(|e| !e.splits_columns()),
            epilogue: self.epilogue.is_some(),
        };
        let tile = self.words.shape();
        let cut = problem.cut(tile, rayon::current_num_threads());
        let area = gemm.m * gemm.n;
        let row = self.aside.unwrap_or(gemm.n);
        // The first part of every sum goes to `c` itself, wherever that lies.
        let split = cut.parts > 1;
        let sizes = [
            if split {
                self.aside.map_or(0, |row| gemm.m * row)
            } else {
                0
            },
            (cut.parts - 1) * count * area,
        ];
        scratch::parts(sizes, |[whole, others]| {
            let (whole, others) = (Matrix::rows(whole, row), Matrix::rows(others, gemm.n));
            let tasks = count * cut.parts * cut.rows * cut.columns;
            (0..tasks).into_par_iter().for_each(|task| {
                let (task, column) = (task / cut.columns, task % cut.columns);
                let (task, row) = (task / cut.rows, task % cut.rows);
                let (index, part) = (task / cut.parts, task % cut.parts);
                let task = Task {
                    rows: piece(gemm.m, cut.rows, row),
                    columns: units(gemm.n, tile.columns, cut.columns, column),
                    terms: piece(gemm.k, cut.parts, part),
                    product: self.product(memory, index, whole),
                    chunk: cut.chunk,
                    add: gemm.accumulate && part == 0,
                    finishes: !split,
                };
                let c = match part {
                    0 => task.product.c,
                    part => others.shifted((index * (cut.parts - 1) + part - 1) * area),
                };
                let c = c.skip_rows(task.rows.start);
                let c = c.skip_columns(task.columns.start);
                let row = match self.aside {
                    Some(row) if !split => row,
                    _ if self.gathers(&task, c) => {
                        scratch::apart(task.columns.len().min(cut.chunk))
                    }
                    _ => return self.compute(memory, launch, &task, Sums::There(c)),
                };
                scratch::parts([task.rows.len() * row], |[own]| {
                    let to = (self.aside.is_none() || split).then_some(c);
                    self.compute(
                        memory,
                        launch,
                        &task,
                        Sums::Here(Matrix::rows(own, row), to),
                    );
                });
            });
            if split {
                self.add_parts(memory, cut.parts - 1, whole, others);
                if let Some(epilogue) = &self.epilogue {
                    epilogue.run_whole(memory, launch, whole.first);
                }
            }
        });
    }
}

/// A block of a product, or some terms of it.
struct Task {
    rows: Range<usize>,
    columns: Range<usize>,
    terms: Range<usize>,
    product: Operands,
    chunk: usize,
    add: bool,
    /// Nothing is added to its sums later.
    finishes: bool,
}

/// Where the sums of a task are added up.
#[derive(Clone, Copy)]
enum Sums {
    /// In the block of the product.
    There(Matrix),
    /// In working memory, one chunk after the other, each brought to the block when it is finished, if there is one.
    Here(Matrix, Option<Matrix>),
}

impl<S: Isa> PreparedGemm<S> {
    /// Whether sums are added up in working memory: they are read again, and rows of the product may lie apart by what lets their
    /// lines displace each other in the cache.
    fn gathers(&self, task: &Task, c: Matrix) -> bool {
        self.epilogue.is_none() && c.column == 1 && self.words.depths(task.terms.len()) > 1
    }

    fn compute(&self, memory: &Memory, launch: &Launch, task: &Task, sums: Sums) {
        let Task {
            rows,
            columns,
            terms,
            product,
            ..
        } = task;
        let a = product.a.skip_rows(rows.start);
        let b = product.b.skip_rows(terms.start);
        let (c, aside, to) = match sums {
            Sums::There(c) => (c, false, None),
            Sums::Here(c, to) => (c, true, to),
        };
        let block = Block {
            a: a.skip_columns(terms.start),
            b: b.skip_columns(columns.start),
            rounds: self.gemm.rounds,
            c,
            aside,
            rows: rows.len(),
            columns: columns.len(),
            k: terms.len(),
            chunk: task.chunk,
            add: task.add && to.is_none(),
        };
        let finished = |chunk: Range<usize>| {
            if let Some(to) = to {
                let to = to.skip_columns(chunk.start);
                // SAFETY: the chunk's columns of the task's block, which is nobody else's.
                unsafe { to.bring(self.simd, [rows.len(), chunk.len()], c, task.add) };
            }
            if let Some(epilogue) = self.epilogue.as_ref().filter(|_| task.finishes) {
                let chunk = columns.start + chunk.start..columns.start + chunk.end;
                let first = c.first.wrapping_sub(rows.start * c.row + chunk.start);
                epilogue.run_block(memory, launch, rows.clone(), chunk, first);
            }
        };
        // SAFETY: the plan's accesses lie within its buffers, no two indices of a batch share an element of `c`, and no two tasks
        // a block.
        unsafe { block.compute(self.simd, self.words, finished) };
    }
}

/// The operands of one index of the batch.
struct Operands {
    a: Stored,
    b: Stored,
    c: Matrix,
}

impl<S: Isa> PreparedGemm<S> {
    /// `whole` is the product of which only the epilogue's results are kept; with one, there is no batch.
    fn product(&self, memory: &Memory, index: usize, whole: Matrix) -> Operands {
        let index = Index::new(&self.gemm.batch, index);
        Operands {
            a: self.a.at(memory, &index),
            b: self.b.at(memory, &index),
            c: match self.aside {
                Some(_) => whole,
                None => Matrix::at(memory, &self.gemm.c, &index),
            },
        }
    }

    /// Adds the parts of split sums to `c`, in their order.
    fn add_parts(&self, memory: &Memory, parts: usize, whole: Matrix, aside: Matrix) {
        let Gemm { m, n, .. } = self.gemm;
        let count: usize = self.gemm.batch.iter().product();
        (0..count * m).into_par_iter().for_each(|row| {
            let (index, row) = (row / m, row % m);
            let c = self.product(memory, index, whole).c.skip_rows(row);
            for part in index * parts..(index + 1) * parts {
                let from = aside.shifted((part * m + row) * n).first;
                for column in 0..n {
                    // SAFETY: both hold `m` rows of `n` elements, and every row has one task.
                    unsafe { *c.skip_columns(column).first += *from.wrapping_add(column) };
                }
            }
        });
    }
}

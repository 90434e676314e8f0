//! Matrix products: `c (+)= a·b` with any strides, repeated over batch axes.

mod block;
mod cut;
pub(super) mod isa;
pub(super) mod matrix;
pub(super) mod scratch;
#[cfg(test)]
pub(super) mod testbed;
#[cfg(test)]
mod tests;
pub(super) mod tile;
mod transpose;

use rayon::prelude::*;

use super::rows::{self, CompiledRows};
use super::{Launch, Memory, Run};
use crate::plan::Plan;
use crate::plan::kernel::Gemm;
use block::{Block, tile_columns};
use cut::{Problem, TileShape, piece, units};
use isa::{Isa, Level, Make};
use matrix::{Index, Matrix};

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
        let epilogue = self.gemm.epilogue.as_ref();
        Box::new(PreparedGemm {
            simd,
            epilogue: epilogue.map(|epilogue| rows::prepare_blocks(epilogue, self.plan)),
            gemm: self.gemm.clone(),
        })
    }
}

struct PreparedGemm<S> {
    simd: S,
    gemm: Gemm,
    epilogue: Option<CompiledRows>,
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
        let tile = TileShape {
            rows: S::TILES.len(),
            columns: tile_columns::<S>(),
        };
        let cut = problem.cut(tile, rayon::current_num_threads());
        let area = gemm.m * gemm.n;
        // The first part of every sum goes to `c` itself.
        scratch::parts([(cut.parts - 1) * count * area], |[aside]| {
            let aside = Matrix::rows(aside, gemm.n);
            let tasks = count * cut.parts * cut.rows * cut.columns;
            (0..tasks).into_par_iter().for_each(|task| {
                let (task, column) = (task / cut.columns, task % cut.columns);
                let (task, row) = (task / cut.rows, task % cut.rows);
                let (index, part) = (task / cut.parts, task % cut.parts);
                let product = self.product(memory, index);
                let rows = piece(gemm.m, cut.rows, row);
                let columns = units(gemm.n, tile.columns, cut.columns, column);
                let terms = piece(gemm.k, cut.parts, part);
                let c = match part {
                    0 => product.c,
                    part => aside.shifted((index * (cut.parts - 1) + part - 1) * area),
                };
                let block = Block {
                    a: product.a.skip_rows(rows.start).skip_columns(terms.start),
                    b: product.b.skip_rows(terms.start).skip_columns(columns.start),
                    c: c.skip_rows(rows.start).skip_columns(columns.start),
                    rows: rows.len(),
                    columns: columns.len(),
                    k: terms.len(),
                    chunk: cut.chunk,
                    add: gemm.accumulate && part == 0,
                };
                let finished = |chunk: std::ops::Range<usize>| {
                    if let Some(epilogue) = self.epilogue.as_ref().filter(|_| cut.parts == 1) {
                        let chunk = columns.start + chunk.start..columns.start + chunk.end;
                        epilogue.run_block(memory, launch, rows.clone(), chunk);
                    }
                };
                // SAFETY: the plan's accesses lie within its buffers, no two indices of a batch share an element of `c`, and no
                // two tasks a block.
                unsafe { block.compute(self.simd, finished) };
            });
            if cut.parts > 1 {
                self.add_parts(memory, cut.parts - 1, aside);
                if let Some(epilogue) = &self.epilogue {
                    epilogue.run(memory, launch);
                }
            }
        });
    }
}

/// The operands of one index of the batch.
struct Operands {
    a: Matrix,
    b: Matrix,
    c: Matrix,
}

impl<S: Isa> PreparedGemm<S> {
    fn product(&self, memory: &Memory, index: usize) -> Operands {
        let index = Index::new(&self.gemm.batch, index);
        Operands {
            a: Matrix::at(memory, &self.gemm.a, &index),
            b: Matrix::at(memory, &self.gemm.b, &index),
            c: Matrix::at(memory, &self.gemm.c, &index),
        }
    }

    /// Adds the parts of split sums to `c`, in their order.
    fn add_parts(&self, memory: &Memory, parts: usize, aside: Matrix) {
        let Gemm { m, n, .. } = self.gemm;
        let count: usize = self.gemm.batch.iter().product();
        (0..count * m).into_par_iter().for_each(|row| {
            let (index, row) = (row / m, row % m);
            let c = self.product(memory, index).c.skip_rows(row);
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

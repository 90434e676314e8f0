//! Matrix products: `c (+)= a·b` with any strides, repeated over batch axes.

pub(super) mod isa;
pub(super) mod matrix;
pub(super) mod scratch;
#[cfg(test)]
pub(super) mod testbed;
#[cfg(test)]
mod tests;
pub(super) mod tile;
mod transpose;

use gemm_common::Parallelism;
use gemm_f32::gemm::f32::get_gemm_fn;
use rayon::prelude::*;

use super::rows::{self, CompiledRows};
use super::{Launch, Memory, Run};
use crate::plan::Plan;
use crate::plan::kernel::Gemm;
use matrix::{Index, Matrix};

/// A product of at most this many multiply-adds runs on one thread where there is a batch to spread instead.
const SMALL: usize = 1 << 22;

/// The kernel `gemm` of `plan`, ready to run.
pub fn prepare(gemm: &Gemm, plan: &Plan) -> Box<dyn Run> {
    let epilogue = gemm.epilogue.as_ref();
    Box::new(PreparedGemm {
        epilogue: epilogue.map(|epilogue| rows::prepare(epilogue, plan)),
        gemm: gemm.clone(),
    })
}

struct PreparedGemm {
    gemm: Gemm,
    epilogue: Option<CompiledRows>,
}

impl Run for PreparedGemm {
    fn run(&self, memory: &Memory, launch: &Launch) {
        let gemm = &self.gemm;
        let count = gemm.batch.iter().product();
        if count > 1 && gemm.m * gemm.n * gemm.k <= SMALL {
            (0..count)
                .into_par_iter()
                .for_each(|index| self.multiply(memory, index, Parallelism::None));
        } else {
            // The library splits the tiles of `c` over the threads: each is summed along k in the same order whoever does it.
            (0..count).for_each(|index| self.multiply(memory, index, Parallelism::Rayon(0)));
        }
        if let Some(epilogue) = &self.epilogue {
            epilogue.run(memory, launch);
        }
    }
}

impl PreparedGemm {
    fn multiply(&self, memory: &Memory, index: usize, parallelism: Parallelism) {
        let Gemm { batch, m, n, k, .. } = &self.gemm;
        let index = Index::new(batch, index);
        let a = Matrix::at(memory, &self.gemm.a, &index);
        let b = Matrix::at(memory, &self.gemm.b, &index);
        let c = Matrix::at(memory, &self.gemm.c, &index);
        // The library's vectors run down the columns of its result: of a row-major `c` it computes the transpose.
        let (m, n, a, b, c) = if c.column <= c.row {
            (*n, *m, b.transposed(), a.transposed(), c.transposed())
        } else {
            (*m, *n, a, b, c)
        };
        // SAFETY: the plan's accesses lie within its buffers, and no two indices of a batch share an element of `c`.
        unsafe {
            get_gemm_fn()(
                m,
                n,
                *k,
                c.first,
                c.column as isize,
                c.row as isize,
                self.gemm.accumulate,
                a.first,
                a.column as isize,
                a.row as isize,
                b.first,
                b.column as isize,
                b.row as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

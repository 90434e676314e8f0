//! Biases of the scores: read where they lie if their rows are contiguous, else from a dense copy made once a run.

use rayon::prelude::*;

use crate::backend::cpu::Memory;
use crate::backend::cpu::gemm::matrix::{Matrix, offset_of};
use crate::plan::kernel::Attention;
use crate::plan::{Access, BufferId};

pub struct Bias {
    source: (BufferId, Access),
    batch: Vec<usize>,
    shape: [usize; 2],
    dense: Option<Dense>,
}

/// A copy of the distinct matrices of a bias.
struct Dense {
    /// Of the axes the bias varies along, outermost first, and their strides in the source.
    dims: Vec<usize>,
    source: Vec<usize>,
    /// Of the batch axes in the copy.
    strides: Vec<usize>,
    matrices: usize,
    /// Distance of rows in the copy.
    row: usize,
}

impl Bias {
    pub fn new(source: &(BufferId, Access), attention: &Attention, row: usize) -> Self {
        let inner = &source.1.strides[attention.batch.len()..];
        let shape = [attention.queries, attention.keys];
        let dense = (inner[1] != 1).then(|| Dense::new(&source.1, &attention.batch, shape[0], row));
        Bias {
            source: source.clone(),
            batch: attention.batch.clone(),
            shape,
            dense,
        }
    }

    /// Scratch that [`Bias::rows`] needs.
    pub fn scratch(&self) -> usize {
        let dense = self.dense.as_ref();
        dense.map_or(0, |dense| dense.matrices * self.shape[0] * dense.row)
    }

    /// The bias with contiguous rows, in `scratch` unless they are so in memory.
    pub fn rows(&self, memory: &Memory, scratch: *mut f32) -> BiasRows<'_> {
        let (buffer, access) = &self.source;
        let (outer, inner) = access.strides.split_at(self.batch.len());
        let source = Matrix {
            first: memory.at(*buffer).wrapping_add(access.offset),
            row: inner[0],
            column: inner[1],
        };
        let rows = |first, strides, row| BiasRows {
            first: UnitBias { first, row },
            batch: &self.batch,
            strides,
        };
        match &self.dense {
            None => rows(source.first, outer, source.row),
            Some(dense) => {
                let copy = Matrix::rows(scratch, dense.row);
                dense.fill(source, copy, self.shape);
                rows(scratch, &dense.strides, dense.row)
            }
        }
    }
}

impl Dense {
    fn new(access: &Access, batch: &[usize], queries: usize, row: usize) -> Self {
        let mut dense = Dense {
            dims: Vec::new(),
            source: Vec::new(),
            strides: vec![0; batch.len()],
            matrices: 1,
            row,
        };
        for axis in (0..batch.len()).rev() {
            if access.strides[axis] != 0 {
                dense.dims.insert(0, batch[axis]);
                dense.source.insert(0, access.strides[axis]);
                dense.strides[axis] = dense.matrices * queries * row;
                dense.matrices *= batch[axis];
            }
        }
        dense
    }

    fn fill(&self, source: Matrix, copy: Matrix, [queries, keys]: [usize; 2]) {
        (0..self.matrices * queries)
            .into_par_iter()
            .for_each(|row| {
                let (matrix, query) = (row / queries, row % queries);
                let source = source.shifted(offset_of(&self.dims, &self.source, matrix));
                let (source, copy) = (source.skip_rows(query), copy.skip_rows(row));
                for key in 0..keys {
                    // SAFETY: the access lies within its buffer, the row in the copy, where no other task writes.
                    unsafe { *copy.first.add(key) = *source.first.add(key * source.column) };
                }
            });
    }
}

/// The matrices of a bias, with contiguous rows.
pub struct BiasRows<'a> {
    first: UnitBias,
    batch: &'a [usize],
    strides: &'a [usize],
}

/// One matrix of a bias, with contiguous rows.
#[derive(Clone, Copy)]
pub struct UnitBias {
    first: *const f32,
    row: usize,
}

// SAFETY: the tasks of a kernel only read through it.
unsafe impl Send for UnitBias {}
// SAFETY: as above.
unsafe impl Sync for UnitBias {}

impl BiasRows<'_> {
    pub fn unit(&self, index: usize) -> UnitBias {
        let offset = offset_of(self.batch, self.strides, index);
        UnitBias {
            first: self.first.first.wrapping_add(offset),
            ..self.first
        }
    }
}

impl UnitBias {
    /// What is added to the scores of a query.
    #[inline(always)]
    pub fn row(self, query: usize) -> *const f32 {
        self.first.wrapping_add(query * self.row)
    }
}

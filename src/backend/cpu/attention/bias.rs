//! Biases of the scores: read where they lie if their rows are contiguous, else from a dense copy made once a run.

use rayon::prelude::*;

use crate::backend::cpu::Memory;
use crate::backend::cpu::gemm::isa::Isa;
use crate::backend::cpu::gemm::matrix::{Index, Matrix};
use crate::plan::kernel::Attention;
use crate::plan::{Access, BufferId};

pub struct Bias {
    source: (BufferId, Access),
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
    pub fn rows<S: Isa>(&self, simd: S, memory: &Memory, scratch: *mut f32) -> BiasRows<'_> {
        let (buffer, access) = &self.source;
        let (outer, inner) = access.strides.split_at(access.strides.len() - 2);
        let source = Matrix {
            first: memory.at(*buffer).wrapping_add(access.offset),
            row: inner[0],
            column: inner[1],
        };
        let rows = |first, strides, row| BiasRows {
            first: UnitBias { first, row },
            strides,
        };
        match &self.dense {
            None => rows(source.first, outer, source.row),
            Some(dense) => {
                let copy = Matrix::rows(scratch, dense.row);
                dense.fill(simd, source, copy, self.shape);
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

    /// Copies a query's rows of all matrices along the innermost axis at a time: often it is that axis which is contiguous.
    fn fill<S: Isa>(&self, simd: S, source: Matrix, copy: Matrix, [queries, keys]: [usize; 2]) {
        let axes = self.dims.len().saturating_sub(1);
        let (outer, inner) = (&self.dims[..axes], self.dims.get(axes).unwrap_or(&1));
        let matrix = queries * self.row;
        let count = outer.iter().product::<usize>() * queries;
        (0..count).into_par_iter().for_each(|row| {
            let (index, query) = (row / queries, row % queries);
            let offset = Index::new(outer, index).offset(&self.source);
            let source = Matrix {
                row: self.source.get(axes).copied().unwrap_or(0),
                ..source.shifted(offset + query * source.row)
            };
            let first = index * inner * matrix + query * self.row;
            let copy = Matrix {
                row: matrix,
                ..copy.shifted(first)
            };
            // SAFETY: the access lies within its buffer, the rows in the copy, where no other task writes.
            unsafe {
                simd.compiled(
                    #[inline(always)]
                    || source.pack(simd, [*inner, keys], copy),
                );
            }
        });
    }
}

/// The matrices of a bias, with contiguous rows.
pub struct BiasRows<'a> {
    first: UnitBias,
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
    pub fn unit(&self, index: &Index) -> UnitBias {
        let offset = index.offset(self.strides);
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

//! A matrix in either of the kinds of elements that memory holds.

use half::bf16;

use super::isa::Isa;
use super::load::{Rounded, Widened};
use super::matrix::{Index, Matrix};
use crate::backend::cpu::Memory;
use crate::backend::cpu::half::narrowed;
use crate::plan::{Access, BufferId, Element, Plan};

/// What a kernel reads or writes, with what is known of it before it runs.
#[derive(Debug, Clone)]
pub struct Tensor {
    buffer: BufferId,
    access: Access,
    element: Element,
}

impl Tensor {
    pub fn new((buffer, access): &(BufferId, Access), plan: &Plan) -> Self {
        Tensor {
            buffer: *buffer,
            access: access.clone(),
            element: plan.buffers[*buffer].element,
        }
    }

    /// The matrix at `index` of the batch axes.
    pub fn at(&self, memory: &Memory, index: &Index) -> Stored {
        let (buffer, access) = (self.buffer, &self.access);
        match self.element {
            Element::F32 => Stored::F32(Matrix::seen(memory.at(buffer), access, index)),
            Element::Bf16 => Stored::Bf16(Matrix::seen(memory.half(buffer), access, index)),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Stored {
    F32(Matrix),
    Bf16(Matrix<bf16>),
}

/// The same for both.
macro_rules! both {
    ($stored:expr, $matrix:ident => $value:expr) => {
        match $stored {
            Stored::F32($matrix) => Stored::F32($value),
            Stored::Bf16($matrix) => Stored::Bf16($value),
        }
    };
}

impl Stored {
    pub fn transposed(self) -> Self {
        both!(self, matrix => matrix.transposed())
    }

    /// Without its first rows.
    pub fn skip_rows(self, rows: usize) -> Self {
        both!(self, matrix => matrix.skip_rows(rows))
    }

    /// Without its first columns.
    pub fn skip_columns(self, columns: usize) -> Self {
        both!(self, matrix => matrix.skip_columns(columns))
    }

    /// Whether columns are contiguous, and rows are not.
    pub fn runs_down(self) -> bool {
        let steps = match self {
            Stored::F32(matrix) => [matrix.row, matrix.column],
            Stored::Bf16(matrix) => [matrix.row, matrix.column],
        };
        steps[0] == 1 && steps[1] != 1
    }

    /// See [`Matrix::prefetch`].
    #[inline(always)]
    pub fn prefetch(self, shape: [usize; 2]) {
        match self {
            Stored::F32(matrix) => matrix.prefetch(shape),
            Stored::Bf16(matrix) => matrix.prefetch(shape),
        }
    }

    /// See [`Matrix::prefetch_part`].
    #[inline(always)]
    pub fn prefetch_part(self, shape: [usize; 2], part: usize, parts: usize) {
        match self {
            Stored::F32(matrix) => matrix.prefetch_part(shape, part, parts),
            Stored::Bf16(matrix) => matrix.prefetch_part(shape, part, parts),
        }
    }

    /// See [`Matrix::pack_as`]; `rounds` to bf16 what is not that already.
    ///
    /// # Safety
    /// As for that.
    #[inline(always)]
    pub unsafe fn pack<S: Isa>(self, simd: S, shape: [usize; 2], target: Matrix, rounds: bool) {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Stored::F32(matrix) if rounds => matrix.pack_as(simd, shape, target, Rounded),
                Stored::F32(matrix) => matrix.pack(simd, shape, target),
                Stored::Bf16(matrix) => matrix.pack_as(simd, shape, target, Widened),
            }
        }
    }

    /// See [`Matrix::unpack`].
    ///
    /// # Safety
    /// As for that.
    #[inline(always)]
    pub unsafe fn unpack<S: Isa>(
        self,
        simd: S,
        [rows, columns]: [usize; 2],
        source: Matrix,
        factor: impl Fn(usize) -> f32,
    ) {
        match self {
            // SAFETY: the caller's.
            Stored::F32(matrix) => unsafe { matrix.unpack(simd, [rows, columns], source, factor) },
            Stored::Bf16(matrix) => {
                for row in 0..rows {
                    let (source, target) =
                        (source.skip_rows(row).first, matrix.skip_rows(row).first);
                    let factor = factor(row);
                    if matrix.column == 1 {
                        for column in 0..columns {
                            // SAFETY: an element of the row on both sides.
                            unsafe {
                                *target.add(column) = narrowed(*source.add(column) * factor);
                            }
                        }
                        continue;
                    }
                    for column in 0..columns {
                        // SAFETY: as above.
                        unsafe {
                            *target.add(column * matrix.column) =
                                narrowed(*source.add(column) * factor);
                        }
                    }
                }
            }
        }
    }
}

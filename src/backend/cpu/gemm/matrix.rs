//! A matrix in memory with any strides, and moving it to and from dense scratch.

use pulp::{MemMask, Simd};

use super::isa::Isa;
use super::load::{AsIs, Load};
use super::tile::load;
use crate::backend::cpu::Memory;
use crate::backend::cpu::fetch::{LINE, fetch, fetch_near};
use crate::plan::{Access, BufferId};

/// Rows that are asked for before they are packed: short ones end before the processor sees where they lead.
pub const AHEAD: usize = 2;

/// First element, and the distance to the next row and column.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<T = f32> {
    pub first: *mut T,
    pub row: usize,
    pub column: usize,
}

// SAFETY: kernels write through it, whose tasks write disjoint elements.
unsafe impl<T> Send for Matrix<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Matrix<T> {}

impl Matrix {
    /// The matrix at `index` of an access over batch axes, then rows, then columns.
    pub fn at(memory: &Memory, (buffer, access): &(BufferId, Access), index: &Index) -> Self {
        Matrix::seen(memory.at(*buffer), access, index)
    }
}

impl<T: Copy> Matrix<T> {
    /// As [`Matrix::at`], of a buffer that starts at `first`.
    pub fn seen(first: *mut T, access: &Access, index: &Index) -> Self {
        let (outer, inner) = access.strides.split_at(index.axes);
        Matrix {
            first,
            row: inner[0],
            column: inner[1],
        }
        .shifted(access.offset + index.offset(outer))
    }

    pub fn transposed(self) -> Self {
        Matrix {
            row: self.column,
            column: self.row,
            ..self
        }
    }

    /// Contiguous rows, `row` apart.
    pub fn rows(first: *mut T, row: usize) -> Self {
        Matrix {
            first,
            row,
            column: 1,
        }
    }

    /// As far from here as `offset` elements.
    pub fn shifted(self, offset: usize) -> Self {
        Matrix {
            first: self.first.wrapping_add(offset),
            ..self
        }
    }

    /// Without its first rows.
    pub fn skip_rows(self, rows: usize) -> Self {
        self.shifted(rows * self.row)
    }

    /// Without its first columns.
    pub fn skip_columns(self, columns: usize) -> Self {
        self.shifted(columns * self.column)
    }

    /// Elements of a cache line.
    const LINE: usize = LINE / size_of::<T>();

    /// Asks for `rows` by `columns` to be brought into the cache, if they are in a few pieces.
    #[inline(always)]
    pub fn prefetch(self, [rows, columns]: [usize; 2]) {
        let (pieces, length, stride) = match (self.row, self.column) {
            (_, 1) => (rows, columns, self.row),
            (1, _) => (columns, rows, self.column),
            _ => return,
        };
        for piece in 0..pieces {
            let first = self.first.wrapping_add(piece * stride);
            for place in (0..length).step_by(Self::LINE) {
                fetch(first.wrapping_add(place));
            }
        }
    }

    /// Asks for part `part` of `parts` of `rows` by `columns` to be brought near, if they are in pieces along the matrix.
    #[inline(always)]
    pub fn prefetch_part(self, [rows, columns]: [usize; 2], part: usize, parts: usize) {
        let (pieces, length, stride) = match (self.row, self.column) {
            (_, 1) => (rows, columns, self.row),
            (1, _) => (columns, rows, self.column),
            _ => return,
        };
        for piece in pieces * part / parts..pieces * (part + 1) / parts {
            let first = self.first.wrapping_add(piece * stride);
            for place in (0..length).step_by(Self::LINE) {
                fetch_near(first.wrapping_add(place));
            }
        }
    }

    /// Copies `rows` by `columns` to rows of whole vectors, the rest of each last vector zero.
    ///
    /// # Safety
    /// The matrix is valid for reads and `target`, of contiguous rows, for writes of that size, and they do not overlap.
    #[inline(always)]
    pub unsafe fn pack_as<S: Isa, L: Load<T>>(
        self,
        simd: S,
        [rows, columns]: [usize; 2],
        target: Matrix,
        _: L,
    ) {
        let lanes = S::F32_LANES;
        // SAFETY: every access is of an element, or a mask's part of a vector, within `rows` and `columns`.
        unsafe {
            if self.column == 1 {
                for row in 0..rows {
                    self.skip_rows(row + AHEAD).prefetch([1, columns]);
                    let (source, target) = (self.skip_rows(row).first, target.skip_rows(row).first);
                    for column in (0..columns).step_by(lanes) {
                        let value = if columns - column >= lanes {
                            L::vector(simd, source.add(column))
                        } else {
                            L::part(simd, columns - column, source.add(column))
                        };
                        (target.add(column) as *mut S::f32s).write_unaligned(value);
                    }
                }
            } else if self.row == 1 {
                for row in (0..rows).step_by(lanes) {
                    for column in (0..columns).step_by(lanes) {
                        let shape = [lanes.min(columns - column), lanes.min(rows - row)];
                        let source = self.skip_rows(row).skip_columns(column).first;
                        let place = target.skip_rows(row).skip_columns(column).first;
                        L::transpose(simd, source, self.column, shape, place, target.row);
                    }
                }
            } else {
                for row in 0..rows {
                    let (source, target) = (self.skip_rows(row).first, target.skip_rows(row).first);
                    for column in 0..columns {
                        *target.add(column) = L::number(*source.add(column * self.column));
                    }
                    for column in columns..columns.next_multiple_of(lanes) {
                        *target.add(column) = 0.0;
                    }
                }
            }
        }
    }
}

impl Matrix {
    /// As [`Matrix::pack_as`], numbers as they are.
    ///
    /// # Safety
    /// As for that.
    #[inline(always)]
    pub unsafe fn pack<S: Isa>(self, simd: S, shape: [usize; 2], target: Matrix) {
        // SAFETY: the caller's.
        unsafe { self.pack_as(simd, shape, target, AsIs) }
    }

    /// Copies `rows` by `columns` from contiguous rows, each row multiplied by its factor.
    ///
    /// # Safety
    /// As [`Matrix::pack`], the other way round; no two elements of the matrix share their place.
    #[inline(always)]
    pub unsafe fn unpack<S: Isa>(
        self,
        simd: S,
        [rows, columns]: [usize; 2],
        source: Matrix,
        factor: impl Fn(usize) -> f32,
    ) {
        let lanes = S::F32_LANES;
        for row in 0..rows {
            let (source, target) = (source.skip_rows(row).first, self.skip_rows(row).first);
            let factor = factor(row);
            // SAFETY: every access is of an element, or a mask's part of a vector, within `rows` and `columns`.
            unsafe {
                if self.column != 1 {
                    for column in 0..columns {
                        *target.add(column * self.column) = *source.add(column) * factor;
                    }
                    continue;
                }
                let factor = simd.splat_f32s(factor);
                for column in (0..columns).step_by(lanes) {
                    let value = simd.mul_f32s(load(simd, source.add(column)), factor);
                    if columns - column >= lanes {
                        (target.add(column) as *mut S::f32s).write_unaligned(value);
                    } else {
                        let mask = first_lanes(simd, columns - column);
                        simd.mask_store_ptr_f32s(mask, target.add(column), value);
                    }
                }
            }
        }
    }
}

impl Matrix {
    /// Copies `rows` by `columns` from contiguous rows to contiguous rows, or adds them to these.
    ///
    /// # Safety
    /// Both are valid for that, and do not overlap.
    pub unsafe fn bring<S: Isa>(
        self,
        simd: S,
        [rows, columns]: [usize; 2],
        source: Matrix,
        add: bool,
    ) {
        simd.compiled(
            #[inline(always)]
            || {
                for row in 0..rows {
                    let (from, to) = (source.skip_rows(row).first, self.skip_rows(row).first);
                    for column in 0..columns {
                        // SAFETY: an element of the row on both sides.
                        unsafe {
                            let sum = *from.add(column);
                            *to.add(column) = if add { *to.add(column) + sum } else { sum };
                        }
                    }
                }
            },
        );
    }
}

/// A mask of the first `count` lanes.
#[inline(always)]
pub fn first_lanes<S: Simd>(simd: S, count: usize) -> MemMask<S::m32s> {
    // Made anew from its bits: the library's own loads and stores through a function for each mask.
    MemMask::new(simd.mask_between_m32s(0, count as u32).mask())
}

/// Most axes of a nest.
const AXES: usize = 8;

/// Coordinates of an element of a nest.
#[derive(Clone, Copy)]
pub struct Index {
    coordinates: [usize; AXES],
    axes: usize,
}

impl Index {
    /// Of element `place` in row-major order. A nest has at most eight axes.
    pub fn new(dims: &[usize], mut place: usize) -> Self {
        let mut coordinates = [0; AXES];
        for (axis, dim) in dims.iter().enumerate().rev() {
            coordinates[axis] = place % dim;
            place /= dim;
        }
        Index {
            coordinates,
            axes: dims.len(),
        }
    }

    pub fn offset(&self, strides: &[usize]) -> usize {
        let terms = self.coordinates.iter().zip(strides);
        terms.map(|(coordinate, stride)| coordinate * stride).sum()
    }
}

//! Packing bf16 by two: words of 32 bits that hold neighbouring terms of a sum, the earlier in the lower half.

use half::bf16;

use super::isa::Isa;
use super::load::Load;
use super::matrix::Matrix;

/// Terms in a word.
pub const TERMS: usize = 2;

/// Most lanes of a vector.
const LANES: usize = 16;

impl<T: Copy> Matrix<T> {
    /// Terms lie along rows: copies `rows` by `columns` to rows of half as many words. Behind an odd column stands a zero.
    ///
    /// # Safety
    /// The matrix is valid for reads and `target`, of contiguous rows, for writes of that size, and they do not overlap.
    #[inline(always)]
    pub unsafe fn pack_pairs_along<L: Load<T>>(
        self,
        [rows, columns]: [usize; 2],
        target: Matrix,
        _: L,
    ) {
        for row in 0..rows {
            let source = self.skip_rows(row).first;
            let halves: *mut bf16 = target.skip_rows(row).first.cast();
            // SAFETY: as the caller promises; a word has two halves.
            unsafe {
                if self.column == 1 {
                    for column in 0..columns {
                        *halves.add(column) = L::half(*source.add(column));
                    }
                } else {
                    for column in 0..columns {
                        *halves.add(column) = L::half(*source.add(column * self.column));
                    }
                }
                if columns % TERMS == 1 {
                    *halves.add(columns) = bf16::ZERO;
                }
            }
        }
    }

    /// Terms lie along columns: copies `rows` by `columns` to half as many rows of words, in whole vectors, the rest of each last
    /// one zero. Behind an odd row stand zeros.
    ///
    /// # Safety
    /// As [`Matrix::pack_pairs_along`].
    #[inline(always)]
    pub unsafe fn pack_pairs_across<S: Isa, L: Load<T> + Copy>(
        self,
        simd: S,
        [rows, columns]: [usize; 2],
        target: Matrix,
        load: L,
    ) {
        // SAFETY: as the caller promises.
        unsafe {
            if self.row == 1 && self.column != 1 {
                return self.turn_pairs(simd, [rows, columns], target, load);
            }
            for word in 0..rows.div_ceil(TERMS) {
                let upper = self.skip_rows(word * TERMS);
                let lower = (word * TERMS + 1 < rows).then(|| upper.skip_rows(1));
                let words: *mut u32 = target.skip_rows(word).first.cast();
                if self.column == 1 {
                    join::<T, L>([upper, lower.unwrap_or(upper)], 1, columns, words);
                } else {
                    let both = [upper, lower.unwrap_or(upper)];
                    join::<T, L>(both, self.column, columns, words);
                }
                if lower.is_none() {
                    for column in 0..columns {
                        *words.add(column) &= 0xffff;
                    }
                }
                for column in columns..columns.next_multiple_of(S::F32_LANES) {
                    *words.add(column) = 0;
                }
            }
        }
    }

    /// Where terms are neighbours in memory: words are made there, and turned, a square at a time.
    #[inline(always)]
    unsafe fn turn_pairs<S: Isa, L: Load<T> + Copy>(
        self,
        simd: S,
        [rows, columns]: [usize; 2],
        target: Matrix,
        load: L,
    ) {
        let lanes = S::F32_LANES;
        let mut square = [0.0; LANES * LANES];
        let square = Matrix::rows(square.as_mut_ptr(), LANES);
        for word in (0..rows.div_ceil(TERMS)).step_by(lanes) {
            let terms = (lanes * TERMS).min(rows - word * TERMS);
            for column in (0..columns).step_by(lanes) {
                let shape = [lanes.min(columns - column), terms];
                let source = self.skip_rows(word * TERMS).skip_columns(column);
                let target = target.skip_rows(word).skip_columns(column);
                // SAFETY: as the caller promises; the square is as large as two vectors' lanes.
                unsafe {
                    source.transposed().pack_pairs_along(shape, square, load);
                    let shape = [shape[0], terms.div_ceil(TERMS)];
                    simd.transpose(square.first, square.row, shape, target.first, target.row);
                }
            }
        }
    }
}

/// Joins the elements of two rows, `stride` apart, to words.
#[inline(always)]
unsafe fn join<T: Copy, L: Load<T>>(
    rows: [Matrix<T>; 2],
    stride: usize,
    columns: usize,
    words: *mut u32,
) {
    let [upper, lower] = rows.map(|row| row.first);
    for column in 0..columns {
        // SAFETY: the caller's: an element of each row, and a word for both.
        unsafe {
            let earlier = L::half(*upper.add(column * stride)).to_bits();
            let later = L::half(*lower.add(column * stride)).to_bits();
            *words.add(column) = u32::from(earlier) | u32::from(later) << 16;
        }
    }
}

//! Packing terms by two, rounded to bf16 where they are stored as f32.

use std::arch::x86_64::*;
use std::mem::transmute;

use half::bf16;

use super::super::matrix::{AHEAD, Matrix};
use super::super::stored::Stored;
use super::super::transpose::transposed;

/// Lanes of a vector of words.
const LANES: usize = 16;

/// Terms in a vector of words.
const HALVES: usize = 2 * LANES;

/// Elements that are read as terms.
trait Term: Copy {
    fn half(self) -> bf16;

    /// The first `count` of 32 neighbours, zeros behind them.
    ///
    /// # Safety
    /// So many can be read at `place`.
    unsafe fn neighbours(place: *const Self, count: usize) -> __m512i;

    /// The first `count` of 16 neighbours in the lower halves of words, and as many others in the upper halves; zeros behind them.
    ///
    /// # Safety
    /// So many can be read at both places.
    unsafe fn joined(lower: *const Self, upper: *const Self, count: usize) -> __m512i;
}

/// A mask of the first `count` lanes, of at most 16.
fn first(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as __mmask16
}

impl Term for f32 {
    #[inline(always)]
    fn half(self) -> bf16 {
        crate::backend::cpu::half::narrowed(self)
    }

    #[inline(always)]
    unsafe fn neighbours(place: *const f32, count: usize) -> __m512i {
        let (low, high) = (first(count.min(LANES)), first(count.saturating_sub(LANES)));
        // SAFETY: the masks read no more than `count` elements; whoever inlines this has the instructions.
        unsafe {
            let lower = _mm512_maskz_loadu_ps(low, place);
            let upper = _mm512_maskz_loadu_ps(high, place.wrapping_add(LANES));
            transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(upper, lower))
        }
    }

    #[inline(always)]
    unsafe fn joined(lower: *const f32, upper: *const f32, count: usize) -> __m512i {
        // SAFETY: as above.
        unsafe {
            let lower = _mm512_maskz_loadu_ps(first(count), lower);
            let upper = _mm512_maskz_loadu_ps(first(count), upper);
            interleaved(transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(
                upper, lower,
            )))
        }
    }
}

impl Term for bf16 {
    #[inline(always)]
    fn half(self) -> bf16 {
        self
    }

    #[inline(always)]
    unsafe fn neighbours(place: *const bf16, count: usize) -> __m512i {
        let mask = ((1u64 << count) - 1) as __mmask32;
        // SAFETY: as above.
        unsafe { _mm512_maskz_loadu_epi16(mask, place.cast()) }
    }

    #[inline(always)]
    unsafe fn joined(lower: *const bf16, upper: *const bf16, count: usize) -> __m512i {
        // SAFETY: as above.
        unsafe {
            let lower = _mm256_maskz_loadu_epi16(first(count), lower.cast());
            let upper = _mm256_maskz_loadu_epi16(first(count), upper.cast());
            let both = _mm512_castsi256_si512(lower);
            interleaved(_mm512_inserti64x4::<1>(both, upper))
        }
    }
}

/// From sixteen lower halves and sixteen upper ones behind them to sixteen words.
#[inline(always)]
unsafe fn interleaved(halves: __m512i) -> __m512i {
    const PLACES: [u16; 32] = {
        let mut places = [0; 32];
        let mut i = 0;
        while i < 32 {
            places[i] = (i / 2 + i % 2 * 16) as u16;
            i += 1;
        }
        places
    };
    // SAFETY: an array of 512 bits; whoever inlines this has the instructions.
    unsafe { _mm512_permutexvar_epi16(transmute::<[u16; 32], __m512i>(PLACES), halves) }
}

/// Terms lie along rows: copies `rows` by `columns` to rows of half as many words, in whole vectors, the rest of each last one zero.
///
/// # Safety
/// The matrix is valid for reads and `target`, of contiguous rows, for writes of that size, and they do not overlap; the processor
/// has AVX-512 BF16.
pub unsafe fn along(source: Stored, shape: [usize; 2], target: Matrix) {
    // SAFETY: the caller's.
    unsafe {
        match source {
            Stored::F32(matrix) => along_of(matrix, shape, target),
            Stored::Bf16(matrix) => along_of(matrix, shape, target),
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn along_of<T: Term>(matrix: Matrix<T>, shape: [usize; 2], target: Matrix) {
    let [rows, columns] = shape;
    // SAFETY: every access is of elements within `rows` and `columns`, or of a whole vector of a packed row.
    unsafe {
        match (matrix.row, matrix.column) {
            (_, 1) => {
                for row in 0..rows {
                    matrix.skip_rows(row + AHEAD).prefetch([1, columns]);
                    let (source, words) =
                        (matrix.skip_rows(row).first, target.skip_rows(row).first);
                    for column in (0..columns).step_by(HALVES) {
                        let count = HALVES.min(columns - column);
                        let pairs = T::neighbours(source.add(column), count);
                        _mm512_storeu_si512(words.add(column / 2).cast(), pairs);
                    }
                }
            }
            (1, _) => turn_along(matrix, shape, target),
            _ => {
                for row in 0..rows {
                    let source = matrix.skip_rows(row).first;
                    let halves: *mut bf16 = target.skip_rows(row).first.cast();
                    for column in 0..columns {
                        *halves.add(column) = (*source.add(column * matrix.column)).half();
                    }
                    for column in columns..columns.next_multiple_of(HALVES) {
                        *halves.add(column) = bf16::ZERO;
                    }
                }
            }
        }
    }
}

/// Where the terms of sums side by side are neighbours in memory: sixteen words of each of sixteen rows at a time.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn turn_along<T: Term>(matrix: Matrix<T>, [rows, columns]: [usize; 2], target: Matrix) {
    for row in (0..rows).step_by(LANES) {
        let count = LANES.min(rows - row);
        for column in (0..columns).step_by(HALVES) {
            let terms = HALVES.min(columns - column);
            let corner = matrix.skip_rows(row).skip_columns(column);
            let mut words = [_mm512_setzero_ps(); LANES];
            for (word, pairs) in words[..terms.div_ceil(2)].iter_mut().enumerate() {
                // SAFETY: the terms of `count` rows of the matrix.
                *pairs = _mm512_castsi512_ps(unsafe {
                    pair(corner.transposed(), terms, 2 * word, count)
                });
            }
            let turned = transposed(words);
            let target = target.skip_rows(row).skip_columns(column / 2);
            for (line, pairs) in turned[..count].iter().enumerate() {
                // SAFETY: a whole vector of a row of the target.
                unsafe { _mm512_storeu_ps(target.skip_rows(line).first, *pairs) };
            }
        }
    }
}

/// Words of the first `count` columns of contiguous rows: of `row` and of the next one, or of zeros behind the last of `rows`.
///
/// # Safety
/// The elements are the matrix's.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn pair<T: Term>(matrix: Matrix<T>, rows: usize, row: usize, count: usize) -> __m512i {
    let lower = matrix.skip_rows(row).first;
    // SAFETY: the caller's.
    unsafe {
        if row + 1 < rows {
            return T::joined(lower, matrix.skip_rows(row + 1).first, count);
        }
        _mm512_and_si512(T::joined(lower, lower, count), _mm512_set1_epi32(0xffff))
    }
}

/// Terms lie along columns: copies `rows` by `columns` to half as many rows of words, in whole vectors, the rest of each last one zero.
/// Behind an odd row stand zeros.
///
/// # Safety
/// As for [`along`].
pub unsafe fn across(source: Stored, shape: [usize; 2], target: Matrix) {
    // SAFETY: the caller's.
    unsafe {
        match source {
            Stored::F32(matrix) => across_of(matrix, shape, target),
            Stored::Bf16(matrix) => across_of(matrix, shape, target),
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn across_of<T: Term>(matrix: Matrix<T>, [rows, columns]: [usize; 2], target: Matrix) {
    // SAFETY: every access is of elements within `rows` and `columns`, or of a whole vector of a packed row.
    unsafe {
        match (matrix.row, matrix.column) {
            (_, 1) => {
                for row in (0..rows).step_by(2) {
                    let words = target.skip_rows(row / 2).first;
                    for column in (0..columns).step_by(LANES) {
                        let count = LANES.min(columns - column);
                        let pairs = pair(matrix.skip_columns(column), rows, row, count);
                        _mm512_storeu_si512(words.add(column).cast(), pairs);
                    }
                }
            }
            (1, _) => turn_across(matrix, [rows, columns], target),
            _ => {
                for row in (0..rows).step_by(2) {
                    let words: *mut u32 = target.skip_rows(row / 2).first.cast();
                    for column in 0..columns.next_multiple_of(LANES) {
                        let half = |row: usize| -> u32 {
                            if row >= rows || column >= columns {
                                return 0;
                            }
                            let element = *matrix.skip_rows(row).skip_columns(column).first;
                            element.half().to_bits().into()
                        };
                        *words.add(column) = half(row) | half(row + 1) << 16;
                    }
                }
            }
        }
    }
}

/// Where terms are neighbours in memory: sixteen words of each of sixteen columns at a time.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn turn_across<T: Term>(matrix: Matrix<T>, [rows, columns]: [usize; 2], target: Matrix) {
    for row in (0..rows).step_by(HALVES) {
        let terms = HALVES.min(rows - row);
        for column in (0..columns).step_by(LANES) {
            let mut lines = [_mm512_setzero_ps(); LANES];
            let count = LANES.min(columns - column);
            let corner = matrix.skip_rows(row).skip_columns(column);
            for (line, pairs) in lines[..count].iter_mut().enumerate() {
                // SAFETY: the terms of a column of the matrix.
                let words = unsafe { T::neighbours(corner.skip_columns(line).first, terms) };
                *pairs = _mm512_castsi512_ps(words);
            }
            let target = target.skip_rows(row / 2).skip_columns(column);
            let turned = transposed(lines);
            for (word, pairs) in turned[..terms.div_ceil(2)].iter().enumerate() {
                // SAFETY: a whole vector of a row of the target.
                unsafe { _mm512_storeu_ps(target.skip_rows(word).first, *pairs) };
            }
        }
    }
}

//! Transposing sixteen by sixteen numbers in AVX-512 registers.
#![cfg(target_arch = "x86_64")]

use std::arch::x86_64::*;

/// See [`super::isa::Isa::transpose`].
///
/// # Safety
/// The processor has AVX-512F; `rows` and `columns` are at most 16; `source` and `target` are valid for what is read and
/// written, and do not overlap.
#[target_feature(enable = "avx512f")]
pub unsafe fn transpose16(
    source: *const f32,
    source_row: usize,
    [rows, columns]: [usize; 2],
    target: *mut f32,
    target_row: usize,
) {
    let mask = ((1u32 << columns) - 1) as __mmask16;
    let mut lines = [_mm512_setzero_ps(); 16];
    for (row, line) in lines.iter_mut().enumerate() {
        if row < rows {
            // SAFETY: the row is one of the source's, and the mask reads its columns only.
            *line = unsafe { _mm512_maskz_loadu_ps(mask, source.add(row * source_row)) };
        }
    }
    let lines = transposed(lines);
    for (column, line) in lines.into_iter().enumerate() {
        if column < columns {
            // SAFETY: the column is one of the target's rows, a whole vector wide.
            unsafe { _mm512_storeu_ps(target.add(column * target_row), line) };
        }
    }
}

/// Pairs of rows, then of pairs, are interleaved within 128-bit lanes; then the lanes are dealt out, twice.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn transposed(lines: [__m512; 16]) -> [__m512; 16] {
    let mut pairs = lines;
    for i in (0..16).step_by(2) {
        pairs[i] = _mm512_unpacklo_ps(lines[i], lines[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_ps(lines[i], lines[i + 1]);
    }
    // Lane `l` of `quads[4g + j]` holds column `4l + j` of rows `4g..4g + 4`.
    let mut quads = pairs;
    for i in (0..16).step_by(4) {
        let wide = |line: usize| _mm512_castps_pd(pairs[i + line]);
        quads[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(wide(0), wide(2)));
        quads[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(wide(0), wide(2)));
        quads[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(wide(1), wide(3)));
        quads[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(wide(1), wide(3)));
    }
    let mut columns = quads;
    for j in 0..4 {
        let even_top = _mm512_shuffle_f32x4::<0x88>(quads[j], quads[j + 4]);
        let odd_top = _mm512_shuffle_f32x4::<0xdd>(quads[j], quads[j + 4]);
        let even_bottom = _mm512_shuffle_f32x4::<0x88>(quads[j + 8], quads[j + 12]);
        let odd_bottom = _mm512_shuffle_f32x4::<0xdd>(quads[j + 8], quads[j + 12]);
        columns[j] = _mm512_shuffle_f32x4::<0x88>(even_top, even_bottom);
        columns[j + 4] = _mm512_shuffle_f32x4::<0x88>(odd_top, odd_bottom);
        columns[j + 8] = _mm512_shuffle_f32x4::<0xdd>(even_top, even_bottom);
        columns[j + 12] = _mm512_shuffle_f32x4::<0xdd>(odd_top, odd_bottom);
    }
    columns
}

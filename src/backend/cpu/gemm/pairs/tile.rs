//! The innermost product over words.

use std::arch::x86_64::*;
use std::mem::transmute_copy;

use pulp::x86::V4;

use super::super::tile::{Product, store};
use super::bf16s;

/// As [`super::super::tile::tile`]; `k` counts words.
///
/// # Safety
/// As for that, and the processor has AVX-512 BF16.
pub unsafe fn tile<const ROWS: usize, const VECTORS: usize>(simd: V4, product: &Product) {
    // SAFETY: the caller's.
    unsafe { compiled::<ROWS, VECTORS>(simd, product) }
}

/// Everything is compiled with these instructions: what is not is not inlined where they are.
#[target_feature(
    enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16,avx2,fma,bmi1,bmi2"
)]
unsafe fn compiled<const ROWS: usize, const VECTORS: usize>(simd: V4, product: &Product) {
    // SAFETY: the caller's; an `__m512` and a vector of `V4` are both sixteen f32.
    let sums = unsafe { transmute_copy(&sum::<ROWS, VECTORS>(product)) };
    store::<V4, ROWS, VECTORS>(simd, product, &sums);
}

/// Returns its sums: where they are looked at in place, they are kept in memory.
///
/// # Safety
/// As [`tile`].
#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16,avx2,fma,bmi1,bmi2"
)]
unsafe fn sum<const ROWS: usize, const VECTORS: usize>(
    product: &Product,
) -> [[__m512; VECTORS]; ROWS] {
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
    // One pointer for every four rows, as in the tile of f32.
    let mut a: [*const f32; 4] = std::array::from_fn(|four| {
        let row = if 4 * four < ROWS { 4 * four } else { 0 };
        product.a.skip_rows(row).first.cast_const()
    });
    let mut b = product.b.first.cast_const();
    for _ in 0..product.k {
        let mut right = [_mm512_setzero_si512(); VECTORS];
        for (vector, right) in right.iter_mut().enumerate() {
            // SAFETY: `b` holds `k` rows of `VECTORS` vectors.
            *right = unsafe { _mm512_loadu_si512(b.add(vector * 16).cast()) };
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `a` holds `ROWS` rows of `k` elements.
            let left = unsafe { *a[row / 4].add(row % 4 * product.a.row).cast::<i32>() };
            let left = bf16s(_mm512_set1_epi32(left));
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = _mm512_dpbf16_ps(*sum, left, bf16s(right));
            }
        }
        a = a.map(|a| a.wrapping_add(product.a.column));
        b = b.wrapping_add(product.b.row);
    }
    sums
}

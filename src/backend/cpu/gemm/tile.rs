//! The innermost product: a few rows by a few vectors, summed along k in registers.

use pulp::Simd;

use super::isa::Isa;
use super::matrix::{Matrix, first_lanes};

/// `c (+)= a·b` over packed operands.
#[derive(Debug, Clone, Copy)]
pub struct Product {
    /// Terms of each sum.
    pub k: usize,
    pub a: Matrix,
    /// Rows of whole vectors.
    pub b: Matrix,
    /// Contiguous rows.
    pub c: Matrix,
    /// Columns of `c` to write: the others of its last vector are left alone.
    pub columns: usize,
    /// Add to what `c` holds.
    pub add: bool,
}

/// A [`tile`] of fixed rows and vectors.
pub type TileFn<S> = unsafe fn(S, &Product);

/// `ROWS` rows by `VECTORS` vectors.
///
/// # Safety
/// `a` holds `ROWS` rows of `k` elements, `b` holds `k` rows of `VECTORS` vectors, `c` holds `ROWS` rows of `columns` elements,
/// more than `VECTORS - 1` and at most `VECTORS` vectors of them.
pub unsafe fn tile<S: Isa, const ROWS: usize, const VECTORS: usize>(simd: S, product: &Product) {
    simd.compiled(
        #[inline(always)]
        || {
            let sums = sum::<S, ROWS, VECTORS>(simd, product);
            store(simd, product, &sums);
        },
    )
}

#[inline(always)]
fn sum<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    product: &Product,
) -> [[S::f32s; VECTORS]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    // One pointer for every four rows: from one alone, the address of each row would wait for that of the row before.
    let mut a: [*const f32; 4] = std::array::from_fn(|four| {
        let row = if 4 * four < ROWS { 4 * four } else { 0 };
        product.a.skip_rows(row).first.cast_const()
    });
    let mut b = product.b.first.cast_const();
    for _ in 0..product.k {
        let mut right = [simd.splat_f32s(0.0); VECTORS];
        for (vector, right) in right.iter_mut().enumerate() {
            // SAFETY: `b` holds `k` rows of `VECTORS` vectors.
            *right = unsafe { load(simd, b.add(vector * S::F32_LANES)) };
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `a` holds `ROWS` rows of `k` elements.
            let left = simd.splat_f32s(unsafe { *a[row / 4].add(row % 4 * product.a.row) });
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = simd.mul_add_e_f32s(left, right, *sum);
            }
        }
        a = a.map(|a| a.wrapping_add(product.a.column));
        b = b.wrapping_add(product.b.row);
    }
    sums
}

/// Writes the sums of a tile, or adds them.
#[inline(always)]
pub fn store<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    product: &Product,
    sums: &[[S::f32s; VECTORS]; ROWS],
) {
    let last = product.columns - (VECTORS - 1) * S::F32_LANES;
    for (row, sums) in sums.iter().enumerate() {
        for (vector, sum) in sums.iter().enumerate() {
            let place = product
                .c
                .skip_rows(row)
                .first
                .wrapping_add(vector * S::F32_LANES);
            // SAFETY: `c` holds `ROWS` rows of `columns` elements; the mask leaves out what lies behind them.
            unsafe {
                if vector + 1 < VECTORS || last == S::F32_LANES {
                    let sum = if product.add {
                        simd.add_f32s(load(simd, place), *sum)
                    } else {
                        *sum
                    };
                    (place as *mut S::f32s).write_unaligned(sum);
                } else {
                    let mask = first_lanes(simd, last);
                    let sum = if product.add {
                        simd.add_f32s(simd.mask_load_ptr_f32s(mask, place), *sum)
                    } else {
                        *sum
                    };
                    simd.mask_store_ptr_f32s(mask, place, sum);
                }
            }
        }
    }
}

/// # Safety
/// A whole vector can be read at `place`.
#[inline(always)]
pub unsafe fn load<S: Simd>(_: S, place: *const f32) -> S::f32s {
    // SAFETY: as the caller promises; the type has no invalid bit patterns.
    unsafe { (place as *const S::f32s).read_unaligned() }
}

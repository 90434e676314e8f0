//! How elements of a matrix become the f32 that products are computed of.

use half::bf16;

use super::isa::Isa;
use super::matrix::first_lanes;
use super::tile::load;
use crate::backend::cpu::half::{narrowed, rounded, widened};

/// From elements of type `T`.
pub trait Load<T> {
    fn number(element: T) -> f32;

    /// # Safety
    /// A whole vector of elements can be read at `place`.
    unsafe fn vector<S: Isa>(simd: S, place: *const T) -> S::f32s;

    /// The first `count` lanes, the others zero.
    ///
    /// # Safety
    /// So many elements can be read at `place`, fewer than a vector has.
    unsafe fn part<S: Isa>(simd: S, count: usize, place: *const T) -> S::f32s;

    /// As [`Isa::transpose`].
    ///
    /// # Safety
    /// As for that.
    #[inline(always)]
    unsafe fn transpose<S: Isa>(
        _: S,
        source: *const T,
        source_row: usize,
        [rows, columns]: [usize; 2],
        target: *mut f32,
        target_row: usize,
    ) where
        T: Copy,
    {
        for column in 0..columns {
            for row in 0..S::F32_LANES {
                // SAFETY: as the caller promises.
                unsafe {
                    *target.add(column * target_row + row) = if row < rows {
                        Self::number(*source.add(row * source_row + column))
                    } else {
                        0.0
                    };
                }
            }
        }
    }
}

/// Numbers as they are.
pub struct AsIs;

/// Numbers of which only what bf16 has is taken.
pub struct Rounded;

/// Numbers stored as bf16.
pub struct Widened;

impl Load<f32> for AsIs {
    #[inline(always)]
    fn number(element: f32) -> f32 {
        element
    }

    #[inline(always)]
    unsafe fn vector<S: Isa>(simd: S, place: *const f32) -> S::f32s {
        // SAFETY: the caller's.
        unsafe { load(simd, place) }
    }

    #[inline(always)]
    unsafe fn part<S: Isa>(simd: S, count: usize, place: *const f32) -> S::f32s {
        // SAFETY: the mask leaves out what the caller does not vouch for.
        unsafe { simd.mask_load_ptr_f32s(first_lanes(simd, count), place) }
    }

    #[inline(always)]
    unsafe fn transpose<S: Isa>(
        simd: S,
        source: *const f32,
        source_row: usize,
        shape: [usize; 2],
        target: *mut f32,
        target_row: usize,
    ) {
        // SAFETY: the caller's.
        unsafe { simd.transpose(source, source_row, shape, target, target_row) }
    }
}

impl Load<f32> for Rounded {
    #[inline(always)]
    fn number(element: f32) -> f32 {
        widened(narrowed(element))
    }

    #[inline(always)]
    unsafe fn vector<S: Isa>(simd: S, place: *const f32) -> S::f32s {
        // SAFETY: the caller's.
        unsafe { rounded(simd, load(simd, place)) }
    }

    #[inline(always)]
    unsafe fn part<S: Isa>(simd: S, count: usize, place: *const f32) -> S::f32s {
        // SAFETY: the caller's.
        unsafe { rounded(simd, AsIs::part(simd, count, place)) }
    }
}

impl Load<bf16> for Widened {
    #[inline(always)]
    fn number(element: bf16) -> f32 {
        widened(element)
    }

    #[inline(always)]
    unsafe fn vector<S: Isa>(simd: S, place: *const bf16) -> S::f32s {
        let mut vector = simd.splat_f32s(0.0);
        let lanes = (&raw mut vector).cast::<f32>();
        for lane in 0..S::F32_LANES {
            // SAFETY: one lane of the vector, and one of the elements that the caller vouches for.
            unsafe { *lanes.add(lane) = widened(*place.add(lane)) };
        }
        vector
    }

    #[inline(always)]
    unsafe fn part<S: Isa>(simd: S, count: usize, place: *const bf16) -> S::f32s {
        let mut vector = simd.splat_f32s(0.0);
        let lanes = (&raw mut vector).cast::<f32>();
        for lane in 0..count {
            // SAFETY: as above.
            unsafe { *lanes.add(lane) = widened(*place.add(lane)) };
        }
        vector
    }
}

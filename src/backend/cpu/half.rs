//! To bf16 and back: written so that loops over either become vector instructions.

use half::bf16;
use pulp::{Simd, WithSimd};

/// Exact.
#[inline(always)]
pub fn widened(x: bf16) -> f32 {
    f32::from_bits(u32::from(x.to_bits()) << 16)
}

/// The nearest, ties to even; NaN of NaN.
#[inline(always)]
pub fn narrowed(x: f32) -> bf16 {
    let bits = x.to_bits();
    let odd = bits >> 16 & 1;
    // Half of the last place that stays, less one where that place is even; what carries over is the next number, or infinity.
    let rounded = bits.wrapping_add(0x7fff + odd) >> 16;
    let quiet = bits >> 16 | 0x40;
    bf16::from_bits(if x.is_nan() { quiet } else { rounded } as u16)
}

/// [`narrowed`], as an f32.
#[inline(always)]
pub fn rounded<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let bits = simd.transmute_u32s_f32s(x);
    let upper = simd.wrapping_dyn_shr_u32s(bits, simd.splat_u32s(16));
    let odd = simd.and_u32s(upper, simd.splat_u32s(1));
    let carried = simd.add_u32s(simd.add_u32s(bits, simd.splat_u32s(0x7fff)), odd);
    let rounded = simd.and_u32s(carried, simd.splat_u32s(0xffff_0000));
    simd.select_f32s(
        simd.equal_f32s(x, x),
        simd.transmute_f32s_u32s(rounded),
        simd.splat_f32s(f32::NAN),
    )
}

/// [`narrowed`] of `n` contiguous numbers. Where the processor has an instruction for it, numbers below the normal ones become zero.
///
/// # Safety
/// So many elements can be read and written; the two runs do not overlap.
pub unsafe fn narrow(from: *const f32, to: *mut bf16, n: usize) {
    #[cfg(target_arch = "x86_64")]
    if instructions::available() {
        // SAFETY: the caller's; the processor has the instructions.
        return unsafe { instructions::narrow(from, to, n) };
    }
    pulp::Arch::new().dispatch(Convert {
        from,
        to,
        n,
        element: narrowed,
    });
}

/// As [`narrow`], as f32; the runs may be the same.
///
/// # Safety
/// As for that.
pub unsafe fn round(from: *const f32, to: *mut f32, n: usize) {
    #[cfg(target_arch = "x86_64")]
    if instructions::available() {
        // SAFETY: the caller's; the processor has the instructions.
        return unsafe { instructions::round(from, to, n) };
    }
    let element = |x| widened(narrowed(x));
    pulp::Arch::new().dispatch(Convert {
        from,
        to,
        n,
        element,
    });
}

#[cfg(target_arch = "x86_64")]
mod instructions {
    use half::bf16;
    use std::arch::x86_64::*;
    use std::mem::transmute;
    use std::sync::LazyLock;

    const LANES: usize = 16;

    /// Whether the processor has all that is enabled below.
    pub fn available() -> bool {
        static AVAILABLE: LazyLock<bool> = LazyLock::new(|| {
            is_x86_feature_detected!("avx512bf16")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
        });
        *AVAILABLE
    }

    /// The first lanes of a vector, as many as are left of `n` from `i` on.
    fn lanes(n: usize, i: usize) -> __mmask16 {
        ((1u32 << LANES.min(n - i)) - 1) as __mmask16
    }

    /// # Safety
    /// As [`super::narrow`], and the processor has the instructions.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    pub unsafe fn narrow(from: *const f32, to: *mut bf16, n: usize) {
        // Masked stores are slow: whole vectors have none.
        let whole = n - n % (2 * LANES);
        // SAFETY: two vectors within `n` elements, then what the mask leaves of one; the transmuted are as long.
        unsafe {
            for i in (0..whole).step_by(2 * LANES) {
                let (lower, upper) = (from.add(i), from.add(i + LANES));
                let halves = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(upper), _mm512_loadu_ps(lower));
                _mm512_storeu_si512(to.add(i).cast(), transmute::<__m512bh, __m512i>(halves));
            }
            for i in (whole..n).step_by(LANES) {
                let halves = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(lanes(n, i), from.add(i)));
                let halves = transmute::<__m256bh, __m256i>(halves);
                _mm256_mask_storeu_epi16(to.add(i).cast(), lanes(n, i), halves);
            }
        }
    }

    /// # Safety
    /// As [`super::round`], and the processor has the instructions.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    pub unsafe fn round(from: *const f32, to: *mut f32, n: usize) {
        let whole = n - n % LANES;
        // SAFETY: as above.
        unsafe {
            for i in (0..whole).step_by(LANES) {
                _mm512_storeu_ps(to.add(i), rounded(_mm512_loadu_ps(from.add(i))));
            }
            if whole < n {
                let rest = _mm512_maskz_loadu_ps(lanes(n, whole), from.add(whole));
                _mm512_mask_storeu_ps(to.add(whole), lanes(n, whole), rounded(rest));
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    fn rounded(x: __m512) -> __m512 {
        // SAFETY: both are 256 bits.
        let halves = unsafe { transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x)) };
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
    }
}

/// Turns `n` contiguous elements into others, in vectors.
pub struct Convert<A, B, F> {
    pub from: *const A,
    pub to: *mut B,
    pub n: usize,
    pub element: F,
}

impl<A: Copy, B, F: Fn(A) -> B> WithSimd for Convert<A, B, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for i in 0..self.n {
            // SAFETY: whoever makes one vouches for `n` elements on both sides, which do not overlap.
            unsafe { *self.to.add(i) = (self.element)(*self.from.add(i)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;

    /// Every number of sixteen bits, and numbers of 32 bits near all of their ties.
    #[test]
    fn conversions_are_those_of_the_standard() {
        let arch = pulp::Arch::new();
        let key = Key::new(5);
        for upper in 0..=u16::MAX {
            let exact = bf16::from_bits(upper);
            // What a signalling NaN becomes is nobody's concern.
            if exact.is_nan() {
                assert!(widened(exact).is_nan());
            } else {
                assert_eq!(widened(exact).to_bits(), exact.to_f32().to_bits());
            }
            let random = key.at(u64::from(upper)).0 as u32 & 0xffff;
            for lower in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, random] {
                let x = f32::from_bits(u32::from(upper) << 16 | lower);
                let (ours, theirs) = (narrowed(x), bf16::from_f32(x));
                let mut vector = [x; 16];
                arch.dispatch(Rounded(&mut vector));
                if x.is_nan() {
                    assert!(ours.is_nan() && vector[0].is_nan() && narrowed(vector[0]).is_nan());
                } else {
                    assert_eq!(ours.to_bits(), theirs.to_bits(), "{x:e}");
                    assert_eq!(vector.map(f32::to_bits), [theirs.to_f32().to_bits(); 16]);
                    let (mut halves, mut rounded) = ([bf16::ZERO; 51], [0.0; 51]);
                    // SAFETY: all are as long.
                    unsafe {
                        narrow([x; 51].as_ptr(), halves.as_mut_ptr(), 51);
                        round([x; 51].as_ptr(), rounded.as_mut_ptr(), 51);
                    }
                    assert_eq!(rounded, halves.map(bf16::to_f32));
                    assert!(halves == [theirs; 51] || x.is_subnormal() && rounded == [0.0; 51]);
                }
            }
        }
    }

    struct Rounded<'a>(&'a mut [f32; 16]);

    impl WithSimd for Rounded<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (vectors, _) = S::as_mut_simd_f32s(self.0);
            for vector in vectors {
                *vector = rounded(simd, *vector);
            }
        }
    }
}

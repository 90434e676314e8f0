//! Rows of scores: from products to weights, and back to gradients.

use pulp::{MemMask, Simd};

use super::bias::UnitBias;
use crate::backend::cpu::gemm::matrix::{Matrix, first_lanes};
use crate::backend::cpu::gemm::tile::load;
use crate::backend::cpu::math::log2;

/// What the scores of every query of a unit share. Rows of scores lie in whole vectors.
#[derive(Clone, Copy)]
pub struct Scores<'a, S: Simd> {
    simd: S,
    keys: usize,
    scale: S::f32s,
    biases: &'a [UnitBias],
}

impl<'a, S: Simd> Scores<'a, S> {
    #[inline(always)]
    pub fn new(simd: S, keys: usize, scale: f32, biases: &'a [UnitBias]) -> Self {
        Scores {
            simd,
            keys,
            scale: simd.splat_f32s(scale),
            biases,
        }
    }

    /// Replaces the products of `ROWS` queries from `query` on by `exp(score − maximum)`; returns the maximum of each query's
    /// scores and the sum of the results. Several at a time, as each step waits for the one before.
    ///
    /// # Safety
    /// `rows` holds whole vectors for the keys of each query, each bias a row.
    #[inline(always)]
    pub unsafe fn exponentials<const ROWS: usize>(
        self,
        query: usize,
        rows: Matrix,
    ) -> [(f32, f32); ROWS] {
        let simd = self.simd;
        let mut maxima = [simd.splat_f32s(f32::NEG_INFINITY); ROWS];
        self.each(
            #[inline(always)]
            |place, mask| {
                for (row, maximum) in maxima.iter_mut().enumerate() {
                    let row_start = rows.skip_rows(row).first;
                    // SAFETY: as the caller promises, here and below.
                    unsafe {
                        let score = self.score(query + row, row_start, place, mask);
                        (row_start.add(place) as *mut S::f32s).write_unaligned(score);
                        *maximum = simd.max_f32s(*maximum, score);
                    }
                }
            },
        );
        // Loops, not `map`: what is not inlined here is not compiled for the instruction set.
        let mut results = [(0.0, 0.0); ROWS];
        for (result, maximum) in results.iter_mut().zip(maxima) {
            result.0 = simd.reduce_max_f32s(maximum);
        }
        let mut sums = [simd.splat_f32s(0.0); ROWS];
        self.each(
            #[inline(always)]
            |place, _| {
                for (row, (sum, (maximum, _))) in sums.iter_mut().zip(results).enumerate() {
                    let place = rows.skip_rows(row).first.wrapping_add(place);
                    // SAFETY: as above.
                    unsafe {
                        let score = load(simd, place);
                        let weight = exp(simd, simd.sub_f32s(score, simd.splat_f32s(maximum)));
                        (place as *mut S::f32s).write_unaligned(weight);
                        *sum = simd.add_f32s(*sum, weight);
                    }
                }
            },
        );
        for (result, sum) in results.iter_mut().zip(sums) {
            result.1 = simd.reduce_sum_f32s(sum);
        }
        results
    }

    /// Multiplies a row by factors of its own.
    ///
    /// # Safety
    /// Both hold whole vectors for the keys.
    #[inline(always)]
    pub unsafe fn multiply(self, row: *mut f32, factors: *const f32) {
        let simd = self.simd;
        self.each(
            #[inline(always)]
            |place, _| {
                // SAFETY: as the caller promises.
                unsafe {
                    let product =
                        simd.mul_f32s(load(simd, row.add(place)), load(simd, factors.add(place)));
                    (row.add(place) as *mut S::f32s).write_unaligned(product);
                }
            },
        );
    }

    /// Replaces products by weights `p = exp(score − log_sum)` (times the factors of dropout), and gradients `d` of those
    /// weights by gradients of the scores, `p·(d − mean)`. Adds these to the total.
    ///
    /// # Safety
    /// The rows hold whole vectors for the keys, each bias a row for the query.
    #[inline(always)]
    pub unsafe fn gradients(self, query: usize, rows: &GradientRows) {
        let simd = self.simd;
        let log_sum = simd.splat_f32s(rows.log_sum);
        let mean = simd.splat_f32s(rows.mean);
        // SAFETY: as the caller promises.
        self.each(
            #[inline(always)]
            |place, mask| unsafe {
                let score = self.score(query, rows.scores, place, mask);
                let weight = exp(simd, simd.sub_f32s(score, log_sum));
                let mut kept = weight;
                let mut gradient = load(simd, rows.gradient.add(place));
                if let Some(factors) = rows.factors {
                    let factor = load(simd, factors.add(place));
                    kept = simd.mul_f32s(weight, factor);
                    gradient = simd.mul_f32s(gradient, factor);
                }
                let gradient = simd.mul_f32s(weight, simd.sub_f32s(gradient, mean));
                (rows.scores.add(place) as *mut S::f32s).write_unaligned(kept);
                (rows.gradient.add(place) as *mut S::f32s).write_unaligned(gradient);
                if let Some((total, fresh)) = rows.total {
                    let sum = if fresh {
                        gradient
                    } else {
                        simd.add_f32s(load(simd, total.add(place)), gradient)
                    };
                    (total.add(place) as *mut S::f32s).write_unaligned(sum);
                }
            },
        );
    }

    /// `scale·product + Σ biases`; minus infinity behind the keys.
    #[inline(always)]
    unsafe fn score(
        self,
        query: usize,
        row: *const f32,
        place: usize,
        mask: Option<MemMask<S::m32s>>,
    ) -> S::f32s {
        let simd = self.simd;
        // SAFETY: as the caller promises; the mask reads no bias behind the keys.
        unsafe {
            let mut score = simd.mul_f32s(load(simd, row.add(place)), self.scale);
            for bias in self.biases {
                let bias = bias.row(query).add(place);
                let bias = match mask {
                    None => load(simd, bias),
                    Some(mask) => simd.mask_load_ptr_f32s(mask, bias),
                };
                score = simd.add_f32s(score, bias);
            }
            match mask {
                None => score,
                Some(mask) => {
                    simd.select_f32s(mask.mask(), score, simd.splat_f32s(f32::NEG_INFINITY))
                }
            }
        }
    }

    /// Every vector of a row: its place, and which lanes count where not all do.
    #[inline(always)]
    fn each(self, mut work: impl FnMut(usize, Option<MemMask<S::m32s>>)) {
        let whole = self.keys / S::F32_LANES * S::F32_LANES;
        for place in (0..whole).step_by(S::F32_LANES) {
            work(place, None);
        }
        if whole < self.keys {
            work(whole, Some(first_lanes(self.simd, self.keys - whole)));
        }
    }
}

/// What [`RowShape::gradients`] works on, for one query.
pub struct GradientRows {
    pub scores: *mut f32,
    pub gradient: *mut f32,
    pub factors: Option<*const f32>,
    /// Sums of the gradients of scores, and whether these are the first.
    pub total: Option<(*mut f32, bool)>,
    pub log_sum: f32,
    /// Mean of the gradients under the weights.
    pub mean: f32,
}

/// Replaces the maxima of `rows` queries by the logarithms of their sums of exponentials.
///
/// # Safety
/// Both hold whole vectors for the rows.
#[inline(always)]
pub unsafe fn log_sums<S: Simd>(simd: S, maxima: *mut f32, sums: *const f32, rows: usize) {
    for row in (0..rows).step_by(S::F32_LANES) {
        // SAFETY: as the caller promises.
        unsafe {
            let log2 = log2(simd, load(simd, sums.add(row)));
            let ln2 = simd.splat_f32s(std::f32::consts::LN_2);
            let log_sum = simd.mul_add_e_f32s(log2, ln2, load(simd, maxima.add(row)));
            (maxima.add(row) as *mut S::f32s).write_unaligned(log_sum);
        }
    }
}

/// Dot product of two rows of whole vectors, zero behind their numbers.
///
/// # Safety
/// Both hold `columns` numbers in whole vectors.
#[inline(always)]
pub unsafe fn dot<S: Simd>(simd: S, a: *const f32, b: *const f32, columns: usize) -> f32 {
    let mut sum = simd.splat_f32s(0.0);
    for place in (0..columns).step_by(S::F32_LANES) {
        // SAFETY: as the caller promises.
        sum =
            unsafe { simd.mul_add_e_f32s(load(simd, a.add(place)), load(simd, b.add(place)), sum) };
    }
    simd.reduce_sum_f32s(sum)
}

/// Exponential of numbers up to about 88, within 2 units in the last place; zero below the normal numbers.
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // x = n·ln 2 + r with |r| ≤ ln 2 / 2. Adding 1.5·2²³ rounds to a whole number and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with few bits, so that n times it is exact.
    const LN2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    // exp(r) = 1 + r + r²·p(r): the polynomial of Cephes' expf (Moshier).
    const P: [f32; 6] = [
        1.987_569_1e-4,
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ];
    const SMALLEST: f32 = -87.3;
    let shifted = simd.mul_add_e_f32s(
        x,
        simd.splat_f32s(std::f32::consts::LOG2_E),
        simd.splat_f32s(ROUND),
    );
    let n = simd.sub_f32s(shifted, simd.splat_f32s(ROUND));
    let r = LN2.into_iter().fold(x, |r, part| {
        simd.mul_add_e_f32s(n, simd.splat_f32s(-part), r)
    });
    let p = P[1..].iter().fold(simd.splat_f32s(P[0]), |p, &c| {
        simd.mul_add_e_f32s(p, r, simd.splat_f32s(c))
    });
    let tail = simd.mul_add_e_f32s(simd.mul_f32s(r, r), p, r);
    let mantissa = simd.add_f32s(tail, simd.splat_f32s(1.0));
    let exponent =
        simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    let result =
        simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(mantissa), exponent));
    let small = simd.less_than_f32s(x, simd.splat_f32s(SMALLEST));
    simd.select_f32s(small, simd.splat_f32s(0.0), result)
}

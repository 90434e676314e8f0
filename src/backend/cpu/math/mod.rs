//! Elementary functions over one vector of f32, for every instruction set alike.
//!
//! Coefficients are minimax fits made for these intervals (weighted least squares in 40 digits, reweighted until the error
//! levels out). The bounds below hold with and without fused multiply-add.

use pulp::Simd;

#[cfg(test)]
pub mod tests;

/// 1.5·2²³: adding it to a float of magnitude below 2²² rounds that float to a whole number held in the low bits of the sum.
const ROUND: f32 = 12_582_912.0;

/// 2ˣ within 1.25 ulp; 0 below -126 (results that would be subnormal), infinity from 128, NaN of NaN.
#[inline(always)]
pub fn exp2<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const UNDERFLOW: f32 = -126.0;
    const OVERFLOW: f32 = 128.0;
    let flushed = simd.select_f32s(
        simd.less_than_f32s(x, simd.splat_f32s(UNDERFLOW)),
        simd.splat_f32s(0.0),
        power_of_two(simd, x),
    );
    simd.select_f32s(
        simd.less_than_f32s(x, simd.splat_f32s(OVERFLOW)),
        flushed,
        // Infinity, or NaN of NaN.
        simd.mul_f32s(x, simd.splat_f32s(f32::MAX)),
    )
}

/// 2ˣ for -126 ≤ x < 128.
#[inline(always)]
fn power_of_two<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    /// (2^f - 1) / f on [-1/2, 1/2], relative error of 2^f 2.0e-9.
    const FRACTION: [f32; 6] = [
        std::f32::consts::LN_2,
        0.240_226_48,
        0.055_503_324,
        0.009_618_437,
        0.001_339_887_4,
        0.000_153_533_69,
    ];
    let shifted = simd.add_f32s(x, simd.splat_f32s(ROUND));
    let fraction = simd.sub_f32s(x, simd.sub_f32s(shifted, simd.splat_f32s(ROUND)));
    let power = simd.mul_add_e_f32s(
        fraction,
        horner(simd, fraction, &FRACTION),
        simd.splat_f32s(1.0),
    );
    // Adding to the exponent field stays in range: `power` is at least 1 at the lower end and below 1 at the upper one.
    let exponent = simd.wrapping_dyn_shl_u32s(
        simd.transmute_u32s_f32s(shifted),
        simd.splat_u32s(f32::MANTISSA_DIGITS - 1),
    );
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(power), exponent))
}

/// log₂ x within 2 ulp; -infinity of 0, NaN below 0, exact at powers of two.
#[inline(always)]
pub fn log2<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    /// (ln(1 + f) - f + f²/2) / f³ for 1 + f in [√½, √2), relative error of the logarithm 7.5e-10.
    const CUBIC: [f32; 9] = [
        0.333_333_13,
        -0.250_000_1,
        0.200_021_16,
        -0.166_679_89,
        0.142_195_8,
        -0.124_057_32,
        0.118_881_07,
        -0.116_747_71,
        0.067_456_75,
    ];
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LOG2_E_REST: f32 = (std::f64::consts::LOG2_E - LOG2_E as f64) as f32;
    const SQRT_HALF: u32 = 0x3f35_04f3;
    const MANTISSA: u32 = (1 << 23) - 1;
    /// Keeps the exponent positive, since only unsigned shifts are at hand.
    const BIAS: u32 = 160;
    const SUBNORMAL_SCALE: f32 = (1 << 23) as f32;

    let subnormal = simd.less_than_f32s(x, simd.splat_f32s(f32::MIN_POSITIVE));
    let normal = simd.select_f32s(
        subnormal,
        simd.mul_f32s(x, simd.splat_f32s(SUBNORMAL_SCALE)),
        x,
    );
    let offset = simd.sub_u32s(
        simd.transmute_u32s_f32s(normal),
        simd.splat_u32s(SQRT_HALF.wrapping_sub(BIAS << 23)),
    );
    let exponent = whole(
        simd,
        simd.wrapping_dyn_shr_u32s(offset, simd.splat_u32s(23)),
    );
    let exponent = simd.sub_f32s(
        exponent,
        simd.select_f32s(
            subnormal,
            simd.splat_f32s((BIAS + 23) as f32),
            simd.splat_f32s(BIAS as f32),
        ),
    );
    let mantissa = simd.transmute_f32s_u32s(simd.add_u32s(
        simd.and_u32s(offset, simd.splat_u32s(MANTISSA)),
        simd.splat_u32s(SQRT_HALF),
    ));
    let f = simd.sub_f32s(mantissa, simd.splat_f32s(1.0));
    let cubic = simd.mul_f32s(f, horner(simd, f, &CUBIC));
    let square = simd.mul_f32s(f, f);
    let bend = simd.mul_f32s(square, simd.sub_f32s(cubic, simd.splat_f32s(0.5)));
    let rest = simd.mul_add_e_f32s(
        f,
        simd.splat_f32s(LOG2_E_REST),
        simd.mul_f32s(bend, simd.splat_f32s(LOG2_E)),
    );
    let logarithm = simd.mul_add_e_f32s(f, simd.splat_f32s(LOG2_E), rest);
    let finite = simd.add_f32s(exponent, logarithm);

    let zero = simd.splat_f32s(0.0);
    let positive = simd.select_f32s(
        simd.less_than_f32s(x, simd.splat_f32s(f32::INFINITY)),
        finite,
        // Infinity of infinity, NaN of NaN.
        x,
    );
    let defined = simd.select_f32s(
        simd.less_than_f32s(x, zero),
        simd.splat_f32s(f32::NAN),
        positive,
    );
    simd.select_f32s(
        simd.equal_f32s(x, zero),
        simd.splat_f32s(f32::NEG_INFINITY),
        defined,
    )
}

/// sin x within 2 ulp for |x| ≤ π and 1.2e-7 absolute everywhere; NaN of infinities.
#[inline(always)]
pub fn sin<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    /// Up to here the multiples of the leading parts of π/2 are exact.
    const EXACT: f32 = 8192.0;
    /// π/2 in parts of 8, 11 and 24 bits.
    const HALF_PI: [f32; 3] = [1.570_312_5, 4.837_513e-4, 7.549_79e-8];
    /// (sin(r)/r - 1) / r² in r², relative error of the sine 3.8e-9 for |r| ≤ π/4.
    const SINE: [f32; 3] = [-0.166_666_55, 0.008_332_16, -0.000_195_152_8];
    /// (cos(r) - 1 + r²/2) / r⁴ in r², relative error of the cosine 1.2e-10.
    const COSINE: [f32; 3] = [0.041_666_646, -0.001_388_731_6, 2.443_314_4e-5];

    let shifted = simd.mul_add_e_f32s(
        x,
        simd.splat_f32s(std::f32::consts::FRAC_2_PI),
        simd.splat_f32s(ROUND),
    );
    let quarter = simd.transmute_u32s_f32s(shifted);
    let turns = simd.sub_f32s(shifted, simd.splat_f32s(ROUND));
    let mut r = x;
    for part in HALF_PI {
        r = simd.negate_mul_add_e_f32s(turns, simd.splat_f32s(part), r);
    }
    let square = simd.mul_f32s(r, r);
    let sine = simd.mul_add_e_f32s(simd.mul_f32s(r, square), horner(simd, square, &SINE), r);
    let bend = simd.mul_f32s(square, horner(simd, square, &COSINE));
    let cosine = simd.mul_add_e_f32s(
        square,
        simd.sub_f32s(bend, simd.splat_f32s(0.5)),
        simd.splat_f32s(1.0),
    );
    let one = simd.splat_u32s(1);
    let odd = simd.equal_u32s(simd.and_u32s(quarter, one), one);
    let sign = simd.wrapping_dyn_shl_u32s(
        simd.and_u32s(quarter, simd.splat_u32s(2)),
        simd.splat_u32s(30),
    );
    let reduced = simd.transmute_f32s_u32s(simd.xor_u32s(
        simd.transmute_u32s_f32s(simd.select_f32s(odd, cosine, sine)),
        sign,
    ));
    let within = simd.less_than_or_equal_f32s(simd.abs_f32s(x), simd.splat_f32s(EXACT));
    if simd.first_true_m32s(simd.not_m32s(within)) == S::F32_LANES {
        reduced
    } else {
        lanewise(x, reduced, |x, reduced| {
            if x.abs() <= EXACT {
                reduced
            } else {
                (x as f64).sin() as f32
            }
        })
    }
}

/// Gauss error function within 1.5 ulp; NaN of NaN.
#[inline(always)]
pub fn erf<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    /// Where the series ends and the tail begins.
    const MIDDLE: f32 = 0.92;
    /// From here on, erf rounds to ±1.
    const END: f32 = 4.0;
    /// erf(x)/x - 1 in x² up to the middle, relative error of erf 4e-10.
    const SERIES: [f32; 7] = [
        0.128_379_17,
        -0.376_126_35,
        0.112_836_97,
        -0.026_859_5,
        0.005_201_286_6,
        -0.000_814_560_3,
        8.382_415e-5,
    ];
    /// -log₂(1 - erf(x))/x from the middle to the end, absolute error of erf 7e-10.
    const TAIL: [f32; 7] = [
        1.628_300_9,
        0.916_307_2,
        0.153_305_68,
        -0.034_315_35,
        0.005_271_448_3,
        -0.000_469_866_73,
        1.662_858_6e-5,
    ];
    let one = simd.splat_f32s(1.0);
    let size = simd.abs_f32s(x);
    let small = simd.mul_add_e_f32s(x, horner(simd, simd.mul_f32s(x, x), &SERIES), x);
    let within = simd.min_f32s(size, simd.splat_f32s(END));
    let bits = simd.mul_f32s(within, horner(simd, within, &TAIL));
    let large = simd.sub_f32s(one, power_of_two(simd, simd.neg_f32s(bits)));
    let sign = simd.and_f32s(x, simd.splat_f32s(-0.0));
    simd.select_f32s(
        simd.less_than_f32s(simd.splat_f32s(MIDDLE), size),
        simd.or_f32s(large, sign),
        small,
    )
}

/// Remainder with the sign of the dividend.
#[inline(always)]
pub fn remainder<S: Simd>(a: S::f32s, b: S::f32s) -> S::f32s {
    lanewise(a, b, |a, b| a % b)
}

/// The larger of two values, or `b` where `a` is NaN: like [`f32::max`] on every instruction set, unlike their instructions.
#[inline(always)]
pub fn max<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
    simd.select_f32s(simd.less_than_f32s(b, a), a, b)
}

/// 1 where `a` is less than `b`, else 0.
#[inline(always)]
pub fn less<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
    let (one, zero) = (simd.splat_f32s(1.0), simd.splat_f32s(0.0));
    simd.select_f32s(simd.less_than_f32s(a, b), one, zero)
}

/// `c[0] + x·(c[1] + x·(c[2] + …))`
#[inline(always)]
fn horner<S: Simd, const N: usize>(simd: S, x: S::f32s, c: &[f32; N]) -> S::f32s {
    let mut sum = simd.splat_f32s(c[N - 1]);
    for k in (0..N - 1).rev() {
        sum = simd.mul_add_e_f32s(sum, x, simd.splat_f32s(c[k]));
    }
    sum
}

/// Whole numbers below 2²³ as floats.
#[inline(always)]
fn whole<S: Simd>(simd: S, n: S::u32s) -> S::f32s {
    const BASE: f32 = (1 << 23) as f32;
    let placed = simd.or_u32s(n, simd.splat_u32s(BASE.to_bits()));
    simd.sub_f32s(simd.transmute_f32s_u32s(placed), simd.splat_f32s(BASE))
}

/// A function of two numbers, lane by lane: for what is too rare or too awkward to deserve vectors.
#[inline(always)]
fn lanewise<V: bytemuck::Pod>(mut a: V, b: V, f: impl Fn(f32, f32) -> f32) -> V {
    let b: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&b));
    let lanes: &mut [f32] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut a));
    for (a, &b) in lanes.iter_mut().zip(b) {
        *a = f(*a, b);
    }
    a
}

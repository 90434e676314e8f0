use pulp::{Scalar, Simd, WithSimd};

#[derive(Clone, Copy)]
enum Function {
    Exp2,
    Log2,
    Sin,
    Erf,
}

/// A function of one number, over a slice whose length every vector width divides.
struct Map<'a>(Function, &'a [f32]);

impl WithSimd for Map<'_> {
    type Output = Vec<f32>;

    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let mut out = self.1.to_vec();
        let vectors: &mut [S::f32s] = bytemuck::cast_slice_mut(&mut out);
        for v in vectors {
            *v = match self.0 {
                Function::Exp2 => super::exp2(simd, *v),
                Function::Log2 => super::log2(simd, *v),
                Function::Sin => super::sin(simd, *v),
                Function::Erf => super::erf(simd, *v),
            };
        }
        out
    }
}

/// What an operation gives with each instruction set this processor has.
pub fn everywhere<T, W: WithSimd<Output = T>>(op: impl Fn() -> W) -> Vec<T> {
    let mut results = vec![Simd::vectorize(Scalar::new(), op())];
    #[cfg(target_arch = "x86_64")]
    {
        results.extend(pulp::x86::V3::try_new().map(|s| Simd::vectorize(s, op())));
        results.extend(pulp::x86::V4::try_new().map(|s| Simd::vectorize(s, op())));
    }
    results
}

/// Results for each argument, one list per instruction set.
fn evaluate(function: Function, x: &[f32]) -> Vec<Vec<f32>> {
    let mut padded = x.to_vec();
    padded.resize(x.len().next_multiple_of(16), 1.0);
    let mut results = everywhere(|| Map(function, &padded));
    for result in &mut results {
        result.truncate(x.len());
    }
    results
}

/// `n` points evenly from `a` to `b`.
fn dense(a: f32, b: f32, n: usize) -> Vec<f32> {
    (0..=n)
        .map(|i| (a as f64 + (b as f64 - a as f64) * i as f64 / n as f64) as f32)
        .collect()
}

/// Every `step`-th positive float from `a` to `b`: dense near zero.
fn floats(a: f32, b: f32, step: usize) -> Vec<f32> {
    (a.to_bits()..=b.to_bits())
        .step_by(step)
        .map(f32::from_bits)
        .collect()
}

/// Distance in units of the last place of the exact value.
fn ulps(value: f32, exact: f64) -> f64 {
    let rounded = (exact as f32).abs().max(f32::MIN_POSITIVE);
    let unit = f32::from_bits(rounded.to_bits() + 1) as f64 - rounded as f64;
    (value as f64 - exact).abs() / unit
}

fn assert_close(
    function: Function,
    x: &[f32],
    exact: impl Fn(f64) -> f64,
    error: impl Fn(f32, f64) -> f64,
    bound: f64,
) {
    for result in evaluate(function, x) {
        for (&x, &value) in x.iter().zip(&result) {
            let exact = exact(x as f64);
            let error = error(value, exact);
            assert!(
                error <= bound,
                "f({x:e}) is {value:e}, exactly {exact:e}: {error:.3e} > {bound}"
            );
        }
    }
}

fn assert_values(function: Function, cases: &[(f32, f32)]) {
    let x: Vec<f32> = cases.iter().map(|c| c.0).collect();
    for result in evaluate(function, &x) {
        for (&(x, expected), value) in cases.iter().zip(result) {
            assert!(
                value == expected || value.is_nan() && expected.is_nan(),
                "f({x:e}) is {value:e}, not {expected:e}"
            );
        }
    }
}

#[test]
fn exp2_is_within_one_and_a_quarter_ulps() {
    let x = dense(-126.0, 127.999, 2_000_000);
    assert_close(Function::Exp2, &x, f64::exp2, ulps, 1.25);
    let x = floats(1e-12, 2.0, 101);
    assert_close(Function::Exp2, &x, f64::exp2, ulps, 1.25);
}

#[test]
fn exp2_at_the_edges() {
    let below_128 = f32::from_bits(128f32.to_bits() - 1);
    for result in evaluate(Function::Exp2, &[below_128]) {
        assert!(ulps(result[0], (below_128 as f64).exp2()) <= 1.25);
    }
    assert_values(
        Function::Exp2,
        &[
            (0.0, 1.0),
            (10.0, 1024.0),
            (-126.0, f32::MIN_POSITIVE),
            (-126.001, 0.0),
            (-1e30, 0.0),
            (f32::NEG_INFINITY, 0.0),
            (128.0, f32::INFINITY),
            (1e30, f32::INFINITY),
            (f32::INFINITY, f32::INFINITY),
            (f32::NAN, f32::NAN),
        ],
    );
}

#[test]
fn log2_is_within_two_ulps() {
    let x = floats(1e-44, f32::MAX, 1009);
    assert_close(Function::Log2, &x, f64::log2, ulps, 2.0);
    let x = floats(0.5, 2.0, 11);
    assert_close(Function::Log2, &x, f64::log2, ulps, 2.0);
}

#[test]
fn log2_at_the_edges() {
    assert_values(
        Function::Log2,
        &[
            (1.0, 0.0),
            (8.0, 3.0),
            (f32::MIN_POSITIVE, -126.0),
            (f32::from_bits(1), -149.0),
            (0.0, f32::NEG_INFINITY),
            (-0.0, f32::NEG_INFINITY),
            (-1.0, f32::NAN),
            (f32::NEG_INFINITY, f32::NAN),
            (f32::INFINITY, f32::INFINITY),
            (f32::NAN, f32::NAN),
        ],
    );
}

#[test]
fn sin_is_within_two_ulps_of_one_turn() {
    use std::f32::consts::PI;
    let mut x = floats(1e-20, 3.1, 997);
    x.extend(dense(-3.1, PI * 0.99, 1_000_000));
    assert_close(Function::Sin, &x, f64::sin, ulps, 2.0);
}

#[test]
fn sin_is_accurate_everywhere() {
    let absolute = |value: f32, exact: f64| (value as f64 - exact).abs();
    for reach in [10.0, 8192.0, 1e6, 1e30] {
        let x = dense(-reach, reach, 300_001);
        assert_close(Function::Sin, &x, f64::sin, absolute, 1.2e-7);
    }
    assert_values(
        Function::Sin,
        &[
            (0.0, 0.0),
            (f32::INFINITY, f32::NAN),
            (f32::NEG_INFINITY, f32::NAN),
            (f32::NAN, f32::NAN),
        ],
    );
}

#[test]
fn erf_is_within_one_and_a_half_ulps() {
    let mut x = dense(-6.0, 6.0, 1_000_000);
    x.extend(floats(1e-30, 6.0, 997));
    assert_close(Function::Erf, &x, libm::erf, ulps, 1.5);
    assert_values(
        Function::Erf,
        &[
            (0.0, 0.0),
            (4.0, 1.0),
            (-4.0, -1.0),
            (1e30, 1.0),
            (f32::INFINITY, 1.0),
            (f32::NEG_INFINITY, -1.0),
            (f32::NAN, f32::NAN),
        ],
    );
}

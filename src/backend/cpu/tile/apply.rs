//! One operation over a tile, in vectors of the best instruction set.

use pulp::{Arch, Simd, WithSimd};

use super::code::Op;
use crate::backend::cpu::half::round;
use crate::backend::cpu::math;

#[cfg(test)]
mod tests;

/// Element `(i, j)` of an argument lies at `at + i·row + j·lane`.
#[derive(Debug, Clone, Copy)]
pub struct Arg {
    pub at: *const f32,
    pub row: usize,
    /// 1, or 0 for one value per row; not all arguments have one value per row of more than one element.
    pub lane: usize,
}

/// Applies `op` to every element, or every row, of a tile.
///
/// The result may be stored where an argument lies, if both walk the tile alike.
#[derive(Debug, Clone, Copy)]
pub struct Apply {
    pub op: Op,
    pub rows: usize,
    pub width: usize,
    /// As many as `op` takes; the rest repeat the first.
    pub args: [Arg; 3],
    pub out: *mut f32,
    /// Elements from one row of results to the next.
    pub out_row: usize,
}

impl Apply {
    /// # Safety
    /// The arguments must be readable and the result writable over the whole tile.
    pub unsafe fn run(self, arch: Arch) {
        arch.dispatch(Vectors(self));
    }
}

/// An operation whose caller vouches for its addresses.
struct Vectors(Apply);

impl WithSimd for Vectors {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Vectors(apply) = self;
        // Functions of vectors must be inlined to be compiled for the instruction set.
        macro_rules! map {
            (|$args:pat_param| $value:expr) => {
                apply.map(
                    s,
                    #[inline(always)]
                    |$args| $value,
                )
            };
        }
        match apply.op {
            Op::Add => map!(|[a, b]| s.add_f32s(a, b)),
            Op::Sub => map!(|[a, b]| s.sub_f32s(a, b)),
            Op::Mul => map!(|[a, b]| s.mul_f32s(a, b)),
            Op::MulAdd => map!(|[a, b, c]| s.mul_add_e_f32s(a, b, c)),
            Op::MulSub => map!(|[a, b, c]| s.mul_add_e_f32s(a, b, s.neg_f32s(c))),
            Op::NegMulAdd => map!(|[a, b, c]| s.negate_mul_add_e_f32s(a, b, c)),
            Op::Neg => map!(|[a]| s.neg_f32s(a)),
            Op::Mod => map!(|[a, b]| math::remainder::<S>(a, b)),
            Op::Less => map!(|[a, b]| math::less(s, a, b)),
            Op::Recip => map!(|[a]| s.div_f32s(s.splat_f32s(1.0), a)),
            Op::Sqrt => map!(|[a]| s.sqrt_f32s(a)),
            Op::Exp2 => map!(|[a]| math::exp2(s, a)),
            Op::Log2 => map!(|[a]| math::log2(s, a)),
            Op::Sin => map!(|[a]| math::sin(s, a)),
            Op::Abs => map!(|[a]| s.abs_f32s(a)),
            Op::Erf => map!(|[a]| math::erf(s, a)),
            Op::Bf16 => apply.round(),
            Op::RowSum => apply.reduce(
                s,
                0.0,
                #[inline(always)]
                |a, b| s.add_f32s(a, b),
                #[inline(always)]
                |v| s.reduce_sum_f32s(v),
            ),
            // No NaN survives `max`, so whatever the instructions make of one does not matter.
            Op::RowMax => apply.reduce(
                s,
                f32::NEG_INFINITY,
                #[inline(always)]
                |a, b| math::max(s, b, a),
                #[inline(always)]
                |v| s.reduce_max_f32s(v),
            ),
        }
    }
}

impl Apply {
    /// To what bf16 has, row by row.
    fn round(&self) {
        let (rows, width) = self.flattened::<1>();
        for i in 0..rows {
            let from = self.args[0].at.wrapping_add(i * self.args[0].row);
            let to = self.out.wrapping_add(i * self.out_row);
            // SAFETY: a row of the argument, which varies along it, and of the result, each of `width` elements.
            unsafe { round(from, to, width) };
        }
    }

    #[inline(always)]
    fn map<S: Simd, const N: usize>(&self, simd: S, f: impl Fn([S::f32s; N]) -> S::f32s) {
        let (rows, width) = self.flattened::<N>();
        // In a row of one element, all arguments are read alike.
        let varies = |k: usize| self.args[k].lane != 0 || width == 1;
        let pattern: usize = (0..N).map(|k| (varies(k) as usize) << k).sum();
        debug_assert!(pattern > 0, "what is computed varies with some argument");
        // SAFETY: every row of the arguments and of the result holds `width` elements.
        unsafe {
            match pattern {
                0b001 if N > 1 => self.map_rows::<S, N, 0b001>(simd, rows, width, f),
                0b010 if N > 1 => self.map_rows::<S, N, 0b010>(simd, rows, width, f),
                0b011 if N > 2 => self.map_rows::<S, N, 0b011>(simd, rows, width, f),
                0b100 if N > 2 => self.map_rows::<S, N, 0b100>(simd, rows, width, f),
                0b101 if N > 2 => self.map_rows::<S, N, 0b101>(simd, rows, width, f),
                0b110 if N > 2 => self.map_rows::<S, N, 0b110>(simd, rows, width, f),
                _ => self.map_rows::<S, N, 0b111>(simd, rows, width, f),
            }
        }
    }

    /// One long row where rows follow each other without gaps everywhere.
    #[inline(always)]
    fn flattened<const N: usize>(&self) -> (usize, usize) {
        let even = |a: &Arg| a.row == self.width * a.lane;
        if self.rows > 1 && self.out_row == self.width && self.args[..N].iter().all(even) {
            (1, self.rows * self.width)
        } else {
            (self.rows, self.width)
        }
    }

    /// Argument `k` varies along the row where bit `k` of `VARIES` is set; the others are one value per row.
    ///
    /// # Safety
    /// Every row of the arguments and of the result must hold `width` elements.
    #[inline(always)]
    unsafe fn map_rows<S: Simd, const N: usize, const VARIES: usize>(
        &self,
        simd: S,
        rows: usize,
        width: usize,
        f: impl Fn([S::f32s; N]) -> S::f32s,
    ) {
        let varies = |k: usize| VARIES >> k & 1 == 1;
        let rest = width % S::F32_LANES;
        for i in 0..rows {
            // SAFETY: vectors are read and written inside the row.
            unsafe {
                let out = self.out.add(i * self.out_row);
                let at: [*const f32; N] =
                    std::array::from_fn(|k| self.args[k].at.add(i * self.args[k].row));
                let still: [S::f32s; N] = std::array::from_fn(|k| simd.splat_f32s(*at[k]));
                let part = || -> [S::f32s; N] {
                    std::array::from_fn(|k| match varies(k) {
                        true => load_part(simd, at[k], width, 0.0),
                        false => still[k],
                    })
                };
                let vectors = |j: usize| -> [S::f32s; N] {
                    std::array::from_fn(|k| match varies(k) {
                        true => load::<S>(at[k].add(j)),
                        false => still[k],
                    })
                };
                if width < S::F32_LANES {
                    store_part::<S>(out, f(part()), width);
                    continue;
                }
                // A last vector that overlaps the one before it is computed before anything is stored over its arguments.
                let last = match rest {
                    0 => simd.splat_f32s(0.0),
                    _ => f(vectors(width - S::F32_LANES)),
                };
                for j in (0..width - rest).step_by(S::F32_LANES) {
                    store::<S>(out.add(j), f(vectors(j)));
                }
                if rest > 0 {
                    store::<S>(out.add(width - S::F32_LANES), last);
                }
            }
        }
    }

    /// Folds each row into one number, four vectors side by side: an order that depends on the width alone.
    #[inline(always)]
    fn reduce<S: Simd>(
        &self,
        simd: S,
        start: f32,
        f: impl Fn(S::f32s, S::f32s) -> S::f32s,
        across: impl Fn(S::f32s) -> f32,
    ) {
        for i in 0..self.rows {
            // SAFETY: row `i` of the argument holds `width` elements, the result one.
            unsafe {
                let at = self.args[0].at.add(i * self.args[0].row);
                let mut sums = [simd.splat_f32s(start); 4];
                let mut j = 0;
                while j + 4 * S::F32_LANES <= self.width {
                    for (k, sum) in sums.iter_mut().enumerate() {
                        *sum = f(*sum, load::<S>(at.add(j + k * S::F32_LANES)));
                    }
                    j += 4 * S::F32_LANES;
                }
                for sum in &mut sums[..3] {
                    if j + S::F32_LANES <= self.width {
                        *sum = f(*sum, load::<S>(at.add(j)));
                        j += S::F32_LANES;
                    }
                }
                if j < self.width {
                    let rest = load_part(simd, at.add(j), self.width - j, start);
                    sums[3] = f(sums[3], rest);
                }
                let total = f(f(sums[0], sums[1]), f(sums[2], sums[3]));
                *self.out.add(i * self.out_row) = across(total);
            }
        }
    }
}

/// # Safety
/// A whole vector must be readable.
#[inline(always)]
pub unsafe fn load<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: the caller's.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// # Safety
/// A whole vector must be writable.
#[inline(always)]
pub unsafe fn store<S: Simd>(to: *mut f32, vector: S::f32s) {
    // SAFETY: the caller's.
    unsafe { to.cast::<S::f32s>().write_unaligned(vector) }
}

/// The first `n` lanes from memory, `rest` in the others.
///
/// # Safety
/// `n` elements must be readable, fewer than a vector has.
#[inline(always)]
pub unsafe fn load_part<S: Simd>(simd: S, from: *const f32, n: usize, rest: f32) -> S::f32s {
    let mut vector = simd.splat_f32s(rest);
    // SAFETY: `n` lanes fit the vector; the caller vouches for the source.
    unsafe { std::ptr::copy_nonoverlapping(from, (&raw mut vector).cast(), n) };
    vector
}

/// Stores the first `n` lanes.
///
/// # Safety
/// `n` elements must be writable, fewer than a vector has.
#[inline(always)]
pub unsafe fn store_part<S: Simd>(to: *mut f32, vector: S::f32s, n: usize) {
    // SAFETY: as for `load_part`.
    unsafe { std::ptr::copy_nonoverlapping((&raw const vector).cast(), to, n) };
}

//! One operation over a tile, in vectors of the best instruction set.

use pulp::{Arch, Simd, WithSimd};

use super::code::Op;
use crate::backend::cpu::math;

/// Element `(i, j)` of an argument lies at `at + i·row + j·lane`.
#[derive(Debug, Clone, Copy)]
pub struct Arg {
    pub at: *const f32,
    pub row: usize,
    /// 1, or 0 for one value per row.
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
        match apply.op {
            Op::Add => apply.map(s, |[a, b]| s.add_f32s(a, b)),
            Op::Sub => apply.map(s, |[a, b]| s.sub_f32s(a, b)),
            Op::Mul => apply.map(s, |[a, b]| s.mul_f32s(a, b)),
            Op::MulAdd => apply.map(s, |[a, b, c]| s.mul_add_e_f32s(a, b, c)),
            Op::MulSub => apply.map(s, |[a, b, c]| s.mul_add_e_f32s(a, b, s.neg_f32s(c))),
            Op::NegMulAdd => apply.map(s, |[a, b, c]| s.negate_mul_add_e_f32s(a, b, c)),
            Op::Neg => apply.map(s, |[a]| s.neg_f32s(a)),
            Op::Mod => apply.map(s, |[a, b]| math::remainder::<S>(a, b)),
            Op::Less => {
                let (one, zero) = (s.splat_f32s(1.0), s.splat_f32s(0.0));
                apply.map(s, |[a, b]| s.select_f32s(s.less_than_f32s(a, b), one, zero))
            }
            Op::Recip => apply.map(s, |[a]| s.div_f32s(s.splat_f32s(1.0), a)),
            Op::Sqrt => apply.map(s, |[a]| s.sqrt_f32s(a)),
            Op::Exp2 => apply.map(s, |[a]| math::exp2(s, a)),
            Op::Log2 => apply.map(s, |[a]| math::log2(s, a)),
            Op::Sin => apply.map(s, |[a]| math::sin(s, a)),
            Op::Abs => apply.map(s, |[a]| s.abs_f32s(a)),
            Op::Erf => apply.map(s, |[a]| math::erf(s, a)),
            Op::RowSum => apply.reduce(s, 0.0, |a, b| s.add_f32s(a, b)),
            Op::RowMax => apply.reduce(s, f32::NEG_INFINITY, |a, b| math::max(s, b, a)),
        }
    }
}

impl Apply {
    #[inline(always)]
    fn map<S: Simd, const N: usize>(&self, simd: S, f: impl Fn([S::f32s; N]) -> S::f32s) {
        let (rows, width) = self.flattened::<N>();
        for i in 0..rows {
            // SAFETY: row `i` of every argument and of the result holds `width` elements.
            unsafe { self.map_row(simd, i, width, &f) }
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

    #[inline(always)]
    unsafe fn map_row<S: Simd, const N: usize>(
        &self,
        simd: S,
        i: usize,
        width: usize,
        f: &impl Fn([S::f32s; N]) -> S::f32s,
    ) {
        // SAFETY: vectors are read and written inside the row, or at `still`.
        unsafe {
            let out = self.out.add(i * self.out_row);
            let at: [*const f32; N] = std::array::from_fn(|k| {
                let arg = &self.args[k];
                arg.at.add(i * arg.row)
            });
            // One value per row becomes a vector at which the pointer stands still.
            let still: [S::f32s; N] = std::array::from_fn(|k| simd.splat_f32s(*at[k]));
            let from: [(*const f32, usize); N] = std::array::from_fn(|k| match self.args[k].lane {
                0 => ((&raw const still[k]).cast(), 0),
                _ => (at[k], usize::MAX),
            });
            let vectors = |j: usize| -> [S::f32s; N] {
                std::array::from_fn(|k| load::<S>(from[k].0.add(j & from[k].1)))
            };
            if width < S::F32_LANES {
                let part = std::array::from_fn(|k| match self.args[k].lane {
                    0 => still[k],
                    _ => load_part(simd, at[k], width, 0.0),
                });
                store_part::<S>(out, f(part), width);
                return;
            }
            // The last vector overlaps the one before it, so it is computed before anything is stored over its arguments.
            let end = width - S::F32_LANES;
            let last = f(vectors(end));
            let mut j = 0;
            while j < end {
                store::<S>(out.add(j), f(vectors(j)));
                j += S::F32_LANES;
            }
            store::<S>(out.add(end), last);
        }
    }

    /// Folds each row into one number, four vectors side by side: an order that depends on the width alone.
    #[inline(always)]
    fn reduce<S: Simd>(&self, simd: S, start: f32, f: impl Fn(S::f32s, S::f32s) -> S::f32s) {
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
                *self.out.add(i * self.out_row) = across::<S>(total, &f);
            }
        }
    }
}

/// Folds the lanes of a vector, halving: lane `k` with lane `k + half`.
#[inline(always)]
fn across<S: Simd>(mut vector: S::f32s, f: &impl Fn(S::f32s, S::f32s) -> S::f32s) -> f32 {
    let mut half = S::F32_LANES / 2;
    while half > 0 {
        let mut upper = vector;
        let lanes: &mut [f32] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut upper));
        lanes.copy_within(half..2 * half, 0);
        vector = f(vector, upper);
        half /= 2;
    }
    bytemuck::cast_slice(std::slice::from_ref(&vector))[0]
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

//! Adding up tiles: down their columns in f32, from tile to tile in f64.

use pulp::{Arch, Simd, WithSimd};

use crate::backend::cpu::math;
use crate::backend::cpu::tile::{Arg, load, load_part, store, store_part};
use crate::plan::kernel::Reduction;

impl Reduction {
    /// What a fold of nothing gives.
    pub(super) fn start(self) -> f64 {
        match self {
            Reduction::Sum => 0.0,
            Reduction::Max => f64::NEG_INFINITY,
        }
    }

    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Reduction::Sum => a + b,
            Reduction::Max => a.max(b),
        }
    }
}

/// Adds a tile's results to the sums so far.
pub fn merge(arch: Arch, reduction: Reduction, sums: &mut [f64], tile: &[f32]) {
    arch.dispatch(
        #[inline(always)]
        || {
            for (sum, &value) in sums.iter_mut().zip(tile) {
                *sum = reduction.of(*sum, value as f64);
            }
        },
    );
}

/// Adds the sums of one chunk to those of the chunks before it.
pub fn combine(reduction: Reduction, sums: &mut [f64], chunk: &[f64]) {
    for (sum, &value) in sums.iter_mut().zip(chunk) {
        *sum = reduction.of(*sum, value);
    }
}

/// Reduces every column of a tile.
pub struct Columns {
    pub reduction: Reduction,
    pub arg: Arg,
    pub rows: usize,
    pub width: usize,
    /// `width` results.
    pub out: *mut f32,
}

impl Columns {
    /// # Safety
    /// The argument must be readable over the tile, and `out` writable; they must not overlap.
    pub unsafe fn run(self, arch: Arch) {
        arch.dispatch(Vectors(self));
    }

    #[inline(always)]
    unsafe fn reduce<S: Simd>(&self, s: S, f: impl Fn(S::f32s, S::f32s) -> S::f32s) {
        // SAFETY: `j` stays below the width and rows below their number.
        unsafe {
            let row = |i: usize| self.arg.at.add(i * self.arg.row);
            // Four rows at a time: they stream from memory side by side, and the sum has a quarter of the roundings in line.
            let mut i = 0;
            while i < self.rows {
                let height = if self.rows - i >= 4 { 4 } else { 1 };
                let mut j = 0;
                while j < self.width {
                    let n = (self.width - j).min(S::F32_LANES);
                    let at = |i: usize| self.element::<S>(s, row(i), j, n);
                    let mut sum = match height {
                        4 => f(f(at(i), at(i + 1)), f(at(i + 2), at(i + 3))),
                        _ => at(i),
                    };
                    let out = self.out.add(j);
                    if n == S::F32_LANES {
                        if i > 0 {
                            sum = f(load::<S>(out), sum);
                        }
                        store::<S>(out, sum);
                    } else {
                        if i > 0 {
                            sum = f(load_part(s, out, n, 0.0), sum);
                        }
                        store_part::<S>(out, sum, n);
                    }
                    j += n;
                }
                i += height;
            }
        }
    }

    #[inline(always)]
    unsafe fn element<S: Simd>(&self, s: S, row: *const f32, j: usize, n: usize) -> S::f32s {
        // SAFETY: `n` elements of the row from `j` on are readable.
        unsafe {
            if self.arg.lane == 0 {
                s.splat_f32s(*row)
            } else if n == S::F32_LANES {
                load::<S>(row.add(j))
            } else {
                load_part(s, row.add(j), n, 0.0)
            }
        }
    }
}

/// Columns whose caller vouches for the addresses.
struct Vectors(Columns);

impl WithSimd for Vectors {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Vectors(columns) = self;
        // SAFETY: promised to `Columns::run`.
        unsafe {
            match columns.reduction {
                Reduction::Sum => columns.reduce(
                    s,
                    #[inline(always)]
                    |a, b| s.add_f32s(a, b),
                ),
                Reduction::Max => columns.reduce(
                    s,
                    #[inline(always)]
                    |a, b| math::max(s, b, a),
                ),
            }
        }
    }
}

//! Working memory in parts.

use super::matrix::Matrix;
use crate::backend::cpu::tile::scratch;

/// Numbers in a cache line.
const LINE: usize = 16;

/// A distance of rows of `n` numbers, in whole lines, at which the same column of many rows falls on lines of a cache that are not the
/// same few: an odd number of lines.
pub fn apart(n: usize) -> usize {
    (n.div_ceil(LINE) | 1) * LINE
}

/// Runs `work` on parts of so many numbers each, of any content, that start at cache lines.
pub fn parts<const N: usize, R>(sizes: [usize; N], work: impl FnOnce([*mut f32; N]) -> R) -> R {
    let sizes = sizes.map(|size| size.next_multiple_of(LINE));
    scratch::with(sizes.iter().sum(), |first| {
        let mut place = 0;
        work(sizes.map(|size| {
            place += size;
            first.wrapping_add(place - size)
        }))
    })
}

/// As [`parts`], each a matrix of so many contiguous rows of that length.
pub fn matrices<const N: usize, R>(
    shapes: [(usize, usize); N],
    work: impl FnOnce([Matrix; N]) -> R,
) -> R {
    parts(shapes.map(|(rows, row)| rows * row), |parts| {
        let mut rows = shapes.into_iter().map(|(_, row)| row);
        work(parts.map(|first| Matrix::rows(first, rows.next().unwrap_or(0))))
    })
}

//! Memory a thread keeps between kernels: asking the system anew would cost more than a small kernel takes.

use std::cell::RefCell;

use super::matrix::Matrix;

thread_local! {
    /// One per level of nesting.
    static KEPT: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Numbers in a cache line.
pub const LINE: usize = 16;

/// Runs `work` on parts of so many numbers each, of arbitrary values, that start at cache lines. Calls may nest.
pub fn parts<const N: usize, R>(sizes: [usize; N], work: impl FnOnce([*mut f32; N]) -> R) -> R {
    let sizes = sizes.map(|size| size.next_multiple_of(LINE));
    let needed = sizes.iter().sum::<usize>() + LINE;
    let mut kept = KEPT.with_borrow_mut(Vec::pop).unwrap_or_default();
    if kept.len() < needed {
        kept = vec![0.0; needed];
    }
    let first = kept.as_mut_ptr();
    let mut place = first.align_offset(LINE * size_of::<f32>());
    let result = work(sizes.map(|size| {
        place += size;
        first.wrapping_add(place - size)
    }));
    KEPT.with_borrow_mut(|all| all.push(kept));
    result
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

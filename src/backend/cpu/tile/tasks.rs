//! Work cut into tasks by its size alone, so that the number of threads decides nothing but who does it.

use std::ops::Range;

use rayon::prelude::*;

/// About how many elements make a task worth handing to another thread.
pub const GRAIN: usize = 32 * 1024;

/// Runs `work` over the pieces of `0..count`, `each` items in every piece.
pub fn tasks(count: usize, each: usize, work: impl Fn(Range<usize>) + Sync) {
    let piece = |i: usize| i * each..count.min((i + 1) * each);
    match count.div_ceil(each) {
        0 => {}
        1 => work(0..count),
        pieces => (0..pieces).into_par_iter().for_each(|i| work(piece(i))),
    }
}

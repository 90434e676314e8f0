//! Products of bf16 by the instructions of AVX-512 BF16 or of AMX: packed words of 32 bits hold two neighbouring terms of a sum, the
//! earlier in the lower half. Numbers below the normal ones count as zero.

mod amx;
mod pack;
#[cfg(test)]
mod tests;
mod tile;

use std::arch::x86_64::*;
use std::hint::black_box;
use std::mem::transmute;

use pulp::x86::V4;

use super::cut::MOST_ROWS;
use super::isa::{Pairs, Tiles};

/// Each count of rows with one and two vectors.
macro_rules! tiles {
    ($($rows:literal)*) => {
        &[$(&[tile::tile::<$rows, 1>, tile::tile::<$rows, 2>]),*]
    };
}

const TILES: Tiles<V4> = tiles!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);

/// The fastest that the processor has, `None` where it has none.
pub fn pairs() -> Option<Pairs<V4>> {
    all().last()
}

/// What the processor has, the fastest last.
pub fn all() -> impl Iterator<Item = Pairs<V4>> {
    let packs = is_x86_feature_detected!("avx512bf16");
    let vectors = packs.then_some(VECTORS);
    vectors
        .into_iter()
        .chain((packs && amx::usable()).then_some(SQUARES))
}

/// Tiles in the vector registers.
const VECTORS: Pairs<V4> = Pairs {
    name: "AVX-512 BF16",
    tiles: TILES,
    unit: 1,
    depth: 256,
    whole: 1,
    per_cycle: 1,
    most_rows: MOST_ROWS,
    most_alone: 800,
    turns: false,
    pack_along: pack::along,
    pack_across: pack::across,
    enter: || {},
    leave: || {},
    multiply_adds,
};

/// Tiles in registers of their own, of sixteen rows each. As many rows and columns as its tiles have in a cycle would be 1/16; the
/// second cache delivers half of that.
const SQUARES: Pairs<V4> = Pairs {
    name: "AMX",
    tiles: amx::TILES,
    unit: amx::SIDE,
    // Half as deep: of `a` so much passes through the first cache that twice of `b` would not stay in it.
    depth: 128,
    whole: 2 * amx::SIDE,
    per_cycle: 8,
    // All of these processors have a second cache of 2 MiB.
    most_rows: 1024,
    most_alone: 1024,
    turns: true,
    enter: amx::enter,
    leave: amx::leave,
    multiply_adds: amx::multiply_adds,
    ..VECTORS
};

/// Sums of [`multiply_adds`] that do not wait for one another.
const SUMS: usize = 12;

fn multiply_adds(steps: usize) -> usize {
    // SAFETY: the table is of a processor that has the instructions.
    unsafe { on_registers(steps) };
    steps * SUMS * 32
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn on_registers(steps: usize) {
    let ones = black_box(bf16s(_mm512_set1_epi32(0x3f80_3f80)));
    let mut sums = [_mm512_setzero_ps(); SUMS];
    for _ in 0..steps {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, ones, ones);
        }
    }
    black_box(sums);
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn bf16s(bits: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits of any content.
    unsafe { transmute::<__m512i, __m512bh>(bits) }
}

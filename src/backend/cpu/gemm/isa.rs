//! Instruction sets a kernel is compiled for, and the choice among them at run time.

use pulp::{Simd, WithSimd};

use super::matrix::Matrix;
use super::stored::Stored;
use super::tile::{self, TileFn};

/// An instruction set with its register tiles.
pub trait Isa: Simd {
    const TILES: Tiles<Self>;

    /// Words of a sum that are packed together: a panel of the right operand of this depth fills half to two thirds of the first cache.
    const DEPTH: usize = 256;

    /// How bf16 are multiplied as such, where the processor does so.
    fn pairs(self) -> Option<Pairs<Self>> {
        None
    }

    /// Runs `work` compiled for this instruction set, as far as it is inlined.
    #[inline(always)]
    fn compiled<R>(self, work: impl FnOnce() -> R) -> R {
        self.vectorize(Work(work))
    }

    /// Transposes `rows` ≤ lanes by `columns` ≤ lanes numbers; each of the `columns` rows it writes is a whole vector, its
    /// rest zero.
    ///
    /// # Safety
    /// `source` and `target` are valid for what is read and written, and do not overlap.
    #[inline(always)]
    unsafe fn transpose(
        self,
        source: *const f32,
        source_row: usize,
        [rows, columns]: [usize; 2],
        target: *mut f32,
        target_row: usize,
    ) {
        for column in 0..columns {
            for row in 0..Self::F32_LANES {
                // SAFETY: as the caller promises.
                unsafe {
                    *target.add(column * target_row + row) = if row < rows {
                        *source.add(row * source_row + column)
                    } else {
                        0.0
                    };
                }
            }
        }
    }
}

/// `[rows - 1][vectors - 1]`: products of so many rows by so many vectors that stay in registers.
pub type Tiles<S> = &'static [&'static [TileFn<S>]];

/// Products of bf16 whose packed words of 32 bits hold two neighbouring terms of a sum.
#[derive(Clone, Copy)]
pub struct Pairs<S: 'static> {
    /// The instructions, as they are known.
    pub name: &'static str,
    /// As [`Isa::TILES`], over words.
    pub tiles: Tiles<S>,
    /// A tile sums a multiple of so many words, the rest of them zero.
    pub unit: usize,
    /// As [`Isa::DEPTH`].
    pub depth: usize,
    /// Rows that panels have a multiple of, but for the last one.
    pub whole: usize,
    /// Vectors of words that are multiplied in the time in which two of f32 are.
    pub per_cycle: usize,
    /// See [`super::cut::TileShape::most_rows`].
    pub most_rows: usize,
    /// See [`super::cut::TileShape::most_alone`].
    pub most_alone: usize,
    /// The left operand always lies in rows of words.
    pub turns: bool,
    /// Packs a matrix whose terms lie along rows.
    pub pack_along: Pack,
    /// Packs a matrix whose terms lie along columns, two rows to one of whole vectors of words.
    pub pack_across: Pack,
    /// Called by the thread before it multiplies with some tiles, and behind them.
    pub enter: fn(),
    pub leave: fn(),
    /// Does nothing but multiply on registers, so many times over; returns how many multiply-adds that were.
    pub multiply_adds: fn(usize) -> usize,
}

/// From a matrix of so many rows and columns to contiguous rows of words.
pub type Pack = unsafe fn(Stored, [usize; 2], Matrix);

struct Work<F>(F);

impl<R, F: FnOnce() -> R> WithSimd for Work<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> R {
        (self.0)()
    }
}

/// The tiles of an instruction set: each count of vectors with each of rows.
macro_rules! tiles {
    ($isa:ty; $vectors:tt; $($rows:literal)*) => {
        &[$(tiles!(@ $isa; $rows; $vectors)),*]
    };
    (@ $isa:ty; $rows:literal; [$($vectors:literal)*]) => {
        &[$(tile::tile::<$isa, $rows, $vectors>),*]
    };
}

/// Without vector instructions of our own choice: four numbers at a time, which every compiler target can handle.
impl Isa for pulp::Scalar128b {
    const TILES: Tiles<Self> = tiles!(Self; [1 2]; 1 2 3 4);
}

/// AVX2 with FMA: sixteen registers.
#[cfg(target_arch = "x86_64")]
impl Isa for pulp::x86::V3 {
    const TILES: Tiles<Self> = tiles!(Self; [1 2]; 1 2 3 4 5 6);
}

/// AVX-512: thirty-two registers. Of nine rows by three vectors each multiply-add waits for fewer loads than of more rows by two.
#[cfg(target_arch = "x86_64")]
impl Isa for pulp::x86::V4 {
    const TILES: Tiles<Self> = tiles!(Self; [1 2 3]; 1 2 3 4 5 6 7 8 9);

    const DEPTH: usize = 128;

    fn pairs(self) -> Option<Pairs<Self>> {
        super::pairs::pairs()
    }

    #[inline(always)]
    unsafe fn transpose(
        self,
        source: *const f32,
        source_row: usize,
        shape: [usize; 2],
        target: *mut f32,
        target_row: usize,
    ) {
        // SAFETY: as the caller promises; the token proves that the processor has the instructions.
        unsafe { super::transpose::transpose16(source, source_row, shape, target, target_row) }
    }
}

/// What can be made for any instruction set: a kernel, compiled for it.
pub trait Make {
    type Output;

    fn make<S: Isa>(self, simd: S) -> Self::Output;
}

/// An instruction set this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Avx512,
    Avx2,
    Portable,
}

impl Level {
    const ALL: [Level; 3] = [Level::Avx512, Level::Avx2, Level::Portable];

    /// The levels this processor has, best first; the last is always there.
    pub fn available() -> impl Iterator<Item = Level> {
        Level::ALL.into_iter().filter(|level| match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => pulp::x86::V4::is_available(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => pulp::x86::V3::is_available(),
            Level::Portable => true,
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        })
    }

    pub fn best() -> Level {
        Level::available().next().unwrap_or(Level::Portable)
    }

    /// As it is known.
    pub fn name(self) -> &'static str {
        match self {
            Level::Avx512 => "AVX-512",
            Level::Avx2 => "AVX2",
            Level::Portable => "portable",
        }
    }

    /// Makes it for this level, or for the portable one where the processor lacks this.
    pub fn make<M: Make>(self, kernel: M) -> M::Output {
        #[cfg(target_arch = "x86_64")]
        match (self, pulp::x86::V4::try_new(), pulp::x86::V3::try_new()) {
            (Level::Avx512, Some(simd), _) => return kernel.make(simd),
            (Level::Avx2, _, Some(simd)) => return kernel.make(simd),
            _ => {}
        }
        kernel.make(pulp::Scalar128b)
    }
}

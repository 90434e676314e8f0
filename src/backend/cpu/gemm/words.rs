//! Operands as tiles want them: packed in words.

use std::ops::Range;

use super::cut::{MOST_ROWS, TileShape, units};
use super::isa::{Isa, Pairs, Tiles};
use super::matrix::Matrix;
use super::stored::Stored;

/// What the packed words of 32 bits hold: an f32, or two terms in bf16. A left operand lies in rows of words along its sums, a right one
/// in rows of whole vectors of words.
#[derive(Clone, Copy)]
pub struct Words<S: 'static> {
    pairs: Option<Pairs<S>>,
}

impl<S: Isa> Words<S> {
    /// Pairs where both operands hold no more than bf16, `halves`, and the processor multiplies these.
    pub fn new(simd: S, halves: bool) -> Self {
        Words::of(simd.pairs().filter(|_| halves))
    }

    /// `None`: of f32.
    pub fn of(pairs: Option<Pairs<S>>) -> Self {
        Words { pairs }
    }

    /// Terms of a sum in one word.
    pub fn terms(self) -> usize {
        if self.pairs.is_some() { 2 } else { 1 }
    }

    pub fn tiles(self) -> Tiles<S> {
        self.pairs.map_or(S::TILES, |pairs| pairs.tiles)
    }

    /// Columns of the widest tile.
    pub fn columns(self) -> usize {
        self.tiles()[0].len() * S::F32_LANES
    }

    /// See [`Pairs::unit`].
    pub fn unit(self) -> usize {
        self.pairs.map_or(1, |pairs| pairs.unit)
    }

    /// The rows of one of the panels of a block.
    pub fn rows(self, rows: usize, panels: usize, panel: usize) -> Range<usize> {
        let whole = self.pairs.map_or(1, |pairs| pairs.whole);
        units(rows, whole, panels, panel)
    }

    /// Words of a sum that are packed together.
    fn depth(self) -> usize {
        self.pairs.map_or(S::DEPTH, |pairs| pairs.depth)
    }

    /// Pieces in which sums of `k` terms are computed.
    pub fn depths(self, k: usize) -> usize {
        k.div_ceil(self.terms()).div_ceil(self.depth())
    }

    /// Distance of the packed rows of `a`: not one at which they fall on the same few lines of a cache.
    pub fn row(self) -> usize {
        self.depth() + 16
    }

    /// How products are to be cut.
    pub fn shape(self) -> TileShape {
        TileShape {
            rows: self.tiles().len(),
            columns: self.columns(),
            per_cycle: self.pairs.map_or(1, |pairs| pairs.per_cycle),
            most_rows: self.pairs.map_or(MOST_ROWS, |pairs| pairs.most_rows),
            most_alone: self.pairs.map_or(MOST_ROWS, |pairs| pairs.most_alone),
        }
    }

    /// See [`Pairs::turns`].
    pub fn turns(self) -> bool {
        self.pairs.is_some_and(|pairs| pairs.turns)
    }

    /// Words of a sum of so many terms, those of zeros behind it included.
    pub fn count(self, terms: usize) -> usize {
        terms.div_ceil(self.terms()).next_multiple_of(self.unit())
    }

    /// To be called by the thread before it multiplies; what lies between this and [`Words::leave`] is short.
    pub fn enter(self) {
        self.pairs.inspect(|pairs| (pairs.enter)());
    }

    pub fn leave(self) {
        self.pairs.inspect(|pairs| (pairs.leave)());
    }

    /// Packs a left operand of so many rows and terms, `rounds` to bf16 what is not that already.
    ///
    /// # Safety
    /// The operand is valid for reads and `target` for writes, of whole vectors, and they do not overlap.
    pub unsafe fn pack_left(
        self,
        simd: S,
        left: Stored,
        shape: [usize; 2],
        target: Matrix,
        rounds: bool,
    ) {
        // SAFETY: the caller's.
        unsafe {
            match self.pairs {
                Some(pairs) => (pairs.pack_along)(left, shape, target),
                None => pack(simd, left, shape, target, rounds),
            }
        }
    }

    /// Packs a right operand of so many terms and columns, and zeros behind its last term as far as a tile sums.
    ///
    /// # Safety
    /// As for [`Words::pack_left`].
    pub unsafe fn pack_right(
        self,
        simd: S,
        right: Stored,
        [terms, columns]: [usize; 2],
        target: Matrix,
        rounds: bool,
    ) {
        // SAFETY: the caller's.
        unsafe {
            self.pack_down(simd, right, [terms, columns], target, rounds);
            let words = terms.div_ceil(self.terms());
            let rest = target.skip_rows(words).first;
            rest.write_bytes(0, (self.count(terms) - words) * target.row);
        }
    }

    /// As [`Words::pack_right`], without these zeros.
    ///
    /// # Safety
    /// As for that.
    pub unsafe fn pack_down(
        self,
        simd: S,
        right: Stored,
        shape: [usize; 2],
        target: Matrix,
        rounds: bool,
    ) {
        // SAFETY: the caller's.
        unsafe {
            match self.pairs {
                Some(pairs) => (pairs.pack_across)(right, shape, target),
                None => pack(simd, right, shape, target, rounds),
            }
        }
    }
}

/// As f32, compiled for the instruction set.
unsafe fn pack<S: Isa>(simd: S, from: Stored, shape: [usize; 2], to: Matrix, rounds: bool) {
    simd.compiled(
        #[inline(always)]
        // SAFETY: the caller's.
        || unsafe { from.pack(simd, shape, to, rounds) },
    );
}

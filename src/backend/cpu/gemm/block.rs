//! One block of a product: its operands packed piece by piece, multiplied tile by tile.

use std::ops::Range;

use pulp::Simd;

use super::cut::{DEPTH, TileShape, units};
use super::isa::{Isa, Pairs};
use super::matrix::Matrix;
use super::scratch;
use super::stored::Stored;
use super::tile::{Product, TileFn};

/// Distance of the packed rows of `a`: not one at which they fall on the same few lines of a cache.
const ROW: usize = DEPTH + 16;

/// `c (+)= a·b` of any strides, or a part of it.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    pub a: Stored,
    pub b: Stored,
    /// Whether the operands are rounded to bf16 as they are packed.
    pub rounds: [bool; 2],
    /// The whole block, or, if it lies aside, one chunk of its columns after another in the same place.
    pub c: Matrix,
    pub aside: bool,
    pub rows: usize,
    pub columns: usize,
    pub k: usize,
    /// Columns that are finished before the next are begun; whole tiles.
    pub chunk: usize,
    /// Add to what `c` holds.
    pub add: bool,
}

/// What the packed words of 32 bits hold: an f32, or two terms in bf16.
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
    fn terms(self) -> usize {
        if self.pairs.is_some() { 2 } else { 1 }
    }

    fn tiles(self) -> &'static [[TileFn<S>; 2]] {
        self.pairs.map_or(S::TILES, |pairs| pairs.tiles)
    }

    /// See [`Pairs::unit`].
    fn unit(self) -> usize {
        self.pairs.map_or(1, |pairs| pairs.unit)
    }

    /// The rows of one of the panels of a block.
    fn rows(self, rows: usize, panels: usize, panel: usize) -> Range<usize> {
        let whole = self.pairs.map_or(1, |pairs| pairs.whole);
        units(rows, whole, panels, panel)
    }

    /// How products are to be cut.
    pub fn shape(self) -> TileShape {
        TileShape {
            rows: self.tiles().len(),
            columns: tile_columns::<S>(),
            per_cycle: self.pairs.map_or(1, |pairs| pairs.per_cycle),
        }
    }
}

impl Block {
    /// Computes the block, and calls `finished` with each range of columns as soon as all of its sums are there.
    ///
    /// # Safety
    /// The matrices are valid for their shapes, and nobody else touches the block of `c` meanwhile.
    pub unsafe fn compute<S: Isa>(
        &self,
        simd: S,
        words: Words<S>,
        finished: impl Fn(Range<usize>),
    ) {
        if self.k == 0 && !self.add {
            // SAFETY: as the caller promises.
            unsafe { self.clear() };
        }
        let all = self.k.div_ceil(words.terms());
        let depths = all.div_ceil(DEPTH);
        let unit = words.unit();
        let deepest = all.div_ceil(unit).div_ceil(depths.max(1)) * unit;
        let panels = self.rows.div_ceil(words.tiles().len());
        let width = tile_columns::<S>();
        let sizes = [
            self.packed_rows(words, panels, deepest),
            deepest * width,
            words.tiles().len() * width,
        ];
        scratch::parts(sizes, |[a, b, c]| {
            let space = Space {
                a,
                b: Matrix::rows(b, width),
                c: Matrix::rows(c, width),
            };
            for first in (0..self.columns).step_by(self.chunk.max(1)) {
                let chunk = first..self.columns.min(first + self.chunk);
                for depth in 0..depths {
                    let piece = units(all, unit, depths, depth);
                    let terms = piece.start * words.terms()..self.k.min(piece.end * words.terms());
                    let add = self.add || depth > 0;
                    // SAFETY: as the caller promises; the scratch is as large as what is packed.
                    unsafe {
                        if depths > 1 || first == 0 {
                            self.pack_rows(simd, words, panels, terms.clone(), space.a);
                        }
                        self.columns(simd, words, panels, chunk.clone(), terms, add, &space);
                    }
                }
                finished(chunk);
            }
        });
    }

    /// Elements of scratch that [`Block::pack_rows`] fills.
    fn packed_rows<S: Isa>(&self, words: Words<S>, panels: usize, depth: usize) -> usize {
        if self.down(words) {
            panels * depth * PANEL
        } else {
            self.rows * ROW
        }
    }

    /// Whether the columns of `a` are contiguous: then it is packed panel by panel, without turning it.
    fn down<S: Isa>(&self, words: Words<S>) -> bool {
        self.a.runs_down() && !words.pairs.is_some_and(|pairs| pairs.turns)
    }

    unsafe fn pack_rows<S: Isa>(
        &self,
        simd: S,
        words: Words<S>,
        panels: usize,
        terms: Range<usize>,
        to: *mut f32,
    ) {
        let a = self.a.skip_columns(terms.start);
        let depth = terms.len().div_ceil(words.terms());
        simd.compiled(
            #[inline(always)]
            // SAFETY: as the caller promises.
            || unsafe {
                if self.down(words) {
                    for panel in 0..panels {
                        let rows = words.rows(self.rows, panels, panel);
                        let from = a.skip_rows(rows.start).transposed();
                        let to = Matrix::rows(to.wrapping_add(panel * depth * PANEL), PANEL);
                        let shape = [terms.len(), rows.len()];
                        match words.pairs {
                            Some(pairs) => (pairs.pack_across)(from, shape, to),
                            None => from.pack(simd, shape, to, self.rounds[0]),
                        }
                    }
                } else {
                    let to = Matrix::rows(to, ROW);
                    let shape = [self.rows, terms.len()];
                    match words.pairs {
                        Some(pairs) => (pairs.pack_along)(a, shape, to),
                        None => a.pack(simd, shape, to, self.rounds[0]),
                    }
                }
            },
        );
    }

    /// The packed rows of a panel.
    fn panel<S: Isa>(
        &self,
        words: Words<S>,
        rows: &Range<usize>,
        panel: usize,
        depth: usize,
        packed: *mut f32,
    ) -> Matrix {
        if self.down(words) {
            Matrix::rows(packed.wrapping_add(panel * depth * PANEL), PANEL).transposed()
        } else {
            Matrix::rows(packed.wrapping_add(rows.start * ROW), ROW)
        }
    }

    /// Multiplies the packed rows with some columns, a tile's width at a time.
    #[expect(clippy::too_many_arguments)]
    unsafe fn columns<S: Isa>(
        &self,
        simd: S,
        words: Words<S>,
        panels: usize,
        columns: Range<usize>,
        terms: Range<usize>,
        add: bool,
        space: &Space,
    ) {
        let width = tile_columns::<S>();
        let full = terms.len().div_ceil(words.terms());
        let depth = full.next_multiple_of(words.unit());
        let b = self.b.skip_rows(terms.start);
        let before = if self.aside { columns.start } else { 0 };
        for first in columns.clone().step_by(width) {
            let count = width.min(columns.end - first);
            let vectors = count.div_ceil(S::F32_LANES);
            let next = first + width;
            let coming = [terms.len(), width.min(self.columns.saturating_sub(next))];
            simd.compiled(
                #[inline(always)]
                // SAFETY: as the caller promises.
                || unsafe {
                    let (b, shape) = (b.skip_columns(first), [terms.len(), count]);
                    match words.pairs {
                        Some(pairs) => (pairs.pack_across)(b, shape, space.b),
                        None => b.pack(simd, shape, space.b, self.rounds[1]),
                    }
                    let rest = space.b.skip_rows(full).first;
                    rest.write_bytes(0, (depth - full) * space.b.row);
                },
            );
            words.pairs.inspect(|pairs| (pairs.enter)());
            for panel in 0..panels {
                let rows = words.rows(self.rows, panels, panel);
                b.skip_columns(next).prefetch_part(coming, panel, panels);
                let product = Product {
                    k: depth,
                    a: self.panel(words, &rows, panel, depth, space.a),
                    b: space.b,
                    c: self.c.skip_rows(rows.start).skip_columns(first - before),
                    columns: count,
                    add,
                };
                // The sums below are read and written when their turn comes.
                let below = product.c.skip_rows(rows.len());
                below.prefetch([rows.len().min(self.rows - rows.end), count]);
                let tile = words.tiles()[rows.len() - 1][vectors - 1];
                // SAFETY: the operands are packed as the tile wants them, and the caller lets `c` be written.
                unsafe {
                    if self.c.column == 1 {
                        tile(simd, &product);
                    } else {
                        let aside = Product {
                            c: space.c,
                            add: false,
                            ..product
                        };
                        tile(simd, &aside);
                        scatter(&product, space.c, rows.len());
                    }
                }
            }
            words.pairs.inspect(|pairs| (pairs.leave)());
        }
    }

    unsafe fn clear(&self) {
        for row in 0..self.rows {
            for column in 0..self.columns {
                // SAFETY: as the caller promises.
                unsafe { *self.c.skip_rows(row).skip_columns(column).first = 0.0 };
            }
        }
    }
}

/// Distance of the packed columns of a panel of `a`: as many rows as the highest tile has, in whole vectors.
const PANEL: usize = 16;

struct Space {
    a: *mut f32,
    b: Matrix,
    /// Of one tile, where the columns of `c` are not contiguous.
    c: Matrix,
}

/// Columns of the widest tile.
fn tile_columns<S: Simd>() -> usize {
    2 * S::F32_LANES
}

/// Brings a tile to where it belongs, element by element.
unsafe fn scatter(product: &Product, from: Matrix, rows: usize) {
    for row in 0..rows {
        for column in 0..product.columns {
            let value = from.skip_rows(row).skip_columns(column).first;
            let place = product.c.skip_rows(row).skip_columns(column).first;
            // SAFETY: as the caller promises.
            unsafe { *place = *value + if product.add { *place } else { 0.0 } };
        }
    }
}

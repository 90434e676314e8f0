//! One block of a product: its operands packed piece by piece, multiplied tile by tile.

use std::ops::Range;

use super::cut::units;
use super::isa::Isa;
use super::matrix::Matrix;
use super::scratch;
use super::stored::Stored;
use super::tile::Product;
use super::words::Words;

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
        let depths = words.depths(self.k);
        let unit = words.unit();
        let deepest = all.div_ceil(unit).div_ceil(depths.max(1)) * unit;
        let panels = self.rows.div_ceil(words.tiles().len());
        let width = words.columns();
        // What later chunks multiply with again is packed once; it may then be more than the second cache holds.
        let slab = self.packed_rows(words, panels, deepest);
        let slabs = if self.chunk < self.columns { depths } else { 1 };
        let sizes = [slabs * slab, deepest * width, words.tiles().len() * width];
        scratch::parts(sizes, |[a, b, c]| {
            let space = |depth: usize| Space {
                a: a.wrapping_add(depth % slabs * slab),
                b: Matrix::rows(b, width),
                c: Matrix::rows(c, width),
            };
            let terms = |depth: usize| {
                let piece = units(all, unit, depths, depth);
                piece.start * words.terms()..self.k.min(piece.end * words.terms())
            };
            for first in (0..self.columns).step_by(self.chunk.max(1)) {
                let chunk = first..self.columns.min(first + self.chunk);
                for depth in 0..depths {
                    let pass = Pass {
                        columns: chunk.clone(),
                        terms: terms(depth),
                        add: self.add || depth > 0,
                        then: match depth + 1 < depths {
                            true => (terms(depth + 1), chunk.start),
                            false => (terms(0), chunk.end),
                        },
                    };
                    let space = space(depth);
                    // SAFETY: as the caller promises; the scratch is as large as what is packed.
                    unsafe {
                        if first == 0 {
                            self.pack_rows(simd, words, panels, &pass.terms, space.a);
                        }
                        self.pass(simd, words, panels, &pass, &space);
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
            self.rows * words.row()
        }
    }

    /// Whether the columns of `a` are contiguous: then it is packed panel by panel, without turning it.
    fn down<S: Isa>(&self, words: Words<S>) -> bool {
        self.a.runs_down() && !words.turns()
    }

    unsafe fn pack_rows<S: Isa>(
        &self,
        simd: S,
        words: Words<S>,
        panels: usize,
        terms: &Range<usize>,
        to: *mut f32,
    ) {
        let a = self.a.skip_columns(terms.start);
        let depth = terms.len().div_ceil(words.terms());
        if !self.down(words) {
            let (to, shape) = (Matrix::rows(to, words.row()), [self.rows, terms.len()]);
            // SAFETY: as the caller promises.
            return unsafe { words.pack_left(simd, a, shape, to, self.rounds[0]) };
        }
        for panel in 0..panels {
            let rows = words.rows(self.rows, panels, panel);
            // Of each term there are a few neighbours, far from those of the next: nothing asks for these by itself.
            let coming = rows.end..self.rows.min(rows.end + rows.len());
            a.skip_rows(coming.start)
                .prefetch([coming.len(), terms.len()]);
            let from = a.skip_rows(rows.start).transposed();
            let to = Matrix::rows(to.wrapping_add(panel * depth * PANEL), PANEL);
            // SAFETY: as the caller promises.
            unsafe { words.pack_down(simd, from, [terms.len(), rows.len()], to, self.rounds[0]) };
        }
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
            Matrix::rows(packed.wrapping_add(rows.start * words.row()), words.row())
        }
    }

    /// Multiplies the packed rows with some columns, a tile's width at a time.
    unsafe fn pass<S: Isa>(
        &self,
        simd: S,
        words: Words<S>,
        panels: usize,
        pass: &Pass,
        space: &Space,
    ) {
        let Pass {
            columns,
            terms,
            add,
            then,
        } = pass;
        let width = words.columns();
        let depth = words.count(terms.len());
        let b = self.b.skip_rows(terms.start);
        let before = if self.aside { columns.start } else { 0 };
        for first in columns.clone().step_by(width) {
            let count = width.min(columns.end - first);
            let vectors = count.div_ceil(S::F32_LANES);
            // What will be packed next.
            let (terms_then, next) = match first + width < columns.end {
                true => (terms, first + width),
                false => (&then.0, then.1),
            };
            let ahead = self.b.skip_rows(terms_then.start).skip_columns(next);
            let coming = [terms_then.len(), width.min(self.columns - next)];
            let (right, shape) = (b.skip_columns(first), [terms.len(), count]);
            // SAFETY: as the caller promises.
            unsafe { words.pack_right(simd, right, shape, space.b, self.rounds[1]) };
            words.enter();
            for panel in 0..panels {
                let rows = words.rows(self.rows, panels, panel);
                ahead.prefetch_part(coming, panel, panels);
                let product = Product {
                    k: depth,
                    a: self.panel(words, &rows, panel, depth, space.a),
                    b: space.b,
                    c: self.c.skip_rows(rows.start).skip_columns(first - before),
                    columns: count,
                    add: *add,
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
            words.leave();
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

/// Some terms of the sums of some columns.
struct Pass {
    columns: Range<usize>,
    terms: Range<usize>,
    /// Add to what `c` holds.
    add: bool,
    /// The terms and the first column of the pass after this; behind the last column after the last.
    then: (Range<usize>, usize),
}

struct Space {
    a: *mut f32,
    b: Matrix,
    /// Of one tile, where the columns of `c` are not contiguous.
    c: Matrix,
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

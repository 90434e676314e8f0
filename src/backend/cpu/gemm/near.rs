//! Products of operands that lie in the first caches, in words.

use super::cut::units;
use super::isa::Isa;
use super::matrix::Matrix;
use super::scratch::apart;
use super::stored::Stored;
use super::tile::Product;
use super::words::Words;

/// Rows of working memory, and numbers of each.
pub type Shape = (usize, usize);

impl<S: Isa> Words<S> {
    /// Of a packed left operand of so many rows and terms.
    pub fn left_shape(self, rows: usize, terms: usize) -> Shape {
        let vectors = terms.div_ceil(self.terms() * S::F32_LANES);
        (self.high(rows), apart(vectors * S::F32_LANES))
    }

    /// Of a packed right operand of so many terms and columns.
    pub fn right_shape(self, terms: usize, columns: usize) -> Shape {
        (self.count(terms), apart(columns))
    }

    /// Of a product.
    pub fn sums_shape(self, rows: usize, columns: usize) -> Shape {
        (self.high(rows), apart(columns))
    }

    /// What only pairs need.
    pub fn spare(self, shape: Shape) -> Shape {
        if self.terms() > 1 { shape } else { (0, 0) }
    }

    /// Rows that tiles of `rows` rows write.
    fn high(self, rows: usize) -> usize {
        rows.next_multiple_of(self.unit())
    }

    /// A matrix of f32 in working memory as a left operand: itself, or packed to `space`, a spare of [`Words::left_shape`].
    ///
    /// # Safety
    /// All of it can be read, and the space written.
    pub unsafe fn left(self, simd: S, matrix: Matrix, shape: [usize; 2], space: Matrix) -> Matrix {
        if self.terms() == 1 {
            return matrix;
        }
        // SAFETY: the caller's.
        unsafe { self.pack_left(simd, Stored::F32(matrix), shape, space, false) };
        space
    }

    /// What is packed as a left operand of so many rows and terms, as a right one whose terms are the rows: itself, or packed to `space`,
    /// a spare of [`Words::right_shape`].
    ///
    /// # Safety
    /// As for [`Words::left`].
    pub unsafe fn right(
        self,
        simd: S,
        from: Stored,
        left: Matrix,
        shape: [usize; 2],
        space: Matrix,
    ) -> Matrix {
        if self.terms() == 1 {
            return left;
        }
        // SAFETY: the caller's.
        unsafe { self.pack_right(simd, from, shape, space, false) };
        space
    }

    /// A product of `rows` by `product.columns`, of `product.k` terms, between [`Words::enter`] and [`Words::leave`].
    ///
    /// # Safety
    /// `a` and `b` are packed operands, and `c` is of [`Words::sums_shape`]; `columns` are whole vectors.
    pub unsafe fn multiply(self, simd: S, rows: usize, product: &Product) {
        let rows = self.high(rows);
        let panels = rows.div_ceil(self.tiles().len());
        // Of nearly equal widths: a narrow tile takes as long as its loads do.
        let widths = product.columns.div_ceil(self.columns());
        for width in 0..widths {
            let columns = units(product.columns, S::F32_LANES, widths, width);
            let vectors = columns.len().div_ceil(S::F32_LANES);
            for panel in 0..panels {
                let rows = self.rows(rows, panels, panel);
                let tile = self.tiles()[rows.len() - 1][vectors - 1];
                let part = Product {
                    k: self.count(product.k),
                    a: product.a.skip_rows(rows.start),
                    b: product.b.skip_columns(columns.start),
                    c: product.c.skip_rows(rows.start).skip_columns(columns.start),
                    columns: columns.len(),
                    ..*product
                };
                // SAFETY: these are parts of the operands that the caller promises to hold.
                unsafe { tile(simd, &part) };
            }
        }
    }
}

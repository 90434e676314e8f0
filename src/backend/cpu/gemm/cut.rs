//! How a product is cut: blocks of `c` that are tasks, and pieces of them that fit the caches.

use std::ops::Range;

/// Rows and columns of a register tile, and how they bear on everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileShape {
    pub rows: usize,
    pub columns: usize,
    /// See [`super::isa::Pairs::per_cycle`].
    pub per_cycle: usize,
    /// Most rows of a block: `a` as packed takes a little more than half of the second cache.
    pub most_rows: usize,
    /// Most rows of a block that has all of them: some of `a` then comes from the third cache, but `b` is packed once.
    pub most_alone: usize,
}

impl TileShape {
    /// Columns that are finished together, or a multiple of them: whole tiles, enough that a box of an epilogue has long rows.
    pub fn finished(self) -> usize {
        const LONG: usize = 128;
        LONG.div_ceil(self.columns) * self.columns
    }
}

/// What is multiplied, and under which conditions.
#[derive(Debug, Clone, Copy)]
pub struct Problem {
    /// Products of one shape side by side.
    pub count: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Rows of `c` must stay whole: the epilogue reduces over them.
    pub whole_rows: bool,
    /// Something runs on each block of `c` behind the product.
    pub epilogue: bool,
}

/// [`TileShape::most_rows`] for a second cache of 1 MiB.
pub const MOST_ROWS: usize = 576;

/// Elements of `c` that stay in the second cache until the epilogue reads them.
const FINISHED: usize = 96 * 1024;

/// As many where rows stay whole: some then come from the third cache, but `b` is packed anew for fewer blocks.
const FINISHED_ROWS: usize = 320 * 1024;

/// Where there are fewer blocks than this, long sums are split, so that many threads find work. A function of the shape: the
/// order in which terms are added must not depend on the threads.
const FEW_BLOCKS: usize = 16;

/// Shortest part of a split sum.
const SHORTEST_PART: usize = 1024;

/// A product cut into tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Parts of each sum, added up at the end in their order.
    pub parts: usize,
    /// Blocks of rows and of columns.
    pub rows: usize,
    pub columns: usize,
    /// Columns of a block that are finished before the next are begun; whole tiles.
    pub chunk: usize,
}

impl Problem {
    /// The cut that lets `threads` finish soonest, by a count of cycles.
    pub fn cut(&self, tile: TileShape, threads: usize) -> Cut {
        let parts = self.parts(tile);
        let row_tiles = self.m.div_ceil(tile.rows).max(1);
        let column_tiles = self.n.div_ceil(tile.columns).max(1);
        let most_rows = match self.whole_rows {
            true => (FINISHED_ROWS / self.n.max(1)).clamp(4 * tile.rows, tile.most_rows),
            false if self.m <= tile.most_alone => tile.most_alone,
            false => tile.most_rows,
        };
        let fewest = self.m.div_ceil(most_rows).max(1);
        let most_columns = if self.whole_rows { 1 } else { column_tiles };
        let rows = fewest..=row_tiles.min(fewest + threads).max(fewest);
        let cuts = rows
            .flat_map(|rows| (1..=most_columns.min(threads)).map(move |columns| (rows, columns)));
        let cycles = |&(rows, columns): &(usize, usize)| {
            let tasks = self.count * parts * rows * columns;
            tasks.div_ceil(threads) as u64 * self.cycles(tile, parts, rows, columns)
        };
        let (rows, columns) = cuts.min_by_key(cycles).unwrap_or((1, 1));
        let chunk = match self.epilogue && !self.whole_rows {
            true => {
                let finished = self.m.div_ceil(rows).max(1) * tile.finished();
                ((FINISHED + finished / 2) / finished).max(1) * tile.finished()
            }
            false => column_tiles * tile.columns,
        };
        Cut {
            parts,
            rows,
            columns,
            chunk,
        }
    }

    /// Into how many parts each sum is split.
    fn parts(&self, tile: TileShape) -> usize {
        let blocks =
            self.count * self.m.div_ceil(4 * tile.rows) * self.n.div_ceil(4 * tile.columns);
        let wanted = FEW_BLOCKS.div_ceil(blocks.max(1));
        wanted.min(self.k / SHORTEST_PART).max(1)
    }

    /// Of one task: two vectors of a tile of f32 are multiplied per cycle; packing and starting cost what was measured, roughly.
    fn cycles(&self, tile: TileShape, parts: usize, rows: usize, columns: usize) -> u64 {
        const START: usize = 4000;
        let (m, n) = (self.m.div_ceil(rows), self.n.div_ceil(columns));
        let k = self.k.div_ceil(parts);
        let panels = m.div_ceil(tile.rows) * n.div_ceil(tile.columns);
        let multiplied = panels * tile.rows * k / tile.per_cycle;
        let packed = (n + m / 2) * k / 4;
        (START + multiplied + packed) as u64
    }
}

/// Piece `index` of `pieces` nearly equal ones.
pub fn piece(count: usize, pieces: usize, index: usize) -> Range<usize> {
    count * index / pieces..count * (index + 1) / pieces
}

/// As [`piece`], in whole multiples of `unit`, the last cut short at `count`.
pub fn units(count: usize, unit: usize, pieces: usize, index: usize) -> Range<usize> {
    let piece = piece(count.div_ceil(unit), pieces, index);
    piece.start * unit..count.min(piece.end * unit)
}

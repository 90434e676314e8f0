//! Row programs: pointwise code with reductions over rows, tile by tile.

use std::ops::Range;

use super::tile::nest::{Axes, Nest, Window, fill};
use super::tile::tasks::{GRAIN, tasks};
use super::tile::{Body, Frame, Program};
use super::{Launch, Memory, Run};
use crate::ir::program::ValueId;
use crate::plan::kernel::{Operand, Rows};
use crate::plan::{Access, BufferId, Plan};

/// A row program, ready to run.
#[derive(Debug)]
pub struct CompiledRows {
    program: Program,
    /// Leading axes of the nest, which [`CompiledRows::run_block`] counts as rows.
    leading: usize,
    /// Whether rows may be cut: nothing is reduced over them or stored once for each.
    splits_columns: bool,
}

/// Prepares a row program that runs whole.
pub fn prepare(rows: &Rows, plan: &Plan) -> CompiledRows {
    CompiledRows::new(rows, plan, None)
}

/// The blocks of a matrix in which a row program runs.
#[derive(Debug, Clone, Copy)]
pub struct Blocks {
    /// The operand of this buffer is read where [`CompiledRows::run_block`] is told that it lies, in rows so far apart.
    pub aside: Option<(BufferId, usize)>,
    /// Most blocks have a multiple of so many columns.
    pub columns: usize,
}

/// Prepares a row program over a matrix, of one grid axis and one row axis, that runs in blocks of it.
pub fn prepare_blocks(rows: &Rows, plan: &Plan, blocks: Blocks) -> CompiledRows {
    let mut rows = rows.clone();
    for operand in &mut rows.operands {
        match (operand, blocks.aside) {
            (Operand::Memory(of, access), Some((buffer, row))) if *of == buffer => {
                access.strides[0] = row;
            }
            _ => {}
        }
    }
    CompiledRows::new(&rows, plan, Some(blocks))
}

impl CompiledRows {
    fn new(rows: &Rows, plan: &Plan, blocks: Option<Blocks>) -> CompiledRows {
        let stores: Vec<(ValueId, BufferId, &Access)> = (rows.stores.iter())
            .map(|store| (store.value, store.buffer, &store.access))
            .collect();
        let body = Body {
            operands: &rows.operands,
            code: &rows.code,
            stores: &stores,
            kept: &[],
            aside: blocks.and_then(|blocks| Some(blocks.aside?.0)),
            row: rows.row.iter().product(),
            keeps_rows: keeps_rows(rows),
        };
        let (outer, inner) = rows.grid.split_at(blocks.map_or(0, |_| rows.grid.len()));
        let flat: Vec<usize> = inner.iter().chain(&rows.row).copied().collect();
        let groups: &[&[usize]] = match body.keeps_rows {
            true => &[outer, inner, &rows.row],
            false => &[outer, &flat],
        };
        let axes = Axes::merged(groups, &body.accesses());
        let mut nest = match (body.keeps_rows, blocks) {
            (true, _) => whole_rows(&axes, body.tile_budget()),
            (false, None) => pointwise(&axes, body.tile_budget()),
            (false, Some(blocks)) => blockwise(&axes, blocks.columns, body.tile_budget()),
        };
        nest.cut = blocks.is_some() && !body.keeps_rows;
        CompiledRows {
            program: Program::new(nest, &axes.strides, body, plan),
            leading: axes.groups[0].end,
            splits_columns: !body.keeps_rows,
        }
    }

    /// Whether [`CompiledRows::run_block`] may be given a part of the columns.
    pub fn splits_columns(&self) -> bool {
        self.splits_columns
    }

    /// Runs a block of the matrix, on this thread. Other threads may run other blocks. `aside` is where what lies aside would
    /// have its first element.
    pub fn run_block(
        &self,
        memory: &Memory,
        launch: &Launch,
        rows: Range<usize>,
        columns: Range<usize>,
        aside: *mut f32,
    ) {
        if rows.is_empty() || columns.is_empty() {
            return;
        }
        let nest = &self.program.nest;
        let mut block = nest.whole();
        // An axis of one element is not in the nest, and then the range says nothing.
        for (axis, range) in (0..self.leading).zip([rows]) {
            (block.start[axis], block.size[axis]) = (range.start, range.len());
        }
        for (axis, range) in (self.leading..nest.dims.len()).zip([columns]) {
            (block.start[axis], block.size[axis]) = (range.start, range.len());
        }
        self.program.with_frame(memory, launch, 0, |frame, _| {
            frame.aside = aside;
            let count = nest.tiles(0..nest.dims.len(), &block);
            run_tiles(frame, nest, &block, 0..count);
        });
    }
}

impl Run for CompiledRows {
    fn run(&self, memory: &Memory, launch: &Launch) {
        self.run_whole(memory, launch, std::ptr::null_mut());
    }
}

impl CompiledRows {
    /// As [`Run::run`], with what lies aside at an address.
    pub fn run_whole(&self, memory: &Memory, launch: &Launch, aside: *mut f32) {
        let aside = Aside(aside);
        let nest = &self.program.nest;
        let whole = nest.whole();
        let count = nest.tiles(0..nest.dims.len(), &whole);
        let each = GRAIN.div_ceil(nest.rows() * nest.width());
        tasks(count, each, |tiles| {
            self.program.with_frame(memory, launch, 0, |frame, _| {
                frame.aside = aside.first();
                run_tiles(frame, nest, &whole, tiles);
            });
        });
    }
}

/// The address of what lies aside.
struct Aside(*mut f32);

// SAFETY: tasks touch tiles of their own.
unsafe impl Sync for Aside {}

impl Aside {
    fn first(&self) -> *mut f32 {
        self.0
    }
}

fn run_tiles(frame: &mut Frame, nest: &Nest, part: &Window, tiles: Range<usize>) {
    let axes = 0..nest.dims.len();
    nest.walk(axes, part, part, tiles, |window, coming| {
        frame.run(window, coming);
    });
}

/// Whether rows cannot be cut: the code reduces over them, or a store keeps one number of each.
fn keeps_rows(rows: &Rows) -> bool {
    let reduces = rows.code.iter().any(|instr| instr.op.reduces());
    let long = rows.row.iter().any(|&dim| dim > 1);
    let narrow = |access: &Access| access.strides[rows.grid.len()..].iter().all(|&s| s == 0);
    reduces || long && rows.stores.iter().any(|store| narrow(&store.access))
}

/// Boxes of whole rows.
fn whole_rows(axes: &Axes, budget: usize) -> Nest {
    /// Elements of a cache line.
    const LINE: usize = 16;
    let row = axes.groups.last().map_or(0, |group| group.start);
    let mut tile = vec![1; axes.dims.len()];
    let width: usize = axes.dims[row..].iter().product();
    fill(
        &axes.dims,
        &mut tile,
        (row..axes.dims.len()).rev(),
        usize::MAX,
    );
    // Where memory runs along the grid, boxes are as high as a cache line is long.
    let sideways = |strides: &Vec<usize>| {
        row > 0 && strides[row - 1] == 1 && strides[row..].last().is_some_and(|&s| s > 1)
    };
    let height = if axes.strides.iter().any(sideways) {
        LINE
    } else {
        1
    };
    fill(
        &axes.dims,
        &mut tile,
        (0..row).rev(),
        (budget / width.max(1)).max(height),
    );
    Nest {
        dims: axes.dims.clone(),
        tile,
        row,
        cut: false,
    }
}

/// Boxes of a matrix of which a block may have few columns: no wider than it is, so that a box still has many elements.
fn blockwise(axes: &Axes, columns: usize, budget: usize) -> Nest {
    let dims = axes.dims.clone();
    let mut tile = vec![1; dims.len()];
    let row = dims.len().saturating_sub(1);
    let mut room = budget;
    if let (Some(tile), Some(&dim)) = (tile.last_mut(), dims.last()) {
        *tile = columns.min(dim);
        room /= *tile;
    }
    fill(&dims, &mut tile, (0..row).rev(), room);
    Nest {
        dims,
        tile,
        row,
        cut: false,
    }
}

/// Boxes of any part of the nest; a row is what lies along the innermost axis.
fn pointwise(axes: &Axes, budget: usize) -> Nest {
    /// Side of a box that one access crosses and another follows: a few cache lines.
    const SIDE: usize = 64;
    let dims = axes.dims.clone();
    let mut tile = vec![1; dims.len()];
    let row = dims.len().saturating_sub(1);
    let crossing = axes
        .strides
        .iter()
        .filter(|s| s.last().is_some_and(|&s| s > 1));
    let followed = crossing
        .filter_map(|s| s.iter().position(|&s| s == 1))
        .next();
    if let Some(followed) = followed {
        fill(&dims, &mut tile, std::iter::once(row), SIDE);
        let room = budget / tile[row];
        let left = fill(&dims, &mut tile, std::iter::once(followed), room);
        // A box's axes must be whole but for its outermost and its row.
        if tile[row] == dims[row] && tile[followed] == dims[followed] {
            fill(&dims, &mut tile, (0..followed).rev(), left);
        }
    } else {
        fill(&dims, &mut tile, (0..dims.len()).rev(), budget);
    }
    Nest {
        dims,
        tile,
        row,
        cut: false,
    }
}

//! Folds: pointwise code, then sums or maxima over the outer axes of the nest.
//!
//! Tiles are reduced in f32 over a few dozen elements; everything above that is added in f64, in an order that depends on the
//! shape alone: tiles within a chunk, then chunks.

mod across;
mod run;

use std::ops::Range;

use super::tile::nest::{Axes, Nest, fill};
use super::tile::tasks::GRAIN;
use super::tile::{Body, Copy, Program};
use crate::ir::program::ValueId;
use crate::plan::kernel::{Fold, Operand, Reduction};
use crate::plan::{Access, BufferId, Element, Plan};

/// A fold, ready to run.
#[derive(Debug)]
pub struct CompiledFold {
    program: Program,
    kept: Range<usize>,
    reduced: Range<usize>,
    /// Whether the rows of a tile run along the reduced axes.
    by_rows: bool,
    results: Vec<Output>,
    /// Tiles along the kept axes, and along the reduced ones.
    kept_tiles: usize,
    reduced_tiles: usize,
    /// Reduced tiles that one task adds up.
    chunk: usize,
}

#[derive(Debug)]
struct Output {
    reduction: Reduction,
    buffer: BufferId,
    element: Element,
    offset: usize,
    strides: Vec<usize>,
    accumulate: bool,
    /// Between a dense block of the kept axes and the buffer.
    load: Copy,
    store: Copy,
}

/// Prepares a fold.
pub fn prepare(fold: &Fold, plan: &Plan) -> CompiledFold {
    let by_rows = folds_along_memory(fold);
    let (r, k) = (fold.reduced.len(), fold.kept.len());
    // The axes in the order in which tiles hold them, as indices into `reduced` then `kept`.
    let order: Vec<usize> = match by_rows {
        true => (r..r + k).chain(0..r).collect(),
        false => (0..r + k).collect(),
    };
    let reorder = |offset: usize, strides: Vec<usize>| Access {
        offset,
        strides: order.iter().map(|&a| strides[a]).collect(),
    };
    let mut accesses: Vec<Access> = (fold.operands.iter())
        .map(Operand::access)
        .map(|access| reorder(access.offset, access.strides.clone()))
        .collect();
    accesses.extend(fold.results.iter().map(|result| {
        let strides = [vec![0; r], result.access.strides.clone()].concat();
        reorder(result.access.offset, strides)
    }));
    let groups: [&[usize]; 2] = match by_rows {
        true => [&fold.kept, &fold.reduced],
        false => [&fold.reduced, &fold.kept],
    };
    let axes = Axes::merged(&groups, &accesses.iter().collect::<Vec<_>>());
    let (outer, row) = (axes.groups[0].clone(), axes.groups[1].clone());
    let (kept, reduced) = if by_rows { (outer, row) } else { (row, outer) };

    let values: Vec<ValueId> = fold.results.iter().map(|result| result.value).collect();
    let body = Body {
        operands: &fold.operands,
        code: &fold.code,
        stores: &[],
        kept: &values,
        aside: None,
        row: 1,
        keeps_rows: false,
    };
    let nest = if by_rows {
        rows_of_reduced(&axes, body.tile_budget())
    } else {
        rows_of_kept(&axes, body.tile_budget())
    };
    let block = nest.without(reduced.clone());
    let results = (fold
        .results
        .iter()
        .zip(&axes.strides[fold.operands.len()..]))
    .map(|(result, strides)| Output {
        reduction: result.reduction,
        buffer: result.buffer,
        offset: result.access.offset,
        strides: strides.clone(),
        accumulate: result.accumulate,
        load: Copy::new(&block, strides, &nest.dense(kept.clone()))
            .between(plan.buffers[result.buffer].element, Element::F32),
        store: Copy::new(&block, &nest.dense(kept.clone()), strides)
            .between(Element::F32, plan.buffers[result.buffer].element),
        element: plan.buffers[result.buffer].element,
    })
    .collect();
    let whole = nest.whole();
    let kept_tiles = nest.tiles(kept.clone(), &whole);
    let reduced_tiles = nest.tiles(reduced.clone(), &whole);
    CompiledFold {
        chunk: chunk(nest.rows() * nest.width(), kept_tiles, reduced_tiles),
        program: Program::new(nest, &axes.strides[..fold.operands.len()], body, plan),
        kept,
        reduced,
        by_rows,
        results,
        kept_tiles,
        reduced_tiles,
    }
}

/// Whether memory runs along reduced axes rather than kept ones.
fn folds_along_memory(fold: &Fold) -> bool {
    let innermost = |dims: &[usize], first: usize| {
        let axis = dims.iter().rposition(|&dim| dim > 1)?;
        Some(first + axis)
    };
    let Some(kept) = innermost(&fold.kept, fold.reduced.len()) else {
        return true;
    };
    let along = |axis: Option<usize>| {
        let unit = |operand: &&Operand| axis.is_some_and(|a| operand.access().strides[a] == 1);
        fold.operands.iter().filter(unit).count()
    };
    along(innermost(&fold.reduced, 0)) > along(Some(kept))
}

/// Boxes whose rows run along the kept axes.
fn rows_of_kept(axes: &Axes, budget: usize) -> Nest {
    let mut tile = vec![1; axes.dims.len()];
    let (reduced, kept) = (axes.groups[0].clone(), axes.groups[1].clone());
    fill(
        &axes.dims,
        &mut tile,
        kept.clone().rev(),
        (budget / 16).clamp(128, 256),
    );
    let width: usize = tile[kept.clone()].iter().product();
    fill(&axes.dims, &mut tile, reduced.rev(), budget / width);
    Nest {
        dims: axes.dims.clone(),
        tile,
        row: kept.start,
        cut: false,
    }
}

/// Boxes whose rows run along the reduced axes.
fn rows_of_reduced(axes: &Axes, budget: usize) -> Nest {
    let mut tile = vec![1; axes.dims.len()];
    let (kept, reduced) = (axes.groups[0].clone(), axes.groups[1].clone());
    fill(&axes.dims, &mut tile, reduced.clone().rev(), budget);
    let width: usize = tile[reduced.clone()].iter().product();
    fill(&axes.dims, &mut tile, kept.rev(), budget / width);
    Nest {
        dims: axes.dims.clone(),
        tile,
        row: reduced.start,
        cut: false,
    }
}

/// Reduced tiles per task: enough work for a task, and not more tasks than are of use.
fn chunk(tile: usize, kept_tiles: usize, reduced_tiles: usize) -> usize {
    const MOST_TASKS: usize = 256;
    let worthwhile = GRAIN.div_ceil(tile);
    let few = (kept_tiles * reduced_tiles).div_ceil(MOST_TASKS);
    worthwhile.max(few).min(reduced_tiles).max(1)
}

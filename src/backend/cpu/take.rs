//! Rows picked from a table, and added back to one.

use super::tile::tasks::{GRAIN, tasks};
use super::{Launch, Memory, Run};
use crate::plan::Plan;
use crate::plan::kernel::{Scatter, Take};

/// A [`Take`], ready to run.
#[derive(Debug)]
pub struct CompiledTake(Take);

/// A [`Scatter`], ready to run.
#[derive(Debug)]
pub struct CompiledScatter(Scatter);

/// Prepares a [`Take`].
pub fn prepare_take(take: &Take, _plan: &Plan) -> CompiledTake {
    CompiledTake(take.clone())
}

/// Prepares a [`Scatter`].
pub fn prepare_scatter(scatter: &Scatter, _plan: &Plan) -> CompiledScatter {
    CompiledScatter(scatter.clone())
}

impl Run for CompiledTake {
    fn run(&self, memory: &Memory, _launch: &Launch) {
        let Take {
            rows, count, width, ..
        } = self.0;
        tasks(count, GRAIN.div_ceil(width.max(1)), |range| {
            // SAFETY: the plan's buffers hold `rows`, `count` and `count` rows; tasks write different rows.
            unsafe {
                let index = std::slice::from_raw_parts(memory.at(self.0.index), count);
                for i in range {
                    let row = row_number(index[i], rows);
                    let from = memory.at(self.0.table).add(row * width);
                    let to = memory.at(self.0.out).add(i * width);
                    std::ptr::copy_nonoverlapping(from, to, width);
                }
            }
        });
    }
}

impl Run for CompiledScatter {
    /// Each task owns a block of the result, some rows and some columns of it, and looks through all indices.
    fn run(&self, memory: &Memory, _launch: &Launch) {
        /// Columns of a block: enough that looking at an index is cheap beside adding a row.
        const COLUMNS: usize = 256;
        /// Blocks of rows, where there are too few of columns.
        const ROW_BLOCKS: usize = 8;
        let Scatter {
            rows, count, width, ..
        } = self.0;
        let across = width.div_ceil(COLUMNS);
        let down = match across {
            0..ROW_BLOCKS => ROW_BLOCKS.min(count * width / GRAIN).clamp(1, rows.max(1)),
            _ => 1,
        };
        let height = rows.div_ceil(down);
        tasks(across * down, 1, |range| {
            for block in range {
                let (column, row) = (block % across * COLUMNS, block / across * height);
                let columns = column..width.min(column + COLUMNS);
                // SAFETY: blocks are different parts of the result.
                unsafe { self.fill(memory, row..rows.min(row + height), columns) }
            }
        });
    }
}

impl CompiledScatter {
    /// # Safety
    /// No other thread may touch this block of the result.
    unsafe fn fill(
        &self,
        memory: &Memory,
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
    ) {
        let Scatter { count, width, .. } = self.0;
        // SAFETY: the plan's buffers hold `rows` rows of the result, and `count` rows and indices.
        unsafe {
            let (source, out) = (memory.at(self.0.source), memory.at(self.0.out));
            let line = |row: usize| {
                std::slice::from_raw_parts_mut(out.add(row * width + columns.start), columns.len())
            };
            if !self.0.accumulate {
                rows.clone().for_each(|row| line(row).fill(0.0));
            }
            let index = std::slice::from_raw_parts(memory.at(self.0.index), count);
            for (i, &row) in index.iter().enumerate() {
                let row = row_number(row, self.0.rows);
                if rows.contains(&row) {
                    let from = source.add(i * width + columns.start);
                    let added = std::slice::from_raw_parts(from, columns.len());
                    for (sum, &value) in line(row).iter_mut().zip(added) {
                        *sum += value;
                    }
                }
            }
        }
    }
}

/// A row of a table of `rows` rows.
///
/// # Panics
/// Where the index is none: to go on would read or write foreign memory.
fn row_number(index: f32, rows: usize) -> usize {
    let row = index as usize;
    assert!(
        row < rows && row as f32 == index,
        "index {index} of a table of {rows} rows"
    );
    row
}

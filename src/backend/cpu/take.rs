//! Rows picked from a table, and added back to one.

use super::half::widened;
use super::tile::tasks::{GRAIN, tasks};
use super::{Launch, Memory, Run};
use crate::plan::kernel::{Scatter, Take};
use crate::plan::{Element, Plan};

/// A [`Take`], ready to run.
#[derive(Debug)]
pub struct CompiledTake {
    take: Take,
    /// Bytes of a number of the table.
    bytes: usize,
}

/// A [`Scatter`], ready to run.
#[derive(Debug)]
pub struct CompiledScatter {
    scatter: Scatter,
    /// Of the rows that are added.
    source: Element,
}

/// Prepares a [`Take`].
pub fn prepare_take(take: &Take, plan: &Plan) -> CompiledTake {
    CompiledTake {
        take: take.clone(),
        bytes: plan.buffers[take.table].element.bytes(),
    }
}

/// Prepares a [`Scatter`].
pub fn prepare_scatter(scatter: &Scatter, plan: &Plan) -> CompiledScatter {
    CompiledScatter {
        scatter: scatter.clone(),
        source: plan.buffers[scatter.source].element,
    }
}

impl Run for CompiledTake {
    fn run(&self, memory: &Memory, _launch: &Launch) {
        let Take {
            rows, count, width, ..
        } = self.take;
        let length = width * self.bytes;
        tasks(count, GRAIN.div_ceil(width.max(1)), |range| {
            // SAFETY: the plan's buffers hold `rows`, `count` and `count` rows; tasks write different rows.
            unsafe {
                let index = std::slice::from_raw_parts(memory.at(self.take.index), count);
                for i in range {
                    let row = row_number(index[i], rows);
                    let from = memory.byte(self.take.table).add(row * length);
                    let to = memory.byte(self.take.out).add(i * length);
                    std::ptr::copy_nonoverlapping(from, to, length);
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
        } = self.scatter;
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
        let Scatter { count, width, .. } = self.scatter;
        // SAFETY: the plan's buffers hold `rows` rows of the result, and `count` rows and indices.
        unsafe {
            let out = memory.at(self.scatter.out);
            let line = |row: usize| {
                std::slice::from_raw_parts_mut(out.add(row * width + columns.start), columns.len())
            };
            if !self.scatter.accumulate {
                rows.clone().for_each(|row| line(row).fill(0.0));
            }
            let index = std::slice::from_raw_parts(memory.at(self.scatter.index), count);
            for (i, &row) in index.iter().enumerate() {
                let row = row_number(row, self.scatter.rows);
                if rows.contains(&row) {
                    let first = i * width + columns.start;
                    match self.source {
                        Element::F32 => {
                            let from = memory.at(self.scatter.source).add(first);
                            add(line(row), from, |x| x);
                        }
                        Element::Bf16 => {
                            let from = memory.half(self.scatter.source).add(first);
                            add(line(row), from, widened);
                        }
                    }
                }
            }
        }
    }
}

/// # Safety
/// As many elements as there are sums can be read.
unsafe fn add<T: Copy>(sums: &mut [f32], from: *const T, number: impl Fn(T) -> f32) {
    // SAFETY: as the caller promises.
    let added = unsafe { std::slice::from_raw_parts(from, sums.len()) };
    for (sum, &value) in sums.iter_mut().zip(added) {
        *sum += number(value);
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

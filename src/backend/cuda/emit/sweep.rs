//! Sweeps: one launch over many buffers, cut into pieces that are a block's work.

use super::{Argument, Emission};
use crate::backend::cuda::program::Table;

/// Elements of a piece: a multiple of what any thread moves at once.
pub const PIECE: usize = 8192;

/// Buffers cut into pieces.
pub struct Pieces {
    /// Of each piece the number of its buffer, its first element and how many it has, 32 bits each.
    pub table: Argument,
    pub count: usize,
    /// First piece of each buffer, and their end.
    pub starts: Vec<u32>,
}

impl Emission<'_> {
    /// `lens`: elements of each buffer.
    pub fn pieces(&mut self, lens: &[usize]) -> Pieces {
        let mut rows: Vec<[u32; 3]> = Vec::new();
        let mut starts = vec![0];
        for (buffer, &len) in lens.iter().enumerate() {
            let piece = |start| [buffer, start, PIECE.min(len - start)].map(|n| n as u32);
            rows.extend((0..len).step_by(PIECE).map(piece));
            starts.push(rows.len() as u32);
        }
        Pieces {
            table: self.table(Table::Bytes(words(rows.as_flattened()))),
            count: rows.len(),
            starts,
        }
    }
}

/// Numbers of 32 bits as they lie in the memory of a GPU.
pub fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

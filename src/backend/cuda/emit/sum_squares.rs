//! Sums of squares: one number for each piece, then one for each buffer.

use super::{
    Emission,
    source::{Draft, Part},
    sweep::words,
};
use crate::{
    backend::cuda::program::Table,
    plan::{Work, kernel::SumSquares},
};

const BLOCK: u32 = 256;

impl Emission<'_> {
    pub fn sum_squares(&mut self, sweep: &SumSquares, work: Work) {
        let lens: Vec<usize> = (sweep.sources.iter())
            .map(|&source| self.plan.buffers[source].len())
            .collect();
        let pieces = self.pieces(&lens);
        let sources = self.table(Table::Addresses(sweep.sources.clone()));
        let outs = self.table(Table::Addresses(sweep.outs.clone()));
        let starts = self.table(Table::Bytes(words(&pieces.starts)));
        let sums = self.scratch(pieces.count * size_of::<f64>());
        let draft = |stem, note: &str, text: &str, blocks: usize, shared| Draft {
            stem,
            note: note.into(),
            parts: vec![Part::Element, Part::Vector, Part::Reduce],
            text: text.into(),
            grid: [blocks as u32, 1, 1],
            block: BLOCK,
            shared,
        };
        if pieces.count > 0 {
            let squares = draft(
                "squares",
                "the sum of the squares of each piece",
                include_str!("../kernels/squares.cu"),
                pieces.count,
                128,
            );
            self.launch(squares, vec![sources, pieces.table, sums], work);
        }
        let norms = draft(
            "sums",
            "the sum of the pieces of each buffer",
            include_str!("../kernels/sums.cu"),
            lens.len(),
            BLOCK * size_of::<f64>() as u32,
        );
        self.launch(norms, vec![sums, starts, outs], Work::default());
    }
}

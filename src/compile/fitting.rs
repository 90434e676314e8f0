//! What is computed at once and what is computed again, where nobody says it: as the memory allows.

use super::{CompileError, Cost, DEFAULT_MEMORY, Draft, Options};
use crate::{language::library::Library, passes::Recompute, plan::work::Asked, recipe::Recipe};

/// What it takes to compute blocks again instead of keeping what is in them.
#[derive(Debug, Clone)]
pub struct Recomputation {
    /// Blocks whose inside is computed again.
    pub blocks: usize,
    /// Blocks that could be.
    pub of: usize,
    /// What the program would take that keeps all of it.
    pub without: Cost,
    /// What each kernel of its micro-batch would ask for.
    pub accumulate: Vec<Asked>,
}

/// All that decides a program but its size.
#[derive(Clone, Copy)]
pub struct Fitting<'o> {
    pub recipe: &'o Recipe,
    pub library: &'o Library,
    pub options: &'o Options<'o>,
}

impl<'o> Fitting<'o> {
    /// The program for so many images at once; where the options say what it may take, with as many blocks computed again as
    /// that asks.
    pub fn of(&self, micro_batch: usize) -> Result<Draft<'o>, CompileError> {
        let draft = self.draft(micro_batch)?;
        match self.options.memory {
            Some(budget) => self.within(draft, budget),
            None => self.told(draft),
        }
    }

    /// The program of the largest divisor of the batch whose plan fits, or of one image at a time where none does, and then with
    /// as many blocks computed again as it takes. A function of the recipe and the budget alone.
    pub fn largest(&self) -> Result<Draft<'o>, CompileError> {
        /// Large models come near [`DEFAULT_MEMORY`] with about so many images: often one program is all that is compiled.
        const FIRST: usize = 16;
        let budget = self.options.memory.unwrap_or(DEFAULT_MEMORY);
        let batch = self.recipe.train.batch;
        // Those that may still be larger than the best and fit, ascending.
        let mut open: Vec<usize> = (1..=batch).filter(|d| batch.is_multiple_of(*d)).collect();
        let mut next = open.iter().rposition(|d| *d <= FIRST).unwrap_or(0);
        let mut best = None;
        let mut tried = None;
        loop {
            let draft = self.draft(open[next])?;
            let Cost { arena, state, .. } = draft.program.cost;
            let images = draft.program.micro_batch as u64;
            // From two programs the arena is foretold by a line through both; from one, by what it takes for each image, which
            // is rather overstated: some of it does not grow with them.
            let per_image = match tried {
                Some((others, other)) => arena.abs_diff(other).div_ceil(images.abs_diff(others)),
                None => arena.div_ceil(images),
            };
            let foretold = |d: &usize| {
                let more = per_image as i64 * (*d as i64 - images as i64);
                state + arena.saturating_add_signed(more) <= budget
            };
            tried = Some((images, arena));
            if arena + state <= budget || images == 1 {
                open.drain(..=next);
                best = Some(draft);
            } else {
                open.truncate(next);
            }
            let larger = open.iter().rposition(foretold);
            if larger.is_none()
                && let Some(best) = best.take()
            {
                return self.within(best, budget);
            }
            // Where nothing fits, one image is what is left to try.
            next = larger.unwrap_or(0);
        }
    }

    /// Computes again what the recipe says, whatever that takes.
    fn draft(&self, micro_batch: usize) -> Result<Draft<'o>, CompileError> {
        let blocks = self.recipe.train.recompute.unwrap_or(0);
        self.again(micro_batch, Recompute::Blocks(blocks))
    }

    fn again(&self, micro_batch: usize, again: Recompute) -> Result<Draft<'o>, CompileError> {
        Draft::of(self.recipe, self.library, self.options, micro_batch, again)
    }

    /// The same program with as few blocks computed again as fit it into the budget: all where none fits it, and none where all
    /// of them do not make it smaller.
    fn within(&self, draft: Draft<'o>, budget: u64) -> Result<Draft<'o>, CompileError> {
        let memory = draft.program.cost.memory();
        if memory <= budget || self.recipe.train.recompute.is_some() {
            return self.told(draft);
        }
        let micro_batch = draft.program.micro_batch;
        let mut slimmer = self.again(micro_batch, Recompute::Bytes(memory - budget))?;
        loop {
            let more = slimmer.program.cost.memory().saturating_sub(budget);
            let done = slimmer.recomputed;
            if more == 0 || done.blocks == done.of {
                break;
            }
            // What was freed is more than was asked for, so that at least one block more is taken.
            slimmer = self.again(micro_batch, Recompute::Bytes(done.freed + more))?;
        }
        if slimmer.program.cost.memory() < memory {
            slimmer.tell(&draft);
            return Ok(slimmer);
        }
        Ok(draft)
    }

    /// Beside the same program with everything kept, where some of it is computed again.
    fn told(&self, mut draft: Draft<'o>) -> Result<Draft<'o>, CompileError> {
        if draft.recomputed.blocks > 0 {
            let without = self.again(draft.program.micro_batch, Recompute::NOTHING)?;
            draft.tell(&without);
        }
        Ok(draft)
    }
}

impl Draft<'_> {
    fn tell(&mut self, without: &Draft<'_>) {
        self.program.recomputed = Some(Recomputation {
            blocks: self.recomputed.blocks,
            of: self.recomputed.of,
            without: without.program.cost,
            accumulate: without.program.accumulate.clone(),
        });
    }
}

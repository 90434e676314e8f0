//! Running a fold: chunks of reduced tiles, then their sums.

use super::across::{self, Columns};
use super::{CompiledFold, Reduction};
use crate::backend::cpu::tile::nest::Window;
use crate::backend::cpu::tile::tasks::{GRAIN, tasks};
use crate::backend::cpu::tile::{Apply, Frame, Op, scratch};
use crate::backend::cpu::{Launch, Memory, Run};

impl Run for CompiledFold {
    fn run(&self, memory: &Memory, launch: &Launch) {
        let chunks = self.reduced_tiles.div_ceil(self.chunk).max(1);
        if chunks == 1 {
            self.run_whole(memory, launch);
        } else {
            self.run_in_chunks(memory, launch, chunks);
        }
    }
}

impl CompiledFold {
    /// Tasks of (kept tile, chunk) pairs that are worth their while.
    fn pairs_per_task(&self) -> usize {
        let nest = &self.program.nest;
        GRAIN.div_ceil(nest.rows() * nest.width() * self.chunk)
    }

    /// Each kept tile from the first reduced tile to the last.
    fn run_whole(&self, memory: &Memory, launch: &Launch) {
        let block = self.block();
        tasks(self.kept_tiles, self.pairs_per_task(), |range| {
            self.with_buffers(memory, launch, |frame, sums, partial| {
                for tile in range {
                    let window = self.window(tile);
                    self.fold(frame, &window, 0, sums, partial);
                    for (k, sums) in sums.chunks_mut(block).enumerate() {
                        self.finish(memory, &window, k, sums, partial);
                    }
                }
            });
        });
    }

    /// The chunks of all kept tiles, then their sums.
    fn run_in_chunks(&self, memory: &Memory, launch: &Launch, chunks: usize) {
        let block = self.block();
        let len = block * self.results.len();
        scratch::with(2 * len * chunks * self.kept_tiles, |partials| {
            let partials = Partials(partials.cast());
            tasks(self.kept_tiles * chunks, self.pairs_per_task(), |range| {
                self.with_buffers(memory, launch, |frame, _, partial| {
                    for task in range {
                        let window = self.window(task / chunks);
                        // SAFETY: every task has a block of its own.
                        let sums = unsafe { partials.block(task * len, len) };
                        self.fold(frame, &window, task % chunks, sums, partial);
                    }
                });
            });
            tasks(self.kept_tiles, GRAIN.div_ceil(len * chunks), |range| {
                self.with_buffers(memory, launch, |_, sums, partial| {
                    for tile in range {
                        // SAFETY: written above, and only read from here on.
                        let parts = unsafe { partials.block(tile * chunks * len, chunks * len) };
                        sums.copy_from_slice(&parts[..len]);
                        for (k, sums) in sums.chunks_mut(block).enumerate() {
                            for part in parts[len..].chunks(len) {
                                across::combine(
                                    self.results[k].reduction,
                                    sums,
                                    &part[k * block..],
                                );
                            }
                            self.finish(memory, &self.window(tile), k, sums, partial);
                        }
                    }
                });
            });
        });
    }

    /// Lends a frame, a block of sums for every result, and a block of floats.
    fn with_buffers(
        &self,
        memory: &Memory,
        launch: &Launch,
        work: impl FnOnce(&mut Frame, &mut [f64], &mut [f32]),
    ) {
        let block = self.block();
        let len = block * self.results.len();
        self.program
            .with_frame(memory, launch, 2 * len + block, |frame, extra| {
                // SAFETY: parts of this thread's scratch, asked for just above; the line it starts on aligns f64 too.
                let (sums, partial) = unsafe {
                    (
                        std::slice::from_raw_parts_mut(extra.cast::<f64>(), len),
                        std::slice::from_raw_parts_mut(extra.add(2 * len), block),
                    )
                };
                work(frame, sums, partial);
            });
    }

    /// Elements of the kept axes in a full tile.
    fn block(&self) -> usize {
        self.program.nest.tile[self.kept.clone()].iter().product()
    }

    /// Folds a chunk of reduced tiles for one kept tile into `sums`: for each result, a block.
    fn fold(
        &self,
        frame: &mut Frame,
        window: &Window,
        chunk: usize,
        sums: &mut [f64],
        partial: &mut [f32],
    ) {
        let nest = &self.program.nest;
        for (sums, result) in sums.chunks_mut(self.block()).zip(&self.results) {
            sums.fill(result.reduction.start());
        }
        let whole = nest.whole();
        let first = chunk * self.chunk;
        let tiles = first..self.reduced_tiles.min(first + self.chunk);
        nest.walk(self.reduced.clone(), &whole, window, tiles, |tile, next| {
            frame.run(tile, next);
            for (k, result) in self.results.iter().enumerate() {
                self.reduce(frame, k, partial);
                let sums = &mut sums[k * self.block()..][..self.block()];
                across::merge(self.program.arch, result.reduction, sums, partial);
            }
        });
    }

    /// Reduces the tile that ran last to a block.
    fn reduce(&self, frame: &Frame, k: usize, partial: &mut [f32]) {
        let reduction = self.results[k].reduction;
        let arg = frame.arg(k);
        // SAFETY: the frame's value covers the tile, and `partial` a block of kept elements.
        unsafe {
            if !self.by_rows {
                Columns {
                    reduction,
                    arg,
                    rows: frame.rows,
                    width: frame.width,
                    out: partial.as_mut_ptr(),
                }
                .run(self.program.arch);
            } else if arg.lane == 0 {
                for (i, out) in partial.iter_mut().enumerate().take(frame.rows) {
                    let value = *arg.at.add(i * arg.row);
                    *out = match reduction {
                        Reduction::Sum => value * frame.width as f32,
                        Reduction::Max => value,
                    };
                }
            } else {
                Apply {
                    op: match reduction {
                        Reduction::Sum => Op::RowSum,
                        Reduction::Max => Op::RowMax,
                    },
                    rows: frame.rows,
                    width: frame.width,
                    args: [arg; 3],
                    out: partial.as_mut_ptr(),
                    out_row: 1,
                }
                .run(self.program.arch);
            }
        }
    }

    /// Writes the finished block of a result.
    fn finish(
        &self,
        memory: &Memory,
        window: &Window,
        k: usize,
        sums: &mut [f64],
        partial: &mut [f32],
    ) {
        let result = &self.results[k];
        let steps = result.strides.iter().zip(&window.start);
        let offset = result.offset + steps.map(|(stride, start)| stride * start).sum::<usize>();
        // SAFETY: the plan keeps the result inside its buffer, and each kept tile is finished by one task.
        unsafe {
            let at = memory.byte(result.buffer);
            let at = at.add(offset * result.element.bytes());
            if result.accumulate {
                result.load.run(window, at, partial.as_mut_ptr().cast());
                across::merge(self.program.arch, result.reduction, sums, partial);
            }
            for (out, &sum) in partial.iter_mut().zip(&*sums) {
                *out = sum as f32;
            }
            result.store.run(window, partial.as_ptr().cast(), at);
        }
    }

    /// A window on a kept tile.
    fn window(&self, tile: usize) -> Window {
        let nest = &self.program.nest;
        let (whole, mut window) = (nest.whole(), nest.whole());
        nest.place(self.kept.clone(), &whole, tile, &mut window);
        for a in self.reduced.clone() {
            window.size[a] = 1;
        }
        window
    }
}

/// The sums of all chunks.
struct Partials(*mut f64);

// SAFETY: tasks touch blocks of their own.
unsafe impl Sync for Partials {}

impl Partials {
    /// # Safety
    /// Inside the memory asked for, and apart from every other block in use.
    #[allow(clippy::mut_from_ref)]
    unsafe fn block(&self, start: usize, len: usize) -> &mut [f64] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}

//! The optimizer: norms of the gradients, and the AdamW step.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::tile::tasks::tasks;
use super::tile::{load, load_part, scratch, store, store_part};
use super::{Launch, Memory, Run};
use crate::plan::kernel::{AdamW, Segment, SumSquares};
use crate::plan::{BufferId, Plan};

/// Buffers of many lengths, cut into pieces of similar size.
#[derive(Debug)]
struct Pieces {
    /// Index of the buffer, range in it.
    pieces: Vec<(usize, Range<usize>)>,
    /// Runs of pieces that are worth a task: small buffers share one.
    tasks: Vec<Range<usize>>,
}

impl Pieces {
    fn new(buffers: &[BufferId], plan: &Plan) -> Pieces {
        const PIECE: usize = 64 * 1024;
        let cut = |(i, &buffer): (usize, &BufferId)| {
            let len = plan.buffers[buffer].len();
            let starts = (0..len).step_by(PIECE);
            starts.map(move |start| (i, start..len.min(start + PIECE)))
        };
        let pieces: Vec<_> = buffers.iter().enumerate().flat_map(cut).collect();
        let mut tasks = vec![];
        let (mut first, mut elements) = (0, 0);
        for (i, (_, range)) in pieces.iter().enumerate() {
            elements += range.len();
            if elements >= PIECE || i + 1 == pieces.len() {
                tasks.push(first..i + 1);
                (first, elements) = (i + 1, 0);
            }
        }
        Pieces { pieces, tasks }
    }

    /// Calls `work` with the number of every piece, its buffer and its range.
    fn each(&self, work: impl Fn(usize, usize, &Range<usize>) + Sync) {
        tasks(self.tasks.len(), 1, |range| {
            for i in self.tasks[range].iter().cloned().flatten() {
                let (buffer, piece) = &self.pieces[i];
                work(i, *buffer, piece);
            }
        });
    }
}

/// A [`SumSquares`], ready to run.
#[derive(Debug)]
pub struct CompiledSumSquares {
    kernel: SumSquares,
    pieces: Pieces,
    arch: Arch,
}

/// Prepares a [`SumSquares`].
pub fn prepare_sum_squares(kernel: &SumSquares, plan: &Plan) -> CompiledSumSquares {
    CompiledSumSquares {
        pieces: Pieces::new(&kernel.sources, plan),
        kernel: kernel.clone(),
        arch: Arch::new(),
    }
}

impl Run for CompiledSumSquares {
    fn run(&self, memory: &Memory, _launch: &Launch) {
        let count = self.pieces.pieces.len();
        scratch::with(2 * count, |sums| {
            let sums = Sums(sums.cast());
            self.pieces.each(|i, source, range| {
                // SAFETY: the range is one of the source buffer; every piece has a sum of its own, on a boundary of f64.
                unsafe {
                    let from = memory.at(self.kernel.sources[source]).add(range.start);
                    let values = std::slice::from_raw_parts(from, range.len());
                    *sums.at(i) = self.arch.dispatch(Squares(values));
                }
            });
            let mut totals = vec![0.0; self.kernel.outs.len()];
            for (i, (source, _)) in self.pieces.pieces.iter().enumerate() {
                // SAFETY: written above.
                totals[*source] += unsafe { *sums.at(i) };
            }
            for (&out, total) in self.kernel.outs.iter().zip(totals) {
                // SAFETY: a scalar buffer of the plan.
                unsafe { *memory.at(out) = total as f32 }
            }
        });
    }
}

/// One sum for each piece.
struct Sums(*mut f64);

// SAFETY: each task writes the sums of its own pieces.
unsafe impl Sync for Sums {}

impl Sums {
    fn at(&self, i: usize) -> *mut f64 {
        self.0.wrapping_add(i)
    }
}

/// The sum of the squares of some numbers: in f32 over short stretches, in f64 from stretch to stretch.
struct Squares<'a>(&'a [f32]);

impl WithSimd for Squares<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> f64 {
        const STRETCH: usize = 2048;
        let mut total = 0.0;
        // Loops, not `map`: what is not inlined here is not compiled for the instruction set.
        for values in self.0.chunks(STRETCH) {
            let (vectors, rest) = S::as_simd_f32s(values);
            let mut sums = [s.splat_f32s(0.0); 4];
            let mut quads = vectors.chunks_exact(4);
            for quad in &mut quads {
                for (sum, &v) in sums.iter_mut().zip(quad) {
                    *sum = s.mul_add_e_f32s(v, v, *sum);
                }
            }
            for (sum, &v) in sums.iter_mut().zip(quads.remainder()) {
                *sum = s.mul_add_e_f32s(v, v, *sum);
            }
            let rest = s.partial_load_f32s(rest);
            sums[3] = s.mul_add_e_f32s(rest, rest, sums[3]);
            let halves = [s.add_f32s(sums[0], sums[1]), s.add_f32s(sums[2], sums[3])];
            total += s.reduce_sum_f32s(s.add_f32s(halves[0], halves[1])) as f64;
        }
        total
    }
}

/// An [`AdamW`], ready to run.
#[derive(Debug)]
pub struct CompiledAdamW {
    kernel: AdamW,
    pieces: Pieces,
    arch: Arch,
}

/// Prepares an [`AdamW`].
pub fn prepare_adamw(kernel: &AdamW, plan: &Plan) -> CompiledAdamW {
    let weights: Vec<BufferId> = kernel.segments.iter().map(|s| s.weight).collect();
    CompiledAdamW {
        pieces: Pieces::new(&weights, plan),
        kernel: kernel.clone(),
        arch: Arch::new(),
    }
}

impl Run for CompiledAdamW {
    fn run(&self, memory: &Memory, _launch: &Launch) {
        // SAFETY: scalar buffers of the plan.
        let scalar = |buffer| unsafe { *memory.at(buffer) };
        let (lr, clip) = (scalar(self.kernel.lr) as f64, scalar(self.kernel.clip));
        let correction1 = scalar(self.kernel.correction1) as f64;
        let correction2 = scalar(self.kernel.correction2) as f64;
        let [beta1, beta2] = self.kernel.betas;
        let rates = Rates {
            clip,
            lerp: (1.0 - beta1) as f32,
            keep: beta2 as f32,
            renew: (1.0 - beta2) as f32,
            root_correction: correction2.sqrt() as f32,
            eps: self.kernel.eps,
            shrink: 1.0,
            step: -(lr / correction1) as f32,
        };
        self.pieces.each(|_, segment, range| {
            let segment: &Segment = &self.kernel.segments[segment];
            self.arch.dispatch(Update {
                rates: Rates {
                    shrink: (1.0 - lr * segment.decay as f64) as f32,
                    ..rates
                },
                weight: memory.at(segment.weight).wrapping_add(range.start),
                gradient: memory.at(segment.gradient).wrapping_add(range.start),
                first_moment: memory.at(segment.first_moment).wrapping_add(range.start),
                second_moment: memory.at(segment.second_moment).wrapping_add(range.start),
                len: range.len(),
            });
        });
    }
}

/// The numbers of one step, rounded where PyTorch rounds them.
#[derive(Debug, Clone, Copy)]
struct Rates {
    clip: f32,
    /// 1 - β1
    lerp: f32,
    /// β2
    keep: f32,
    /// 1 - β2
    renew: f32,
    /// √(1 - β2ᵗ)
    root_correction: f32,
    eps: f32,
    /// 1 - lr·decay
    shrink: f32,
    /// -lr / (1 - β1ᵗ)
    step: f32,
}

/// The update of one piece of a weight.
struct Update {
    rates: Rates,
    weight: *mut f32,
    gradient: *mut f32,
    first_moment: *mut f32,
    second_moment: *mut f32,
    len: usize,
}

impl WithSimd for Update {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let lanes = S::F32_LANES;
        let whole = self.len / lanes * lanes;
        let at = |i: usize| {
            [
                self.weight,
                self.gradient,
                self.first_moment,
                self.second_moment,
            ]
            .map(|p| p.wrapping_add(i))
        };
        // SAFETY: the four buffers have `len` elements here, which no other task touches.
        unsafe {
            for i in (0..whole).step_by(lanes) {
                let at = at(i);
                let new = self.rates.update(s, at.map(|p| load::<S>(p)));
                for (p, v) in at.into_iter().zip(new) {
                    store::<S>(p, v);
                }
            }
            if whole < self.len {
                let n = self.len - whole;
                let at = at(whole);
                let new = self.rates.update(s, at.map(|p| load_part(s, p, n, 0.0)));
                for (p, v) in at.into_iter().zip(new) {
                    store_part::<S>(p, v, n);
                }
            }
        }
    }
}

impl Rates {
    /// New weight, zeroed gradient, new moments, operation by operation as PyTorch's single-tensor AdamW.
    #[inline(always)]
    fn update<S: Simd>(
        &self,
        s: S,
        [weight, gradient, first, second]: [S::f32s; 4],
    ) -> [S::f32s; 4] {
        let splat = |x: f32| s.splat_f32s(x);
        let g = s.mul_f32s(gradient, splat(self.clip));
        let first = s.mul_add_e_f32s(splat(self.lerp), s.sub_f32s(g, first), first);
        let square = s.mul_f32s(s.mul_f32s(splat(self.renew), g), g);
        let second = s.add_f32s(s.mul_f32s(second, splat(self.keep)), square);
        let root = s.div_f32s(s.sqrt_f32s(second), splat(self.root_correction));
        let denominator = s.add_f32s(root, splat(self.eps));
        let step = s.div_f32s(s.mul_f32s(splat(self.step), first), denominator);
        let weight = s.add_f32s(s.mul_f32s(weight, splat(self.shrink)), step);
        [weight, splat(0.0), first, second]
    }
}

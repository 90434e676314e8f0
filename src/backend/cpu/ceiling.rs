//! What the processor can do at most: multiply-adds on registers, and copies that no cache holds.

use super::gemm::isa::{Isa, Level, Make};
use crate::backend::Ceiling;
use std::{hint::black_box, sync::Mutex, time::Instant};

/// The best of several short runs on all threads of the current rayon pool, each of which does its own part: of tasks, one that is
/// awake might do those of one that sleeps.
pub fn ceiling() -> Ceiling {
    let threads = rayon::current_num_threads();
    let flops = Level::best().make(MultiplyAdds { threads });
    Ceiling {
        flops,
        halves: Level::best().make(Pairs { threads }).unwrap_or(flops),
        bandwidth: bandwidth(threads),
    }
}

/// Each is a few milliseconds: short beside the time for which a clock holds, long beside the start of a thread.
const RUNS: usize = 16;

/// The best rate of [`RUNS`], where one run does so much.
fn best(much: f64, mut run: impl FnMut()) -> f64 {
    let rate = |_| {
        let started = Instant::now();
        run();
        much / started.elapsed().as_secs_f64()
    };
    (0..RUNS).map(rate).fold(0.0, f64::max)
}

/// Turns of the loops that do nothing else.
const STEPS: usize = 2_000_000;

struct MultiplyAdds {
    threads: usize,
}

/// Sums that do not wait for one another: more than two units with a latency of five keep going, and few enough to stay in
/// sixteen registers.
const SUMS: usize = 12;

impl Make for MultiplyAdds {
    type Output = f64;

    fn make<S: Isa>(self, simd: S) -> f64 {
        let flops = 2 * self.threads * STEPS * SUMS * S::F32_LANES;
        best(flops as f64, || {
            rayon::broadcast(|_| multiply_adds(simd, STEPS));
        })
    }
}

fn multiply_adds<S: Isa>(simd: S, steps: usize) {
    simd.compiled(
        #[inline(always)]
        || {
            let factor = black_box(simd.splat_f32s(0.999));
            let term = black_box(simd.splat_f32s(0.001));
            let mut sums = [simd.splat_f32s(1.0); SUMS];
            for _ in 0..steps {
                for sum in &mut sums {
                    *sum = simd.mul_add_e_f32s(*sum, factor, term);
                }
            }
            black_box(sums);
        },
    );
}

struct Pairs {
    threads: usize,
}

impl Make for Pairs {
    /// `None` where the processor multiplies no pairs.
    type Output = Option<f64>;

    fn make<S: Isa>(self, simd: S) -> Option<f64> {
        let multiply_adds = simd.pairs()?.multiply_adds;
        let flops = 2 * self.threads * multiply_adds(STEPS);
        Some(best(flops as f64, || {
            rayon::broadcast(|_| multiply_adds(STEPS));
        }))
    }
}

fn bandwidth(threads: usize) -> f64 {
    /// Elements of each side: 64 MiB, more than the third cache of most machines.
    const LEN: usize = 16 << 20;
    let from = vec![1f32; LEN];
    let mut to = vec![0f32; LEN];
    let piece = LEN.div_ceil(threads);
    best(2.0 * size_of_val(&from[..]) as f64, || {
        let pieces = to.chunks_mut(piece).zip(from.chunks(piece));
        let pieces: Vec<_> = pieces.map(|piece| Mutex::new(Some(piece))).collect();
        rayon::broadcast(|thread| {
            let piece = pieces
                .get(thread.index())
                .and_then(|piece| piece.lock().ok()?.take());
            if let Some((to, from)) = piece {
                to.copy_from_slice(from);
            }
        });
        drop(pieces);
        black_box(&mut to);
    })
}

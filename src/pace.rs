//! How long a program takes on this machine, foretold: sample kernels are timed once, and every kernel of a program is set
//! beside them by what it asks for.

use crate::{
    ir::{
        program::{Instr, RowOp},
        roots,
    },
    plan::{
        Access, Buffer, BufferId, Element, Kernel, Place, Plan, Scheduled, Work,
        kernel::{Attention, Gemm, Operand, Rows, Store},
        work::Asked,
    },
    train::step::{Draw, KernelTime, Step, StepError},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rates of a backend's kernels on all of its threads together, each per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Floating-point operations of matrix products.
    pub flops: f64,
    /// The same of products that read nothing but bf16.
    pub halves: f64,
    /// Operations on single elements, as [`Work::pointwise`] counts them.
    pub pointwise: f64,
    /// The same inside attention.
    pub scores: f64,
    /// Bytes to and from memory.
    pub bandwidth: f64,
}

/// A sample runs so often; the fastest run counts.
const RUNS: usize = 5;

impl Pace {
    /// Times the [`samples`], in about a tenth of a second. `None` where the backend does not time its kernels.
    ///
    /// # Errors
    /// If the backend cannot run them.
    pub fn measure(samples: &mut dyn Step) -> Result<Option<Pace>, StepError> {
        let mut fastest: Vec<KernelTime> = Vec::new();
        for run in 0..=RUNS {
            if !samples.time_kernels() {
                return Ok(None);
            }
            samples.accumulate(Draw {
                seed: 0,
                step: 0,
                first_sample: 0,
            })?;
            let times = samples.kernel_times();
            match run {
                // The first touches memory that is not there yet.
                0 | 1 => fastest = times,
                _ => fastest.iter_mut().zip(times).for_each(|(best, time)| {
                    best.seconds = best.seconds.min(time.seconds);
                }),
            }
        }
        Ok(Some(Pace::from_samples(&fastest)))
    }

    fn from_samples(times: &[KernelTime]) -> Pace {
        let of = |label: &str| -> (Work, f64) {
            let some = times.iter().filter(|t| t.label == label);
            let (works, seconds): (Vec<_>, Vec<_>) = some.map(|t| (t.work, t.seconds)).unzip();
            (works.into_iter().sum(), seconds.into_iter().sum())
        };
        let rate = |much: u64, seconds: f64| much as f64 / seconds.max(1e-9);
        // The product of bf16 is the last.
        let mut products = times.iter().filter(|t| t.label == "gemm");
        let mut product = || {
            products
                .next()
                .map_or(1.0, |t| rate(t.work.flops, t.seconds))
        };
        let (flops, halves) = (product(), product());
        let (attention, attention_seconds) = of("attention");
        let products = attention.flops as f64 / flops;
        // The copies come first, the pointwise sample last.
        let rows: Vec<&KernelTime> = times.iter().filter(|t| t.label == "rows").collect();
        let (pointwise, copies) = rows
            .split_last()
            .map_or((None, &[][..]), |(last, rest)| (Some(*last), rest));
        let copied: u64 = copies.iter().map(|t| t.work.bytes).sum();
        Pace {
            flops,
            halves,
            pointwise: pointwise.map_or(flops, |t| rate(t.work.pointwise, t.seconds)),
            // Where the products alone would take all of the time, the scores are no slower than they.
            scores: rate(
                attention.pointwise,
                (attention_seconds - products).max(0.1 * products),
            ),
            bandwidth: rate(copied, copies.iter().map(|t| t.seconds).sum()),
        }
    }

    /// Of one run of a kernel.
    pub fn seconds(&self, asked: &Asked) -> f64 {
        /// Of starting a kernel on all threads.
        const START: f64 = 5e-6;
        let Work {
            flops,
            halves,
            pointwise,
            bytes,
        } = asked.work;
        let elements = match asked.label.starts_with("attention") {
            true => self.scores,
            false => self.pointwise,
        };
        let products = (flops - halves) as f64 / self.flops + halves as f64 / self.halves;
        let computed = products + pointwise as f64 / elements;
        START + computed.max(bytes as f64 / self.bandwidth)
    }

    /// Of the kernels of a program, one after the other.
    pub fn total(&self, program: &[Asked]) -> f64 {
        program.iter().map(|asked| self.seconds(asked)).sum()
    }

    /// Of programs that run so often, by kind of kernel; those that take longest first.
    pub fn by_kind(&self, programs: &[(&[Asked], usize)]) -> Vec<(String, f64)> {
        let mut kinds: BTreeMap<&str, f64> = BTreeMap::new();
        for &(program, runs) in programs {
            for asked in program {
                *kinds.entry(asked.label).or_default() += runs as f64 * self.seconds(asked);
            }
        }
        let kinds = kinds.into_iter();
        let mut kinds: Vec<_> = kinds.map(|(kind, time)| (kind.to_owned(), time)).collect();
        kinds.sort_by(|a, b| b.1.total_cmp(&a.1));
        kinds
    }
}

/// Elements of each side of a copy: 32 MiB, more than most caches.
const COPIED: usize = 8 << 20;
/// Rows and columns of the sample product; a square of them is the pointwise sample.
const ROWS: usize = 1152;
const WIDTH: usize = 512;
/// Windows, tokens and width of the attention sample.
const WINDOWS: usize = 64;
const TOKENS: usize = 49;
const HEAD: usize = 32;

/// A plan of kernels whose times tell the rates: two copies, a product of f32 and of bf16, attention in windows, a GELU.
pub fn samples() -> Plan {
    let mut plan = Plan {
        batch: 1,
        ..Plan::default()
    };
    let mut buffer = |dims: &[usize]| -> BufferId {
        plan.buffers.push(Buffer {
            dims: dims.to_vec(),
            element: Element::F32,
            place: Place::State,
            origin: "sample".into(),
        });
        plan.buffers.len() - 1
    };
    let sides = [COPIED, COPIED].map(|len| buffer(&[len]));
    let [a, b, c] = [[ROWS, WIDTH], [WIDTH, WIDTH], [ROWS, WIDTH]].map(|dims| buffer(&dims));
    let tokens = [WINDOWS, TOKENS, HEAD];
    let [q, k, v, out] = [tokens; 4].map(|dims| buffer(&dims));
    let log_sum = buffer(&[WINDOWS, TOKENS]);
    let [x, y] = [[WIDTH, WIDTH]; 2].map(|dims| buffer(&dims));
    let loss = buffer(&[]);

    let instr = |op, args: &[usize]| Instr {
        op,
        args: args.to_vec(),
    };
    let more = vec![instr(RowOp::Constant(1.0), &[]), instr(RowOp::Add, &[0, 1])];
    let gelu = vec![
        instr(RowOp::Constant(std::f32::consts::FRAC_1_SQRT_2), &[]),
        instr(RowOp::Mul, &[0, 1]),
        instr(RowOp::Erf, &[2]),
        instr(RowOp::Constant(1.0), &[]),
        instr(RowOp::Add, &[3, 4]),
        instr(RowOp::Mul, &[0, 5]),
        instr(RowOp::Constant(0.5), &[]),
        instr(RowOp::Mul, &[6, 7]),
    ];
    let product = Gemm {
        batch: vec![],
        m: ROWS,
        n: WIDTH,
        k: WIDTH,
        a: (a, Access::plain(&[ROWS, WIDTH])),
        b: (b, Access::plain(&[WIDTH, WIDTH])),
        c: (c, Access::plain(&[ROWS, WIDTH])),
        rounds: [false; 2],
        accumulate: false,
        epilogue: None,
    };
    let of_halves = Gemm {
        rounds: [true; 2],
        ..product.clone()
    };
    let all = || Access::plain(&tokens);
    let attention = Attention {
        batch: vec![WINDOWS],
        queries: TOKENS,
        keys: TOKENS,
        width: HEAD,
        value_width: HEAD,
        scale: 1.0,
        q: (q, all()),
        k: (k, all()),
        v: (v, all()),
        biases: vec![],
        dropout: None,
        out: (out, all()),
        log_sum: (log_sum, Access::plain(&[WINDOWS, TOKENS])),
    };
    let kernels = [
        (rows(&[COPIED / WIDTH], sides[0], sides[1], more.clone()), 0),
        (rows(&[COPIED / WIDTH], sides[1], sides[0], more), 0),
        (Kernel::Gemm(product), 2 * ROWS * WIDTH * WIDTH),
        (Kernel::Gemm(of_halves), 2 * ROWS * WIDTH * WIDTH),
        (
            Kernel::Attention(attention),
            4 * WINDOWS * TOKENS * TOKENS * HEAD,
        ),
        (rows(&[WIDTH], x, y, gelu), 0),
    ];
    plan.accumulate = kernels
        .into_iter()
        .map(|(kernel, flops)| Scheduled {
            kernel,
            origin: "sample".into(),
            flops: flops as u64,
        })
        .collect();
    plan.outputs = vec![(roots::LOSS.into(), loss)];
    plan
}

/// `code` on each element, its last value stored; rows of [`WIDTH`].
fn rows(grid: &[usize], from: BufferId, to: BufferId, code: Vec<Instr>) -> Kernel {
    let access = || Access::plain(&[grid, &[WIDTH]].concat());
    Kernel::Rows(Rows {
        grid: grid.to_vec(),
        row: vec![WIDTH],
        operands: vec![Operand::Memory(from, access())],
        stores: vec![Store {
            value: code.len(),
            buffer: to,
            access: access(),
        }],
        code,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(label: &'static str, work: Work, seconds: f64) -> KernelTime {
        KernelTime {
            label,
            origin: "sample".into(),
            work,
            runs: 1,
            seconds,
        }
    }

    fn work(flops: u64, pointwise: u64, bytes: u64) -> Work {
        Work {
            flops,
            halves: 0,
            pointwise,
            bytes,
        }
    }

    #[test]
    fn rates_come_from_the_samples_and_foretell_them_again() {
        let samples = [
            time("rows", work(0, 100, 8000), 2.0),
            time("rows", work(0, 100, 8000), 2.0),
            time("gemm", work(5000, 0, 100), 0.5),
            time(
                "gemm",
                Work {
                    halves: 5000,
                    ..work(5000, 0, 100)
                },
                0.25,
            ),
            // A second for the products, another for the scores.
            time("attention", work(10_000, 300, 100), 2.0),
            time("rows", work(0, 7000, 100), 1.0),
        ];
        let pace = Pace::from_samples(&samples);
        let wanted = Pace {
            flops: 10_000.0,
            halves: 20_000.0,
            pointwise: 7000.0,
            scores: 300.0,
            bandwidth: 4000.0,
        };
        assert_eq!(pace, wanted);
        for sample in samples {
            let asked = Asked {
                label: sample.label,
                work: sample.work,
            };
            let foretold = pace.seconds(&asked);
            assert!(
                (foretold - sample.seconds).abs() < 1e-4,
                "{foretold}: {sample:?}"
            );
        }
    }

    #[test]
    fn kinds_of_kernels_add_up_to_the_whole() {
        let pace = Pace {
            flops: 1e9,
            halves: 1e9,
            pointwise: 1e9,
            scores: 1e9,
            bandwidth: 1e9,
        };
        let asked = |label, flops| Asked {
            label,
            work: work(flops, 0, 0),
        };
        let step = [
            asked("rows", 1_000),
            asked("gemm", 1_000_000),
            asked("rows", 500),
        ];
        let update = [asked("adamw", 10)];
        let kinds = pace.by_kind(&[(&step, 3), (&update, 1)]);
        let names: Vec<&str> = kinds.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(names, ["gemm", "rows", "adamw"]);
        let sum: f64 = kinds.iter().map(|(_, seconds)| seconds).sum();
        let whole = 3.0 * pace.total(&step) + pace.total(&update);
        assert!((sum / whole - 1.0).abs() < 1e-12);
    }

    #[test]
    fn samples_are_a_sound_plan() {
        crate::plan::check::check(&samples()).expect("sound");
    }
}

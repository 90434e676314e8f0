use mimc::backend::cpu::optimizer::{prepare_adamw, prepare_sum_squares};
use mimc::plan::kernel::{AdamW, Segment, SumSquares};

use crate::harness::Bench;

const LENGTHS: [usize; 6] = [1, 3, 17, 1000, 65_537, 200_000];

#[test]
fn sums_of_squares_are_exact_to_rounding() {
    let mut bench = Bench::default();
    let kernel = SumSquares {
        sources: LENGTHS.map(|len| bench.noise(len)).into(),
        outs: LENGTHS.map(|_| bench.noise(1)).into(),
    };
    let got = bench.after_any(&prepare_sum_squares(&kernel, &bench.plan));
    for (&source, &out) in kernel.sources.iter().zip(&kernel.outs) {
        let squares = bench.data[source].iter().map(|&v| v as f64 * v as f64);
        let expected: f64 = squares.sum();
        assert!((got[out][0] as f64 - expected).abs() <= 3e-7 * expected);
    }
}

#[test]
fn adamw_steps_as_the_formula_says() {
    let mut bench = Bench::default();
    let mut segment = |len: usize, decay: f32| {
        let segment = Segment {
            weight: bench.noise(len),
            gradient: bench.noise(len),
            first_moment: bench.noise(len),
            second_moment: bench.noise(len),
            decay,
        };
        bench.data[segment.second_moment]
            .iter_mut()
            .for_each(|v| *v = v.abs());
        segment
    };
    let segments: Vec<Segment> = (LENGTHS.iter().enumerate())
        .map(|(i, &len)| segment(len, if i % 2 == 0 { 0.05 } else { 0.0 }))
        .collect();
    let kernel = AdamW {
        segments,
        betas: [0.9, 0.999],
        eps: 1e-8,
        lr: bench.buffer(vec![1e-3]),
        correction1: bench.buffer(vec![1.0 - 0.9f32.powi(3)]),
        correction2: bench.buffer(vec![1.0 - 0.999f32.powi(3)]),
        clip: bench.buffer(vec![0.7]),
    };
    let got = bench.after_any(&prepare_adamw(&kernel, &bench.plan));
    let scalar = |buffer: usize| bench.data[buffer][0] as f64;
    let (lr, clip) = (scalar(kernel.lr), scalar(kernel.clip));
    let (c1, c2) = (scalar(kernel.correction1), scalar(kernel.correction2));
    for segment in &kernel.segments {
        for (i, &weight) in bench.data[segment.weight].iter().enumerate() {
            let before = |buffer: usize| bench.data[buffer][i] as f64;
            let after = |buffer: usize| got[buffer][i] as f64;
            let close =
                |a: f64, b: f64| assert!((a - b).abs() <= 3e-7 * b.abs().max(1.0), "{a} {b}");
            let g = before(segment.gradient) * clip;
            let m = before(segment.first_moment) + (g - before(segment.first_moment)) * 0.1;
            let v = 0.999 * before(segment.second_moment) + 0.001 * g * g;
            let kept = weight as f64 * (1.0 - lr * segment.decay as f64);
            let w = kept - lr / c1 * m / (v.sqrt() / c2.sqrt() + 1e-8);
            close(after(segment.first_moment), m);
            close(after(segment.second_moment), v);
            close(after(segment.weight), w);
            assert_eq!(after(segment.gradient), 0.0);
        }
    }
}

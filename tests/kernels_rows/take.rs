use mimc::backend::cpu::Run;
use mimc::backend::cpu::take::{prepare_scatter, prepare_take};
use mimc::plan::kernel::{Scatter, Take};

use crate::harness::{Bench, launch};
use crate::random::Dice;

const SHAPES: [(usize, usize, usize); 6] = [
    (1, 1, 1),
    (5, 17, 3),
    (169, 2401, 4),
    (1000, 300, 768),
    (7, 5000, 33),
    (3, 0, 8),
];

pub fn indices(bench: &mut Bench, rows: usize, count: usize) -> usize {
    let mut dice = Dice::new((rows * count) as u64);
    bench.buffer((0..count).map(|_| dice.below(rows) as f32).collect())
}

#[test]
fn take_picks_rows() {
    for (rows, count, width) in SHAPES {
        let mut bench = Bench::default();
        let index = indices(&mut bench, rows, count);
        let take = Take {
            table: bench.noise(rows * width),
            index,
            rows,
            count,
            width,
            out: bench.noise(count * width),
        };
        let got = bench.after_any(&prepare_take(&take, &bench.plan));
        for (i, out) in got[take.out].chunks(width).enumerate() {
            let row = bench.data[index][i] as usize;
            assert_eq!(out, &bench.data[take.table][row * width..][..width]);
        }
    }
}

#[test]
fn scatter_adds_rows_in_order() {
    for (rows, count, width) in SHAPES {
        for accumulate in [false, true] {
            let mut bench = Bench::default();
            let index = indices(&mut bench, rows, count);
            let scatter = Scatter {
                source: bench.noise(count * width),
                index,
                rows,
                count,
                width,
                out: bench.noise(rows * width),
                accumulate,
            };
            let got = bench.after_any(&prepare_scatter(&scatter, &bench.plan));
            let mut expected = match accumulate {
                true => bench.data[scatter.out].clone(),
                false => vec![0.0; rows * width],
            };
            for (i, line) in bench.data[scatter.source].chunks(width).enumerate() {
                let row = bench.data[index][i] as usize;
                for (sum, value) in expected[row * width..].iter_mut().zip(line) {
                    *sum += value;
                }
            }
            assert_eq!(got[scatter.out], expected);
        }
    }
}

#[test]
fn indices_outside_the_table_are_refused() {
    for index in [3.0, -1.0, 0.5, f32::NAN, f32::INFINITY] {
        let mut bench = Bench::default();
        let take = Take {
            table: bench.noise(3),
            index: bench.buffer(vec![index]),
            rows: 3,
            count: 1,
            width: 1,
            out: bench.noise(1),
        };
        let kernel = prepare_take(&take, &bench.plan);
        let run = || bench.after(1, |memory| kernel.run(memory, &launch()));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    }
}

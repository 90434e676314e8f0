//! Buffers in bf16: the bits of f32 buffers that hold the same numbers, and where results go, those rounded.

use half::bf16;
use mimc::backend::cpu::fold;
use mimc::backend::cpu::rows::{prepare, prepare_blocks};
use mimc::backend::cpu::take::{prepare_scatter, prepare_take};
use mimc::backend::cpu::{Memory, Run};
use mimc::ir::program::RowOp;
use mimc::plan::kernel::{Operand, Rows, Scatter, Store, Take};
use mimc::plan::{BufferId, Element};

use crate::fold::any_fold;
use crate::harness::{Bench, dense, instr, launch};
use crate::random::Dice;
use crate::rows::{BLOCKS, any_matrix, any_rows};
use crate::take::indices;

/// About half of the buffers.
fn some(bench: &Bench, seed: u64) -> Vec<BufferId> {
    let mut dice = Dice::new(seed + 77);
    let all = 0..bench.data.len();
    all.filter(|_| dice.below(2) == 0).collect()
}

/// What a kernel leaves in f32 buffers, rounded where the other bench stores bf16, against what it leaves there.
fn assert_same(
    [plain, half]: [&Bench; 2],
    threads: usize,
    run: impl Fn(&Bench, &Memory) + Send + Sync,
    what: &str,
) {
    let wanted = plain.after(1, |memory| run(plain, memory));
    let got = half.after(threads, |memory| run(half, memory));
    for (buffer, (wanted, got)) in wanted.iter().zip(&got).enumerate() {
        let rounds = half.plan.buffers[buffer].element == Element::Bf16;
        for (i, (&wanted, &got)) in wanted.iter().zip(got).enumerate() {
            let wanted = match rounds {
                true => bf16::from_f32(wanted).to_f32(),
                false => wanted,
            };
            let same = wanted.to_bits() == got.to_bits() || wanted.is_nan() && got.is_nan();
            assert!(
                same,
                "buffer {buffer}, element {i}: {got:e} for {wanted:e}\n{what}"
            );
        }
    }
}

#[test]
fn row_programs_read_and_write_them() {
    for seed in 0..800 {
        let (bench, rows) = any_rows(seed);
        let halves = some(&bench, seed);
        let (plain, half) = bench.halved(&halves);
        let run =
            |bench: &Bench, memory: &Memory| prepare(&rows, &bench.plan).run(memory, &launch());
        let what = format!("seed {seed}, {halves:?}: {rows:#?}");
        assert_same([&plain, &half], 1 + seed as usize % 3, run, &what);
    }
}

#[test]
fn blocks_of_a_matrix_read_and_write_them() {
    for seed in 0..300 {
        let (bench, rows) = any_matrix(seed);
        let halves = some(&bench, seed);
        let (plain, half) = bench.halved(&halves);
        let (m, n) = (rows.grid[0], rows.row[0]);
        let run = |bench: &Bench, memory: &Memory| {
            let kernel = prepare_blocks(&rows, &bench.plan, BLOCKS);
            for rows in [0..m / 3, m / 3..m] {
                kernel.run_block(memory, &launch(), rows, 0..n, std::ptr::null_mut());
            }
        };
        let what = format!("seed {seed}, {halves:?}: {rows:#?}");
        assert_same([&plain, &half], 1, run, &what);
    }
}

#[test]
fn folds_read_and_write_them() {
    for seed in 0..500 {
        let (bench, fold) = any_fold(seed);
        let halves = some(&bench, seed);
        let (plain, half) = bench.halved(&halves);
        let run = |bench: &Bench, memory: &Memory| {
            fold::prepare(&fold, &bench.plan).run(memory, &launch())
        };
        let what = format!("seed {seed}, {halves:?}: {fold:#?}");
        assert_same([&plain, &half], 1 + seed as usize % 3, run, &what);
    }
}

/// The store rounds: what the code rounds for it alone it does not round twice, what it also computes with it does.
#[test]
fn rounded_values_are_stored_and_used() {
    let dims = [40, 33];
    let access = || dense(&dims, &[0, 1]);
    let mut bench = Bench::default();
    let [a, b, rounded, sum] = [(); 4].map(|()| bench.noise(40 * 33));
    let store = |value, buffer| Store {
        value,
        buffer,
        access: access(),
    };
    let rows = Rows {
        grid: vec![40],
        row: vec![33],
        operands: vec![Operand::Memory(a, access()), Operand::Memory(b, access())],
        code: vec![
            instr(RowOp::Mul, &[0, 1]),
            instr(RowOp::Bf16, &[2]),
            instr(RowOp::Add, &[3, 0]),
        ],
        stores: vec![store(3, rounded), store(4, sum)],
    };
    let (plain, half) = bench.halved(&[rounded]);
    let run = |bench: &Bench, memory: &Memory| prepare(&rows, &bench.plan).run(memory, &launch());
    assert_same([&plain, &half], 2, run, "a rounded product");
    let after = plain.after(1, |memory| run(&plain, memory));
    let factors = plain.data[a].iter().zip(&plain.data[b]);
    let results = after[rounded].iter().zip(&after[sum]);
    for ((&a, &b), (&rounded, &sum)) in factors.zip(results) {
        assert_eq!(rounded, bf16::from_f32(a * b).to_f32());
        assert_eq!(sum, rounded + a);
    }
}

#[test]
fn rows_are_taken_from_and_scattered_to_tables() {
    for (rows, count, width) in [(5, 17, 3), (169, 2401, 4), (100, 300, 768), (7, 5000, 33)] {
        let mut bench = Bench::default();
        let index = indices(&mut bench, rows, count);
        let [table, out] = [rows, count].map(|n| bench.noise(n * width));
        let take = Take {
            table,
            index,
            rows,
            count,
            width,
            out,
        };
        let (plain, half) = bench.halved(&[table, out]);
        let run = |bench: &Bench, memory: &Memory| {
            prepare_take(&take, &bench.plan).run(memory, &launch())
        };
        assert_same([&plain, &half], 3, run, "take");
        let scatter = Scatter {
            source: out,
            index,
            rows,
            count,
            width,
            out: table,
            accumulate: false,
        };
        let (plain, half) = plain.halved(&[out]);
        let run = |bench: &Bench, memory: &Memory| {
            prepare_scatter(&scatter, &bench.plan).run(memory, &launch());
        };
        assert_same([&plain, &half], 3, run, "scatter");
    }
}

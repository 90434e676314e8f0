use mimc::backend::cpu::fold::prepare;
use mimc::ir::program::RowOp;
use mimc::plan::kernel::{Fold, FoldResult, Operand, Reduction};

use crate::harness::{Bench, assert_close, dense, instr, reach};
use crate::random::Dice;

pub fn any_fold(seed: u64) -> (Bench, Fold) {
    let mut dice = Dice::new(seed);
    let mut bench = Bench::default();
    let reduced = dice.dims(3, 20_000);
    let kept = dice.dims(3, 60_000 / reduced.iter().product::<usize>());
    let dims: Vec<usize> = reduced.iter().chain(&kept).copied().collect();
    let mut operands = vec![];
    for _ in 0..1 + dice.below(3) {
        let kind = dice.below(6);
        let access = dice.access(&dims, |dice, axis| match kind {
            0 => axis >= reduced.len(),
            1 => axis < reduced.len(),
            _ => dice.one_in(8),
        });
        operands.push(if dice.one_in(8) {
            Operand::Draw(bench.stream("noise", 9), access)
        } else {
            Operand::Memory(bench.noise(reach(&access, &dims)), access)
        });
    }
    let len = dice.below(6);
    let (code, bounds) = dice.code(operands.len(), len, None);
    let mut results = vec![];
    for _ in 0..1 + dice.below(2) {
        let access = dice.access(&kept, |_, _| false);
        results.push(FoldResult {
            value: dice.below(bounds.len()),
            reduction: dice.pick(&[Reduction::Sum, Reduction::Sum, Reduction::Max]),
            buffer: bench.noise(reach(&access, &kept)),
            access,
            accumulate: dice.one_in(2),
        });
    }
    let fold = Fold {
        reduced,
        kept,
        operands,
        code,
        results,
    };
    (bench, fold)
}

#[test]
fn random_folds_match_loops_on_any_number_of_threads() {
    for seed in 0..1000 {
        let (bench, fold) = any_fold(seed);
        let got = bench.after_any(&prepare(&fold, &bench.plan));
        assert_close(
            &got,
            &bench.fold(&fold),
            2e-3,
            &format!("seed {seed}: {fold:#?}"),
        );
    }
}

/// Sums `dims` over its first axes, in the memory order given.
fn sum(dims: &[usize], reduced: usize, order: &[usize], accumulate: bool) -> (Bench, Fold) {
    let mut bench = Bench::default();
    let (over, kept) = dims.split_at(reduced);
    let kept_order: Vec<usize> = (0..kept.len()).collect();
    // Mostly one sign, so that errors add up.
    let len = dims.iter().product();
    let source = bench.noise(len);
    bench.data[source].iter_mut().for_each(|v| *v += 1.9);
    let fold = Fold {
        reduced: over.to_vec(),
        kept: kept.to_vec(),
        operands: vec![Operand::Memory(source, dense(dims, order))],
        code: vec![instr(RowOp::Mul, &[0, 0])],
        results: vec![FoldResult {
            value: 1,
            reduction: Reduction::Sum,
            buffer: bench.noise(kept.iter().product()),
            access: dense(kept, &kept_order),
            accumulate,
        }],
    };
    (bench, fold)
}

#[test]
fn long_sums_keep_their_precision() {
    let cases: [(&[usize], usize, &[usize]); 7] = [
        (&[500_000], 1, &[0]),
        (&[4, 3, 192, 192], 4, &[0, 1, 2, 3]),
        (&[100_000, 7], 1, &[0, 1]),
        (&[9216, 128], 1, &[0, 1]),
        (&[100, 4000], 1, &[1, 0]),
        (&[8, 49, 200], 2, &[0, 2, 1]),
        (&[16, 40_000], 1, &[0, 1]),
    ];
    for (dims, reduced, order) in cases {
        for accumulate in [false, true] {
            let (bench, fold) = sum(dims, reduced, order, accumulate);
            let got = bench.after_any(&prepare(&fold, &bench.plan));
            assert_close(&got, &bench.fold(&fold), 4e-7, &format!("{dims:?}"));
        }
    }
}

#[test]
fn a_fold_of_nothing_is_zero() {
    let (bench, fold) = sum(&[0, 5], 1, &[0, 1], false);
    let got = bench.after_any(&prepare(&fold, &bench.plan));
    assert_eq!(got[1], [0.0; 5]);
}

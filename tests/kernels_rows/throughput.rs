//! How fast the kernels are, printed: `cargo test --release --test kernels_rows -- --ignored --nocapture throughput`.

use std::time::Instant;

use mimc::backend::cpu::optimizer::{prepare_adamw, prepare_sum_squares};
use mimc::backend::cpu::{Memory, Run, fold, rows};
use mimc::ir::program::{Instr, RowOp, ValueId};
use mimc::plan::kernel::{
    AdamW, Fold, FoldResult, Operand, Reduction, Rows, Segment, Store, SumSquares,
};
use mimc::plan::{Access, BufferId};

use crate::harness::{Bench, dense, instr, launch};
use crate::programs;

/// Best of some runs, beside the bytes that must move at least.
fn time(name: &str, bench: &mut Bench, kernel: &dyn Run, bytes: usize) {
    let addresses = bench
        .data
        .iter_mut()
        .map(|d| d.as_mut_ptr().cast())
        .collect();
    // SAFETY: the buffers outlive this function.
    let memory = unsafe { Memory::new(addresses) };
    let once = || {
        let start = Instant::now();
        kernel.run(&memory, &launch());
        start.elapsed().as_secs_f64()
    };
    let best = (0..40).map(|_| once()).fold(f64::INFINITY, f64::min);
    println!(
        "{name:<44} {:8.3} ms {:7.1} GB/s",
        best * 1e3,
        bytes as f64 / best / 1e9
    );
}

fn time_rows(name: &str, mut bench: Bench, kernel: &Rows) {
    let elements: usize = kernel.grid.iter().chain(&kernel.row).product();
    let wide = |access: &Access| {
        let dims = kernel.grid.iter().chain(&kernel.row);
        let visited: usize = dims
            .zip(&access.strides)
            .map(|(&d, &s)| if s == 0 { 1 } else { d })
            .product();
        4 * visited
    };
    let reads: usize = kernel
        .operands
        .iter()
        .filter(|o| o.buffer().is_some())
        .map(|o| wide(o.access()))
        .sum();
    let writes: usize = kernel.stores.iter().map(|s| wide(&s.access)).sum();
    let prepared = rows::prepare(kernel, &bench.plan);
    let dims: Vec<usize> = kernel.grid.iter().chain(&kernel.row).copied().collect();
    time(
        &format!("{name} {dims:?} ({elements})"),
        &mut bench,
        &prepared,
        reads + writes,
    );
}

#[test]
#[ignore = "prints, checks nothing"]
fn throughput() {
    for (n, c) in [(9216, 128), (576, 512), (788, 768)] {
        for (name, draft) in [
            ("residual + layer norm", programs::layer_norm(n, c)),
            ("layer norm gradient", programs::layer_norm_gradient(n, c)),
        ] {
            let (bench, kernel) = draft.kernel();
            time_rows(name, bench, &kernel);
        }
    }
    for (name, draft) in [
        ("gelu", programs::gelu(9216, 512)),
        (
            "gelu and its gradient",
            programs::gelu_and_gradient(9216, 512),
        ),
        ("softmax", programs::softmax_and_gradient(9216, 36)),
    ] {
        let (bench, kernel) = draft.kernel();
        time_rows(name, bench, &kernel);
    }
    pointwise(
        "add",
        &[9216, 512],
        &[&[0, 1], &[0, 1]],
        &[instr(RowOp::Add, &[0, 1])],
        &[0, 1],
    );
    pointwise(
        "add, small",
        &[784, 512],
        &[&[0, 1], &[0, 1]],
        &[instr(RowOp::Add, &[0, 1])],
        &[0, 1],
    );
    pointwise(
        "per image",
        &[16, 49, 768],
        &[&[0, 1, 2], &[0]],
        &[instr(RowOp::Mul, &[0, 1])],
        &[0, 1, 2],
    );
    pointwise("copy", &[9216, 512], &[&[0, 1]], &[], &[0, 1]);
    pointwise(
        "windows",
        &[4, 8, 8, 6, 6, 128],
        &[&[0, 1, 3, 2, 4, 5]],
        &[],
        &[0, 1, 2, 3, 4, 5],
    );
    pointwise(
        "heads",
        &[64, 3, 4, 144, 32],
        &[&[0, 3, 1, 2, 4]],
        &[],
        &[0, 1, 2, 3, 4],
    );
    pointwise(
        "patches",
        &[16, 14, 14, 3, 16, 16],
        &[&[0, 3, 1, 4, 2, 5]],
        &[],
        &[0, 1, 2, 3, 4, 5],
    );
    pointwise(
        "patches of 4",
        &[16, 48, 48, 4, 4, 3],
        &[&[0, 5, 1, 3, 2, 4]],
        &[],
        &[0, 1, 2, 3, 4, 5],
    );
    pointwise("transpose", &[2048, 2048], &[&[1, 0]], &[], &[0, 1]);
    pointwise("transpose", &[3000, 700], &[&[1, 0]], &[], &[0, 1]);
    sums("columns", &[9216, 512], 1, &[0, 1]);
    sums("columns", &[36_864, 128], 1, &[0, 1]);
    sums("columns", &[576, 4096], 1, &[0, 1]);
    sums("batch", &[16, 196 * 768], 1, &[0, 1]);
    sums("whole", &[4_718_592], 1, &[0]);
    sums("rows", &[512, 9216], 1, &[1, 0]);
    draws();
    optimizer();
}

fn pointwise(name: &str, dims: &[usize], operands: &[&[usize]], code: &[Instr], out: &[usize]) {
    let mut bench = Bench::default();
    let mut buffer = |axes: &[usize]| bench.noise(axes.iter().map(|&a| dims[a]).product());
    let operands: Vec<Operand> = operands
        .iter()
        .map(|axes| Operand::Memory(buffer(axes), dense(dims, axes)))
        .collect();
    let value: ValueId = operands.len() + code.len() - 1;
    let stores = vec![Store {
        value,
        buffer: buffer(out),
        access: dense(dims, out),
    }];
    let kernel = Rows {
        grid: dims.to_vec(),
        row: vec![],
        operands,
        code: code.to_vec(),
        stores,
    };
    time_rows(name, bench, &kernel);
}

fn sums(name: &str, dims: &[usize], reduced: usize, order: &[usize]) {
    let mut bench = Bench::default();
    let (over, kept) = dims.split_at(reduced);
    let len: usize = dims.iter().product();
    let kept_order: Vec<usize> = (0..kept.len()).collect();
    let kernel = Fold {
        reduced: over.to_vec(),
        kept: kept.to_vec(),
        operands: vec![Operand::Memory(bench.noise(len), dense(dims, order))],
        code: vec![],
        results: vec![FoldResult {
            value: 0,
            reduction: Reduction::Sum,
            buffer: bench.noise(kept.iter().product()),
            access: dense(kept, &kept_order),
            accumulate: false,
        }],
    };
    let prepared = fold::prepare(&kernel, &bench.plan);
    time(
        &format!("sum of {name} {dims:?}"),
        &mut bench,
        &prepared,
        4 * len,
    );
}

fn draws() {
    let mut bench = Bench::default();
    let stream = bench.stream("drop", 1 << 20);
    let dims = [4, 1 << 20];
    let kernel = Rows {
        grid: dims.to_vec(),
        row: vec![],
        operands: vec![Operand::Draw(stream, dense(&dims, &[0, 1]))],
        code: vec![],
        stores: vec![Store {
            value: 0,
            buffer: bench.noise(4 << 20),
            access: dense(&dims, &[0, 1]),
        }],
    };
    time_rows("draws", bench, &kernel);
}

fn optimizer() {
    const LEN: usize = 10_000_000;
    let mut bench = Bench::default();
    let mut noise = || -> BufferId { bench.noise(LEN) };
    let segment = Segment {
        weight: noise(),
        gradient: noise(),
        first_moment: noise(),
        second_moment: noise(),
        decay: 0.05,
    };
    bench.data[segment.second_moment]
        .iter_mut()
        .for_each(|v| *v = v.abs());
    let scalar = bench.buffer(vec![0.5]);
    let squares = SumSquares {
        sources: vec![segment.gradient],
        outs: vec![bench.noise(1)],
    };
    let step = AdamW {
        segments: vec![segment],
        betas: [0.9, 0.999],
        eps: 1e-8,
        lr: scalar,
        correction1: scalar,
        correction2: scalar,
        clip: scalar,
    };
    let prepared = prepare_sum_squares(&squares, &bench.plan);
    time("sum of squares, 10M", &mut bench, &prepared, 4 * LEN);
    let prepared = prepare_adamw(&step, &bench.plan);
    time("adamw, 10M", &mut bench, &prepared, 32 * LEN);
}

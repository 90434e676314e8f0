//! The programs that training lives on, against their textbook formulas.

use std::f64::consts::{PI, SQRT_2};

use mimc::backend::cpu::rows::prepare;
use mimc::ir::program::{Instr, RowOp, ValueId};
use mimc::plan::BufferId;
use mimc::plan::kernel::{Operand, Rows, Store};

use crate::harness::{Bench, assert_close, dense, instr};

/// A row program under construction over `grid` rows of `row` elements.
pub struct Draft {
    bench: Bench,
    dims: [usize; 2],
    operands: Vec<Operand>,
    code: Vec<Instr>,
    stores: Vec<Store>,
}

impl Draft {
    /// Operands: `0` varies with the row, `1` within it.
    fn new(grid: usize, row: usize, operands: &[&[usize]]) -> Draft {
        let mut bench = Bench::default();
        let dims = [grid, row];
        let operands = operands.iter().map(|axes| {
            let len = axes.iter().map(|&a| dims[a]).product();
            Operand::Memory(bench.noise(len), dense(&dims, axes))
        });
        Draft {
            operands: operands.collect(),
            bench,
            dims,
            code: vec![],
            stores: vec![],
        }
    }

    fn op(&mut self, op: RowOp, args: &[ValueId]) -> ValueId {
        self.code.push(instr(op, args));
        self.operands.len() + self.code.len() - 1
    }

    fn constant(&mut self, c: f64) -> ValueId {
        self.op(RowOp::Constant(c as f32), &[])
    }

    fn add(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.op(RowOp::Add, &[a, b])
    }

    fn mul(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.op(RowOp::Mul, &[a, b])
    }

    fn scale(&mut self, a: ValueId, c: f64) -> ValueId {
        let c = self.constant(c);
        self.mul(a, c)
    }

    fn sub(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let negated = self.scale(b, -1.0);
        self.add(a, negated)
    }

    fn mean(&mut self, a: ValueId) -> ValueId {
        let sum = self.op(RowOp::RowSum, &[a]);
        self.scale(sum, 1.0 / self.dims[1] as f64)
    }

    fn store(&mut self, value: ValueId) -> BufferId {
        let buffer = self.bench.noise(self.dims[0] * self.dims[1]);
        let access = dense(&self.dims, &[0, 1]);
        self.stores.push(Store {
            value,
            buffer,
            access,
        });
        buffer
    }

    pub fn kernel(self) -> (Bench, Rows) {
        let rows = Rows {
            grid: vec![self.dims[0]],
            row: vec![self.dims[1]],
            operands: self.operands,
            code: self.code,
            stores: self.stores,
        };
        (self.bench, rows)
    }

    /// Runs the program; `expected` computes each stored value of a row from the rows of the operands.
    fn check(self, tolerance: f64, expected: impl Fn(&[Vec<f64>]) -> Vec<Vec<f64>>) {
        let dims = self.dims;
        let (bench, rows) = self.kernel();
        let got = bench.after_any(&prepare(&rows, &bench.plan));
        let untouched = bench
            .data
            .iter()
            .map(|d| d.iter().map(|&v| v as f64).collect());
        let mut wanted: Vec<Vec<f64>> = untouched.collect();
        for i in 0..dims[0] {
            let row = |operand: &Operand| -> Vec<f64> {
                let Operand::Memory(buffer, access) = operand else {
                    unreachable!("drafts read memory")
                };
                let at = |j: usize| access.strides[0] * i + access.strides[1] * j;
                (0..dims[1])
                    .map(|j| bench.data[*buffer][at(j)] as f64)
                    .collect()
            };
            let operands: Vec<Vec<f64>> = rows.operands.iter().map(row).collect();
            for (store, values) in rows.stores.iter().zip(expected(&operands)) {
                wanted[store.buffer][i * dims[1]..][..dims[1]].copy_from_slice(&values);
            }
        }
        assert_close(&got, &wanted, tolerance, &format!("{:?}", dims));
    }
}

/// Rows, and elements in each.
const SHAPES: [(usize, usize); 8] = [
    (1, 1),
    (1000, 3),
    (3, 17),
    (576, 512),
    (37, 96),
    (200, 36),
    (12, 768),
    (2, 16_384),
];

/// Rows long enough that their deviation is not close to 0, which would magnify every rounding.
fn long_rows() -> impl Iterator<Item = (usize, usize)> {
    SHAPES.into_iter().filter(|shape| shape.1 >= 17)
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn map(x: &[f64], f: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    x.iter().enumerate().map(|(i, &v)| f(i, v)).collect()
}

/// Centred rows, and one over their standard deviation.
fn standardise(x: &[f64]) -> (Vec<f64>, f64) {
    let centre = mean(x);
    let centred = map(x, |_, v| v - centre);
    let variance = mean(&map(&centred, |_, v| v * v));
    let scale = 1.0 / (variance + 1e-5).sqrt();
    (map(&centred, |_, v| v * scale), scale)
}

fn normalised(d: &mut Draft, x: ValueId) -> (ValueId, ValueId) {
    let centre = d.mean(x);
    let centred = d.sub(x, centre);
    let square = d.mul(centred, centred);
    let variance = d.mean(square);
    let eps = d.constant(1e-5);
    let variance = d.add(variance, eps);
    let deviation = d.op(RowOp::Sqrt, &[variance]);
    let scale = d.op(RowOp::Recip, &[deviation]);
    (d.mul(centred, scale), scale)
}

/// x, what is added to it, gamma, beta -> their sum, its layer norm
pub fn layer_norm(n: usize, c: usize) -> Draft {
    let mut d = Draft::new(n, c, &[&[0, 1], &[0, 1], &[1], &[1]]);
    let sum = d.add(0, 1);
    let (normal, _) = normalised(&mut d, sum);
    let scaled = d.mul(normal, 2);
    let out = d.add(scaled, 3);
    d.store(sum);
    d.store(out);
    d
}

#[test]
fn residual_and_layer_norm_match() {
    for (n, c) in long_rows() {
        layer_norm(n, c).check(3e-6, |o| {
            let sum = map(&o[0], |i, v| v + o[1][i]);
            let normal = standardise(&sum).0;
            let out = map(&normal, |i, v| v * o[2][i] + o[3][i]);
            vec![sum, out]
        });
    }
}

/// x, the gradient of the output, gamma -> the gradient of x
pub fn layer_norm_gradient(n: usize, c: usize) -> Draft {
    let mut d = Draft::new(n, c, &[&[0, 1], &[0, 1], &[1]]);
    let (normal, scale) = normalised(&mut d, 0);
    let g = d.mul(1, 2);
    let along = d.mul(g, normal);
    let along = d.mean(along);
    let centre = d.mean(g);
    let g = d.sub(g, centre);
    let back = d.mul(normal, along);
    let g = d.sub(g, back);
    let gradient = d.mul(g, scale);
    d.store(gradient);
    d
}

#[test]
fn layer_norm_gradient_matches() {
    for (n, c) in long_rows() {
        layer_norm_gradient(n, c).check(1e-5, |o| {
            let (normal, scale) = standardise(&o[0]);
            let g = map(&o[1], |i, v| v * o[2][i]);
            let along = mean(&map(&g, |i, v| v * normal[i]));
            let centre = mean(&g);
            vec![map(&g, |i, v| (v - centre - normal[i] * along) * scale)]
        });
    }
}

fn softmax(x: &[f64]) -> Vec<f64> {
    let top = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers = map(x, |_, v| (v - top).exp());
    let sum: f64 = powers.iter().sum();
    map(&powers, |_, v| v / sum)
}

/// x, the gradient of the output -> softmax, the gradient of x
pub fn softmax_and_gradient(n: usize, c: usize) -> Draft {
    let mut d = Draft::new(n, c, &[&[0, 1], &[0, 1]]);
    let top = d.op(RowOp::RowMax, &[0]);
    let below = d.sub(0, top);
    let bits = d.scale(below, std::f64::consts::LOG2_E);
    let powers = d.op(RowOp::Exp2, &[bits]);
    let sum = d.op(RowOp::RowSum, &[powers]);
    let share = d.op(RowOp::Recip, &[sum]);
    let weights = d.mul(powers, share);
    d.store(weights);
    let along = d.mul(weights, 1);
    let along = d.op(RowOp::RowSum, &[along]);
    let centred = d.sub(1, along);
    let gradient = d.mul(weights, centred);
    d.store(gradient);
    d
}

#[test]
fn softmax_and_its_gradient_match() {
    for (n, c) in SHAPES {
        softmax_and_gradient(n, c).check(1e-6, |o| {
            let weights = softmax(&o[0]);
            let along: f64 = map(&weights, |i, w| w * o[1][i]).iter().sum();
            let gradient = map(&weights, |i, w| w * (o[1][i] - along));
            vec![weights, gradient]
        });
    }
}

fn normal_share(d: &mut Draft, x: ValueId) -> ValueId {
    let root = d.scale(x, 1.0 / SQRT_2);
    let erf = d.op(RowOp::Erf, &[root]);
    let one = d.constant(1.0);
    let twice = d.add(erf, one);
    d.scale(twice, 0.5)
}

/// x -> its GELU
pub fn gelu(n: usize, c: usize) -> Draft {
    let mut d = Draft::new(n, c, &[&[0, 1]]);
    let share = normal_share(&mut d, 0);
    let out = d.mul(0, share);
    d.store(out);
    d
}

/// x, the gradient of the output -> its GELU, the gradient of x
pub fn gelu_and_gradient(n: usize, c: usize) -> Draft {
    let mut d = Draft::new(n, c, &[&[0, 1], &[0, 1]]);
    let share = normal_share(&mut d, 0);
    let out = d.mul(0, share);
    d.store(out);
    let square = d.mul(0, 0);
    let bits = d.scale(square, -0.5 * std::f64::consts::LOG2_E);
    let bell = d.op(RowOp::Exp2, &[bits]);
    let density = d.scale(bell, 1.0 / (2.0 * PI).sqrt());
    let slope = d.mul(0, density);
    let slope = d.add(slope, share);
    let gradient = d.mul(1, slope);
    d.store(gradient);
    d
}

#[test]
fn gelu_and_its_gradient_match() {
    for (n, c) in SHAPES {
        gelu_and_gradient(n, c).check(1e-6, |o| {
            let share = |v: f64| 0.5 * (1.0 + libm::erf(v / SQRT_2));
            let density = |v: f64| (-0.5 * v * v).exp() / (2.0 * PI).sqrt();
            let gradient = map(&o[0], |i, v| o[1][i] * (share(v) + v * density(v)));
            vec![map(&o[0], |_, v| v * share(v)), gradient]
        });
    }
}

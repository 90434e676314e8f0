//! Random loop nests, accesses and programs.

use mimc::ir::program::{Instr, RowOp, ValueId};
use mimc::plan::Access;
use mimc::random::Key;

use crate::harness::{instr, reach};

/// A sequence of random choices.
pub struct Dice {
    key: Key,
    position: u64,
}

impl Dice {
    pub fn new(seed: u64) -> Dice {
        let key = Key::new(seed).with("dice");
        Dice { key, position: 0 }
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.position += 1;
        self.key.below(self.position, n as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Up to `most` axes, of at most `elements` elements together.
    pub fn dims(&mut self, most: usize, mut elements: usize) -> Vec<usize> {
        let mut dims = vec![];
        for _ in 0..self.below(most + 1) {
            let dim = self.pick(&[1, 2, 3, 4, 5, 7, 8, 17, 32, 33, 64, 96, 1000]);
            if dim <= elements {
                dims.push(dim);
                elements /= dim;
            }
        }
        dims
    }

    /// A permuted walk with its own offset, perhaps with gaps; `broadcast` says along which axes it may stand still.
    pub fn access(
        &mut self,
        dims: &[usize],
        broadcast: impl Fn(&mut Dice, usize) -> bool,
    ) -> Access {
        let mut order: Vec<usize> = (0..dims.len()).collect();
        if self.one_in(2) {
            for i in (1..order.len()).rev() {
                order.swap(i, self.below(i + 1));
            }
        }
        let mut stride = if self.one_in(8) { 2 } else { 1 };
        let mut strides = vec![0; dims.len()];
        for &axis in order.iter().rev() {
            if !broadcast(self, axis) {
                strides[axis] = stride;
                stride *= dims[axis];
                if self.one_in(8) {
                    stride += 3;
                }
            }
        }
        let offset = self.below(5);
        Access { offset, strides }
    }

    /// Instructions over `operands` values from -2 to 2, with every value's bound.
    pub fn code(
        &mut self,
        operands: usize,
        len: usize,
        row: Option<usize>,
    ) -> (Vec<Instr>, Vec<f64>) {
        let mut bounds = vec![2.0; operands];
        let mut code: Vec<Instr> = vec![];
        let mut push = |bounds: &mut Vec<f64>, op: RowOp, args: &[ValueId], bound: f64| {
            code.push(instr(op, args));
            bounds.push(bound);
            bounds.len() - 1
        };
        for _ in 0..len {
            let (a, b) = (self.below(bounds.len()), self.below(bounds.len()));
            let (x, y) = (bounds[a], bounds[b]);
            match self.below(14) {
                0 | 1 if x + y < 50.0 => {
                    push(&mut bounds, RowOp::Add, &[a, b], x + y);
                }
                2 | 3 if x * y < 50.0 => {
                    push(&mut bounds, RowOp::Mul, &[a, b], x * y);
                }
                4 if x + y < 50.0 => {
                    let minus_one = push(&mut bounds, RowOp::Constant(-1.0), &[], 1.0);
                    let negated = push(&mut bounds, RowOp::Mul, &[minus_one, b], y);
                    push(&mut bounds, RowOp::Add, &[a, negated], x + y);
                }
                5 => {
                    let c = self.below(9) as f32 * 0.25 - 1.0;
                    push(&mut bounds, RowOp::Constant(c), &[], 1.0);
                }
                // Comparisons and remainders jump, so only of what is exact.
                6 => {
                    push(&mut bounds, RowOp::Less, &[a % operands, b % operands], 1.0);
                }
                7 => {
                    push(&mut bounds, RowOp::Mod, &[a % operands, b % operands], 2.0);
                }
                8 => {
                    push(&mut bounds, RowOp::Abs, &[a], x);
                }
                9 => {
                    push(&mut bounds, RowOp::Erf, &[a], 1.0);
                }
                10 => {
                    // Everything that needs a positive argument.
                    let half = push(&mut bounds, RowOp::Constant(0.5), &[], 0.5);
                    let positive = push(&mut bounds, RowOp::Abs, &[a], x);
                    let positive = push(&mut bounds, RowOp::Add, &[positive, half], x + 0.5);
                    let (op, bound) =
                        self.pick(&[(RowOp::Sqrt, 8.0), (RowOp::Log2, 6.0), (RowOp::Recip, 2.0)]);
                    push(&mut bounds, op, &[positive], bound);
                }
                11 if x <= 4.0 => {
                    push(&mut bounds, RowOp::Exp2, &[a], x.exp2());
                }
                12 if row.is_some_and(|n| x * n as f64 <= 1e4) => {
                    let n = row.unwrap_or(1);
                    let scale = push(&mut bounds, RowOp::Constant(1.0 / n as f32), &[], 1.0);
                    let sum = push(&mut bounds, RowOp::RowSum, &[a], x * n as f64);
                    push(&mut bounds, RowOp::Mul, &[sum, scale], x);
                }
                13 if row.is_some() => {
                    push(&mut bounds, RowOp::RowMax, &[a], x);
                }
                _ => {
                    push(&mut bounds, RowOp::Sin, &[a], 1.0);
                }
            }
        }
        (code, bounds)
    }
}

/// Whether no two indices meet in memory.
pub fn injective(access: &Access, dims: &[usize]) -> bool {
    dims.iter()
        .zip(&access.strides)
        .all(|(&d, &s)| d == 1 || s > 0)
        && reach(access, dims) > access.offset
}

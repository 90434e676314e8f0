//! What the operators with a body share: how wide its values are, how it is spelled in
//! primitives.

use super::{Abs, Bf16, Erf, Own};
use crate::ir::{
    Rewriter, Value,
    program::{Instr, RowOp},
    view,
};
use luminal::op::{Exp2, Log2, Recip, Sin, Sqrt};
use std::sync::Arc;

/// How wide a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// Made of constants alone: as wide as what it meets, and wide where it is stored.
    Any,
    /// Follows from reductions and constants alone: one number per row.
    Row,
    Wide,
}

impl Width {
    /// Of what an instruction makes of arguments.
    pub fn of(op: RowOp, args: impl Iterator<Item = Width>) -> Width {
        if op.reduces() {
            return Width::Row;
        }
        args.fold(Width::Any, |seen, width| match (seen, width) {
            (Width::Wide, _) | (_, Width::Wide) => Width::Wide,
            (Width::Row, _) | (_, Width::Row) => Width::Row,
            _ => Width::Any,
        })
    }
}

/// Per value, operands first.
pub fn widths(operands: usize, code: &[Instr]) -> Vec<Width> {
    let mut widths = vec![Width::Wide; operands];
    for instr in code {
        let width = Width::of(instr.op, instr.args.iter().map(|&v| widths[v]));
        widths.push(width);
    }
    widths
}

/// Per value, operands first: is it one number per row?
pub fn narrow(operands: usize, code: &[Instr]) -> Vec<bool> {
    let widths = widths(operands, code);
    widths.into_iter().map(|w| w == Width::Row).collect()
}

/// The code in primitives, over operands that are views of `dims`, the last `row` axes of which its reductions run over.
/// Values that are one number per row have the dims of the grid.
pub fn build(
    r: &mut Rewriter,
    code: &[Instr],
    operands: &[Value],
    dims: &[usize],
    row: usize,
) -> Vec<Value> {
    let grid = &dims[..dims.len() - row];
    let widths = widths(operands.len(), code);
    let mut values: Vec<Value> = operands.iter().map(|v| unsliced(r, v)).collect();
    for (instr, width) in code.iter().zip(&widths[operands.len()..]) {
        let shape = match width {
            Width::Any => &[],
            Width::Row => grid,
            Width::Wide => dims,
        };
        let arg = |i: usize, shape| stretched(&values[instr.args[i]], shape);
        let value = match instr.op {
            RowOp::Constant(x) => r.constant(x, shape),
            RowOp::RowSum | RowOp::RowMax => {
                let mut value = arg(0, dims);
                for axis in (grid.len()..dims.len()).rev() {
                    value = match instr.op {
                        RowOp::RowSum => r.sum(&value, axis),
                        _ => r.max(&value, axis),
                    };
                }
                value
            }
            RowOp::Add => r.add(&arg(0, shape), &arg(1, shape)),
            RowOp::Mul => r.mul(&arg(0, shape), &arg(1, shape)),
            RowOp::Mod => r.modulo(&arg(0, shape), &arg(1, shape)),
            RowOp::Less => r.less(&arg(0, shape), &arg(1, shape)),
            RowOp::Recip => r.unary(Recip, &values[instr.args[0]]),
            RowOp::Sqrt => r.unary(Sqrt, &values[instr.args[0]]),
            RowOp::Exp2 => r.unary(Exp2, &values[instr.args[0]]),
            RowOp::Log2 => r.unary(Log2, &values[instr.args[0]]),
            RowOp::Sin => r.unary(Sin, &values[instr.args[0]]),
            RowOp::Abs => r.unary(Own(Arc::new(Abs)), &values[instr.args[0]]),
            RowOp::Erf => r.unary(Own(Arc::new(Erf)), &values[instr.args[0]]),
            RowOp::Bf16 => r.unary(Own(Arc::new(Bf16)), &values[instr.args[0]]),
        };
        values.push(value);
    }
    let full = |(value, width): (Value, Width)| match width {
        Width::Any => stretched(&value, dims),
        _ => value,
    };
    values.into_iter().zip(widths).map(full).collect()
}

/// Repeated along the trailing axes of `dims` that it does not have.
fn stretched(value: &Value, dims: &[usize]) -> Value {
    (value.rank()..dims.len()).fold(value.clone(), |v, axis| v.expand(axis, dims[axis]))
}

/// The value in a form that any primitive may read.
pub fn unsliced(r: &mut Rewriter, value: &Value) -> Value {
    if view::is_sliced(&value.view) {
        r.contiguous(value)
    } else {
        value.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instr(op: RowOp, args: &[usize]) -> Instr {
        Instr {
            op,
            args: args.to_vec(),
        }
    }

    /// `x - mean(x)`, and its square's mean.
    fn centre() -> Vec<Instr> {
        vec![
            instr(RowOp::RowSum, &[0]),
            instr(RowOp::Constant(-1.0), &[]),
            instr(RowOp::Constant(0.25), &[]),
            instr(RowOp::Mul, &[1, 3]),
            instr(RowOp::Mul, &[4, 2]),
            instr(RowOp::Add, &[0, 5]),
            instr(RowOp::Mul, &[6, 6]),
            instr(RowOp::RowSum, &[7]),
            instr(RowOp::Sqrt, &[8]),
            instr(RowOp::Recip, &[9]),
            instr(RowOp::Mul, &[6, 10]),
        ]
    }

    #[test]
    fn width_follows_reductions() {
        let narrow = narrow(1, &centre());
        let rows: Vec<usize> = (0..narrow.len()).filter(|&v| narrow[v]).collect();
        assert_eq!(rows, [1, 4, 5, 8, 9, 10]);
    }
}

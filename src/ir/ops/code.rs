//! What the operators with a body share: how wide its values are, how it is spelled in
//! primitives.

use super::{Abs, Erf, Own};
use crate::ir::{
    Rewriter, Value,
    program::{Instr, RowOp, ValueId},
    view,
};
use luminal::op::{Exp2, Log2, Recip, Sin, Sqrt};
use std::sync::Arc;

/// Per value, operands first: is it one number per row? That is what follows from reductions and constants alone.
pub fn narrow(operands: usize, code: &[Instr]) -> Vec<bool> {
    #[derive(Clone, Copy, PartialEq)]
    enum Width {
        /// A constant is as wide as what it meets.
        Any,
        Row,
        Wide,
    }
    let mut widths = vec![Width::Wide; operands];
    for instr in code {
        let args = instr.args.iter().map(|&v| widths[v]);
        widths.push(match instr.op {
            RowOp::RowSum | RowOp::RowMax => Width::Row,
            _ => args.fold(Width::Any, |seen, width| match (seen, width) {
                (Width::Wide, _) | (_, Width::Wide) => Width::Wide,
                (Width::Row, _) | (_, Width::Row) => Width::Row,
                _ => Width::Any,
            }),
        });
    }
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
    let narrow = narrow(operands.len(), code);
    let grid = dims.len() - row;
    let mut values: Vec<Value> = operands.iter().map(|v| unsliced(r, v)).collect();
    for (at, instr) in (operands.len()..).zip(code) {
        let shape = if narrow[at] { &dims[..grid] } else { dims };
        let wide = |v: ValueId, like: &[usize]| {
            let own: &Value = &values[v];
            let own_rank = own.rank();
            (own_rank..like.len()).fold(own.clone(), |value, axis| value.expand(axis, like[axis]))
        };
        let value = match instr.op {
            RowOp::Constant(x) => r.constant(x, shape),
            RowOp::RowSum | RowOp::RowMax => {
                let mut value = wide(instr.args[0], dims);
                for axis in (grid..dims.len()).rev() {
                    value = match instr.op {
                        RowOp::RowSum => r.sum(&value, axis),
                        _ => r.max(&value, axis),
                    };
                }
                value
            }
            RowOp::Add | RowOp::Mul | RowOp::Mod | RowOp::Less => {
                let (a, b) = (wide(instr.args[0], shape), wide(instr.args[1], shape));
                match instr.op {
                    RowOp::Add => r.add(&a, &b),
                    RowOp::Mul => r.mul(&a, &b),
                    RowOp::Mod => r.modulo(&a, &b),
                    _ => r.less(&a, &b),
                }
            }
            RowOp::Recip => r.unary(Recip, &values[instr.args[0]]),
            RowOp::Sqrt => r.unary(Sqrt, &values[instr.args[0]]),
            RowOp::Exp2 => r.unary(Exp2, &values[instr.args[0]]),
            RowOp::Log2 => r.unary(Log2, &values[instr.args[0]]),
            RowOp::Sin => r.unary(Sin, &values[instr.args[0]]),
            RowOp::Abs => r.unary(Own(Arc::new(Abs)), &values[instr.args[0]]),
            RowOp::Erf => r.unary(Own(Arc::new(Erf)), &values[instr.args[0]]),
        };
        values.push(value);
    }
    values
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

    fn instr(op: RowOp, args: &[ValueId]) -> Instr {
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

//! What stands at a node, by the role it plays: the passes and the lowering ask this instead of naming operator types.

use super::{Graph, NodeIndex, Own, program::RowOp};
use luminal::op::{
    Add, Constant, ConstantValue, Contiguous, Exp2, LessThan, Log2, MaxReduce, Mod, Mul, Recip,
    Sin, Sqrt, SumReduce,
};

#[derive(Debug, Clone, Copy)]
pub enum Kind<'g> {
    Constant(f32),
    /// Element by element, one or two inputs.
    Pointwise(RowOp),
    /// A reduction over one logical axis of the edge.
    Reduce(RowOp, usize),
    Copy,
    Own(&'g Own),
}

/// # Panics
/// On an operator outside the contract; [`super::verify`] rules that out.
pub fn kind(graph: &Graph, node: NodeIndex) -> Kind<'_> {
    let op = graph.graph[node].as_any();
    if let Some(own) = op.downcast_ref::<Own>() {
        return match super::ops::pointwise(own) {
            Some(op) => Kind::Pointwise(op),
            None => Kind::Own(own),
        };
    }
    if let Some(constant) = op.downcast_ref::<Constant>() {
        match constant.0 {
            ConstantValue::Float(x) => return Kind::Constant(x),
            ConstantValue::Expression(_) => unreachable!("dimensions are static in a legal graph"),
        }
    }
    if let Some(reduce) = op.downcast_ref::<SumReduce>() {
        return Kind::Reduce(RowOp::RowSum, reduce.0);
    }
    if let Some(reduce) = op.downcast_ref::<MaxReduce>() {
        return Kind::Reduce(RowOp::RowMax, reduce.0);
    }
    if op.is::<Contiguous>() {
        return Kind::Copy;
    }
    let pointwise = [
        (op.is::<Add>(), RowOp::Add),
        (op.is::<Mul>(), RowOp::Mul),
        (op.is::<Mod>(), RowOp::Mod),
        (op.is::<LessThan>(), RowOp::Less),
        (op.is::<Exp2>(), RowOp::Exp2),
        (op.is::<Log2>(), RowOp::Log2),
        (op.is::<Sin>(), RowOp::Sin),
        (op.is::<Sqrt>(), RowOp::Sqrt),
        (op.is::<Recip>(), RowOp::Recip),
    ];
    let found = pointwise.into_iter().find(|(matches, _)| *matches);
    Kind::Pointwise(found.expect("a legal graph holds only known operators").1)
}

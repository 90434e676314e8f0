//! Own operators, one file each. Each states its outputs and decomposes into luminal's primitives; the gradient, kernels and
//! built-in names live in the tables of their own rooms.

mod abs;
mod adamw;
mod attention;
mod attention_gradient;
mod bf16;
pub mod code;
mod concat;
mod contraction;
mod detach;
mod erf;
mod folded;
mod fused;
mod input;
mod roll;
mod scatter;
mod sum_squares;
mod take;

pub use abs::Abs;
pub use adamw::AdamW;
pub use attention::Attention;
pub use attention_gradient::{AttentionGradient, Wanted};
pub use bf16::Bf16;
pub use concat::Concat;
pub use contraction::{Contraction, Epilogue, Role};
pub use detach::Detach;
pub use erf::Erf;
pub use folded::{Folded, Reduction};
pub use fused::Fused;
pub use input::{Init, Input, InputKind, Part, is_arange, table_name};
pub use roll::Roll;
pub use scatter::Scatter;
pub use sum_squares::SumSquares;
pub use take::Take;

use super::{Rewriter, Value};
use luminal::{
    op::{InputTensor, Operator},
    prelude::*,
};
use std::{any::Any, fmt::Debug, sync::Arc};

/// What an own operator must say of itself.
pub trait Op: Debug + Any {
    /// As listings show it, with its settings: `take`, `roll[axis 1 by -3]`. Numbers of axes follow the word `axis`.
    fn label(&self) -> String;

    /// What it does to each element, as equations, where the label does not say it.
    fn code(&self) -> String {
        String::new()
    }

    /// Dims of each output buffer, from the logical dims of the inputs.
    fn outputs(&self, inputs: &[Vec<usize>]) -> Vec<Vec<usize>>;

    /// The same results by luminal's primitives (and simpler own operators). `None` for a leaf: it has no inputs.
    fn decompose(&self, rewriter: &mut Rewriter, inputs: &[Value]) -> Option<Vec<Value>>;

    /// Works on its input's buffer element by element, as luminal's unary primitives do.
    fn is_unary(&self) -> bool {
        false
    }

    /// Accepts sliced views on its edges.
    fn reads_slices(&self) -> bool {
        false
    }
}

/// The luminal operator that holds an own operator.
#[derive(Clone)]
pub struct Own(pub Arc<dyn Op>);

impl Own {
    pub fn get<T: Op>(&self) -> Option<&T> {
        (self.0.as_ref() as &dyn Any).downcast_ref()
    }
}

impl Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.label())
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        // Derived `Debug` shows every field, so equal text is equal operators.
        Arc::ptr_eq(&self.0, &other.0) || format!("{:?}", self.0) == format!("{:?}", other.0)
    }
}

impl Operator for Own {
    fn process(&mut self, _: Vec<(InputTensor, ShapeTracker)>) -> Vec<Tensor> {
        unreachable!("own operators are decomposed before luminal's executor runs a graph")
    }
}

/// The own operator of type `T` at a node, if that is what stands there.
pub fn own<T: Op>(graph: &Graph, node: NodeIndex) -> Option<&T> {
    graph
        .graph
        .node_weight(node)?
        .as_any()
        .downcast_ref::<Own>()?
        .get()
}

/// Whether a luminal primitive of type `T` stands at a node.
pub fn is<T: 'static>(graph: &Graph, node: NodeIndex) -> bool {
    graph
        .graph
        .node_weight(node)
        .is_some_and(|op| op.as_any().is::<T>())
}

/// The value of a scalar constant node.
pub fn constant(graph: &Graph, node: NodeIndex) -> Option<f32> {
    match graph
        .graph
        .node_weight(node)?
        .as_any()
        .downcast_ref::<luminal::op::Constant>()?
        .0
    {
        luminal::op::ConstantValue::Float(x) => Some(x),
        luminal::op::ConstantValue::Expression(_) => None,
    }
}

/// The instruction of a pointwise own operator.
pub fn pointwise(own: &Own) -> Option<super::program::RowOp> {
    use super::program::RowOp;
    match () {
        () if own.get::<Abs>().is_some() => Some(RowOp::Abs),
        () if own.get::<Erf>().is_some() => Some(RowOp::Erf),
        () if own.get::<Bf16>().is_some() => Some(RowOp::Bf16),
        () => None,
    }
}

//! The softmax, and the scores it is taken of.

use super::pattern::{absent, either, operands, pair, reduction, with_number, without};
use crate::ir::{Graph, Kind, NodeIndex, Value, kind, meta, program::RowOp, view};
use std::f32::consts::LOG2_E;

/// `scale·q·kᵀ + Σ biases`
#[derive(Debug)]
pub struct Scores {
    /// `[batch..., queries, width]`
    pub q: Value,
    /// `[batch..., keys, width]`
    pub k: Value,
    pub scale: f32,
    /// `[batch..., queries, keys]`
    pub biases: Vec<Value>,
}

/// The scores whose softmax over the last axis, in its numerically safe form, is computed by a node.
pub fn softmax(graph: &Graph, node: NodeIndex) -> Option<Scores> {
    let Kind::Pointwise(RowOp::Mul) = kind(graph, node) else {
        return None;
    };
    let weights = Value {
        node,
        output: 0,
        view: view::plain(&meta(graph).nodes[&node].dims[0]),
    };
    let last = weights.rank().checked_sub(1)?;
    let (e, total) = either(graph, &weights, RowOp::Mul)
        .into_iter()
        .find_map(|[e, inverse]| {
            let Kind::Pointwise(RowOp::Recip) = kind(graph, inverse.node) else {
                return None;
            };
            Some((e, operands(graph, &inverse)?.remove(0)))
        })?;
    let (axis, summed) = reduction(graph, &total, RowOp::RowSum, true)?;
    if axis != last || !same(&summed, &e) {
        return None;
    }
    let Kind::Pointwise(RowOp::Exp2) = kind(graph, e.node) else {
        return None;
    };
    let (below, base) = with_number(graph, &operands(graph, &e)?[0], RowOp::Mul)?;
    if base != LOG2_E {
        return None;
    }
    let of =
        |[scores, most]: [Value; 2]| is_negated_maximum(graph, &most, &scores).then_some(scores);
    let scores = either(graph, &below, RowOp::Add).into_iter().find_map(of)?;
    biased(graph, &scores)
}

/// Is it `-max(scores)` over the last axis?
fn is_negated_maximum(graph: &Graph, value: &Value, scores: &Value) -> bool {
    let (mut value, mut factor) = (value.clone(), 1.0);
    loop {
        if let Some((axis, of)) = reduction(graph, &value, RowOp::RowMax, true) {
            return factor == -1.0 && axis + 1 == scores.rank() && same(&of, scores);
        }
        let scaled = with_number(graph, &value, RowOp::Mul);
        (value, factor) = match (scaled, operands(graph, &value)) {
            (Some((inner, x)), _) => (inner, factor * x),
            // A copy, or what stops the gradient.
            (None, Some(inner)) if inner.len() == 1 && !is_pointwise(graph, &value) => {
                (inner[0].clone(), factor)
            }
            _ => return false,
        };
    }
}

fn is_pointwise(graph: &Graph, value: &Value) -> bool {
    matches!(kind(graph, value.node), Kind::Pointwise(_))
}

fn biased(graph: &Graph, value: &Value) -> Option<Scores> {
    if let Some(scores) = scaled(graph, value) {
        return Some(scores);
    }
    let of = |[inner, bias]: [Value; 2]| {
        let mut scores = biased(graph, &inner)?;
        scores.biases.push(bias);
        Some(scores)
    };
    either(graph, value, RowOp::Add).into_iter().find_map(of)
}

fn scaled(graph: &Graph, value: &Value) -> Option<Scores> {
    if let Some((inner, x)) = with_number(graph, value, RowOp::Mul) {
        let scores = scaled(graph, &inner)?;
        return Some(Scores {
            scale: scores.scale * x,
            ..scores
        });
    }
    if let Kind::Copy = kind(graph, value.node) {
        return scaled(graph, &operands(graph, value)?[0]);
    }
    let (axis, product) = reduction(graph, value, RowOp::RowSum, false)?;
    let operands = pair(graph, &product, RowOp::Mul)?;
    let [mut q, k] = queries_and_keys(operands, axis)?;
    // A factor of the queries is one of the scores.
    let mut scale = 1.0;
    while let Some((inner, x)) = with_number(graph, &q, RowOp::Mul) {
        (q, scale) = (inner, scale * x);
    }
    Some(Scores {
        q,
        k,
        scale,
        biases: Vec::new(),
    })
}

/// From the operands of a product over `[batch..., queries, keys]` and, at `width`, the axis that is summed.
fn queries_and_keys([a, b]: [Value; 2], width: usize) -> Option<[Value; 2]> {
    let kept: Vec<usize> = (0..a.rank()).filter(|&axis| axis != width).collect();
    let [batch @ .., queries, keys] = &kept[..] else {
        return None;
    };
    let splits = |q: &Value, k: &Value| absent(&q.view, *keys) && absent(&k.view, *queries);
    let (q, k) = match () {
        () if splits(&a, &b) => (a, b),
        () if splits(&b, &a) => (b, a),
        () => return None,
    };
    let arranged = |value: &Value, own: usize, other: usize| {
        let order = [batch, &[own, width]].concat();
        let place = |axis: &usize| axis - usize::from(*axis > other);
        let order: Vec<usize> = order.iter().map(place).collect();
        Some(without(value, other)?.permute(&order))
    };
    Some([
        arranged(&q, *queries, *keys)?,
        arranged(&k, *keys, *queries)?,
    ])
}

/// Do both show the same elements in the same places?
fn same(a: &Value, b: &Value) -> bool {
    (a.node, a.output) == (b.node, b.output) && a.is_plain() && b.is_plain() && a.dims() == b.dims()
}

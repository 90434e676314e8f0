//! What is done with the weights: dropout, then the sum of the values they weigh.

use super::{
    Axis, only_reader,
    pattern::{absent, is_draw, number, pair, with_number, without},
};
use crate::ir::{Graph, Kind, NodeIndex, Value, kind, meta, program::RowOp, view};

/// `dropout(weights) · v`
#[derive(Debug)]
pub struct Mixture {
    /// The node that computes it.
    pub node: NodeIndex,
    /// `[batch..., keys, value width]`
    pub v: Value,
    /// Rate and draws, `[batch..., queries, keys]`.
    pub dropout: Option<(f32, Value)>,
    /// What the axes of the node's result are.
    pub axes: Vec<Axis>,
}

/// What becomes of softmax weights `[batch..., queries, keys]`, where that is one mixture of values.
pub fn mixture(graph: &Graph, weights: NodeIndex) -> Option<Mixture> {
    let (mut weights, mut factor, mut dropout) = (weights, 1.0, None);
    loop {
        let (reader, seen) = only_reader(graph, weights)?;
        let product = Value {
            node: reader,
            output: 0,
            view: view::plain(&meta(graph).nodes[&reader].dims[0]),
        };
        let operands = pair(graph, &product, RowOp::Mul)?;
        let [first, second] = &operands;
        let other = if first.node == weights { second } else { first };
        if !view::is_plain(&seen) {
            let kept = dropout.as_ref().map_or(1.0, |(rate, _)| 1.0 - rate);
            // Dropout divides by what it keeps; any other factor is not part of the pattern.
            if (factor * kept - 1.0f32).abs() > 1e-6 {
                return None;
            }
            return sum_of_values(graph, &Weighed { weights, product }, &seen, other, dropout);
        }
        if let Some(x) = number(graph, other) {
            factor *= x;
        } else {
            let (more, rate, draws) = kept(graph, other)?;
            if dropout.replace((rate, draws)).is_some() {
                return None;
            }
            factor *= more;
        }
        weights = reader;
    }
}

struct Weighed {
    weights: NodeIndex,
    product: Value,
}

fn sum_of_values(
    graph: &Graph,
    weighed: &Weighed,
    seen: &crate::ir::ShapeTracker,
    values: &Value,
    dropout: Option<(f32, Value)>,
) -> Option<Mixture> {
    let dims = &meta(graph).nodes[&weighed.weights].dims[0];
    if view::physical(seen) != *dims || view::is_sliced(seen) {
        return None;
    }
    let (node, whole) = only_reader(graph, weighed.product.node)?;
    let Kind::Reduce(RowOp::RowSum, summed) = kind(graph, node) else {
        return None;
    };
    // The axis of the weights that each axis of the product is; the one they lack is the width of the values.
    let mut real: Vec<usize> = (0..seen.len()).filter(|&i| !seen.fake[i]).collect();
    real.sort_unstable();
    let of_weights = |axis: usize| real.iter().position(|&i| i == seen.indexes[axis]);
    let axes: Vec<Option<usize>> = (0..seen.len()).map(of_weights).collect();
    let batch = dims.len() - 2;
    let place = |of: Option<usize>| axes.iter().position(|&axis| axis == of);
    let (queries, keys, width) = (place(Some(batch))?, place(Some(batch + 1))?, place(None)?);
    let one_width = axes.iter().filter(|axis| axis.is_none()).count() == 1;
    if !one_width || keys != summed || !view::is_plain(&whole) || !absent(&values.view, queries) {
        return None;
    }
    let mut order: Vec<usize> = (0..batch).map(|b| place(Some(b))).collect::<Option<_>>()?;
    order.extend([keys, width]);
    let behind = |axis: &usize| axis - usize::from(*axis > queries);
    let order: Vec<usize> = order.iter().map(behind).collect();
    let v = without(values, queries)?.permute(&order);
    let name = |axis: &Option<usize>| match *axis {
        None => Axis::Width,
        Some(axis) if axis == batch => Axis::Queries,
        Some(axis) => Axis::Batch(axis),
    };
    let axes = axes.iter().filter(|&&axis| axis != Some(batch + 1));
    Some(Mixture {
        node,
        v,
        dropout,
        axes: axes.map(name).collect(),
    })
}

/// `factor · (1 − (draws < rate))`
fn kept(graph: &Graph, value: &Value) -> Option<(f32, f32, Value)> {
    if let Some((inner, x)) = with_number(graph, value, RowOp::Mul) {
        let (factor, rate, draws) = kept(graph, &inner)?;
        return Some((factor * x, rate, draws));
    }
    let (negated, one) = with_number(graph, value, RowOp::Add)?;
    let (dropped, minus) = with_number(graph, &negated, RowOp::Mul)?;
    let [draws, rate] = pair(graph, &dropped, RowOp::Less)?;
    let rate = number(graph, &rate)?;
    (one == 1.0 && minus == -1.0 && is_draw(graph, &draws)).then_some((1.0, rate, draws))
}

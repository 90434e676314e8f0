//! Attention, recognised: `einsum → scale → biases → softmax → dropout → einsum` becomes one operator, before the gradient is
//! taken, so that its gradient is one operator too. What deviates from the pattern stays as it is.

mod mixture;
mod pattern;
mod scores;

#[cfg(test)]
mod tests;

use crate::ir::{
    Graph, NodeIndex, Rewriter, ShapeTracker, Value, ops, rewrite,
    view::{self, MAX_RANK},
};
use mixture::{Mixture, mixture};
use pattern::see_through;
use scores::{Scores, softmax};

pub fn run(graph: &mut Graph) {
    for node in rewrite::schedule(graph) {
        let Some(scores) = softmax(graph, node) else {
            continue;
        };
        if let Some(mixture) = mixture(graph, node) {
            fuse(graph, scores, mixture);
        }
    }
    Rewriter::new(graph).remove_dead();
}

/// An axis of the result.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Axis {
    /// Of size 1, there only so that slices can be read where they lie.
    Extra,
    Batch(usize),
    Queries,
    Width,
}

fn fuse(graph: &mut Graph, scores: Scores, mixture: Mixture) {
    let batch = scores.q.rank() - 2;
    let room = MAX_RANK - 2 - batch;
    let mut inputs: Vec<(Value, usize)> = [&scores.q, &scores.k, &mixture.v]
        .into_iter()
        .chain(&scores.biases)
        .chain(mixture.dropout.as_ref().map(|(_, draws)| draws))
        .map(|value| see_through(graph, value, room))
        .collect();
    // An axis is needed to move behind the queries.
    let needed = inputs.iter().map(|(_, extra)| *extra).max().unwrap_or(0);
    let extra = needed.max(usize::from(batch == 0));
    let mut r = Rewriter::new(graph);
    r.stand_in_for(mixture.node);
    for (input, own) in &mut inputs {
        for _ in *own..extra {
            *input = input.expand(0, 1);
        }
    }
    for (input, _) in &mut inputs[..3] {
        let axes = 0..input.rank();
        let repeats = |axis| view::broadcasts(&input.view, axis) && input.dims()[axis] > 1;
        if axes.into_iter().any(repeats) {
            *input = r.contiguous(input);
        }
    }
    let attention = ops::Attention {
        scale: scores.scale,
        biases: scores.biases.len(),
        dropout: mixture.dropout.as_ref().map(|(rate, _)| *rate),
        rounds: false,
    };
    let inputs: Vec<&Value> = inputs.iter().map(|(input, _)| input).collect();
    let out = r.op(attention, &inputs).remove(0);
    let seen = out.through(as_before(
        &out.view,
        &result_axes(extra, batch),
        &mixture.axes,
    ));
    r.replace(mixture.node, 0, &seen);
}

/// The axes of the operator's result: its last batch axis stands behind the queries.
fn result_axes(extra: usize, batch: usize) -> Vec<Axis> {
    let extras = std::iter::repeat_n(Axis::Extra, extra);
    let mut axes: Vec<Axis> = extras.chain((0..batch).map(Axis::Batch)).collect();
    axes.insert(axes.len() - 1, Axis::Queries);
    axes.push(Axis::Width);
    axes
}

/// The result with the axes that the node had whose place it takes.
fn as_before(seen: &ShapeTracker, axes: &[Axis], wanted: &[Axis]) -> ShapeTracker {
    let (mut seen, mut axes) = (*seen, axes.to_vec());
    while let Some(at) = axes.iter().position(|&axis| axis == Axis::Extra) {
        seen = view::squeeze(&seen, at);
        axes.remove(at);
    }
    let place = |axis| axes.iter().position(|a| a == axis);
    let order: Vec<usize> = wanted.iter().filter_map(place).collect();
    view::permute(&seen, &order)
}

/// The only reader of a node, with the view it reads through.
fn only_reader(graph: &Graph, node: NodeIndex) -> Option<(NodeIndex, ShapeTracker)> {
    let kept = crate::ir::meta(graph).roots.iter().any(|r| r.node == node);
    match &rewrite::readers(graph, node)[..] {
        [(reader, _, 0, seen)] if !kept => Some((*reader, *seen)),
        _ => None,
    }
}

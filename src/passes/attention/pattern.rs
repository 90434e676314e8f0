//! Reading a graph as an expression: operands as they are seen from where one stands, whatever views lie in between.

use crate::ir::{
    Graph, Kind, ShapeTracker, Value, kind,
    ops::{self, own},
    program::RowOp,
    rewrite,
    view::{self, MAX_RANK},
};

/// The operands of a pointwise node, a copy or a detached value, each seen as the value sees the node's result.
pub fn operands(graph: &Graph, value: &Value) -> Option<Vec<Value>> {
    match kind(graph, value.node) {
        Kind::Pointwise(_) | Kind::Copy => {}
        Kind::Own(op) if op.get::<ops::Detach>().is_some() => {}
        _ => return None,
    }
    rewrite::sources(graph, value.node)
        .iter()
        .map(|source| Some(source.through(view::compose(&source.view, &value.view)?)))
        .collect()
}

/// Both operands of a pointwise node of two.
pub fn pair(graph: &Graph, value: &Value, op: RowOp) -> Option<[Value; 2]> {
    match kind(graph, value.node) {
        Kind::Pointwise(found) if found == op => operands(graph, value)?.try_into().ok(),
        _ => None,
    }
}

/// The operands of a commutative node, in both orders.
pub fn either(graph: &Graph, value: &Value, op: RowOp) -> Vec<[Value; 2]> {
    match pair(graph, value, op) {
        Some([a, b]) => vec![[a.clone(), b.clone()], [b, a]],
        None => Vec::new(),
    }
}

/// `a` and `x`, where the value is `a ∘ x` and x is a number.
pub fn with_number(graph: &Graph, value: &Value, op: RowOp) -> Option<(Value, f32)> {
    let found = |[a, x]: [Value; 2]| Some((a, number(graph, &x)?));
    either(graph, value, op).into_iter().find_map(found)
}

pub fn number(graph: &Graph, value: &Value) -> Option<f32> {
    match kind(graph, value.node) {
        Kind::Constant(x) => Some(x),
        _ => None,
    }
}

/// The axis and the source of a reduction that the value shows as it is, or repeated along a new last axis.
pub fn reduction(
    graph: &Graph,
    value: &Value,
    op: RowOp,
    repeated: bool,
) -> Option<(usize, Value)> {
    let Kind::Reduce(found, axis) = kind(graph, value.node) else {
        return None;
    };
    let mut seen = value.view;
    if repeated {
        let last = value.rank().checked_sub(1)?;
        if !view::broadcasts(&seen, last) {
            return None;
        }
        seen.remove_dim(last);
    }
    let source = rewrite::sources(graph, value.node).remove(0);
    (found == op && view::is_plain(&seen)).then_some((axis, source))
}

/// Does what the view shows not depend on the axis?
pub fn absent(seen: &ShapeTracker, axis: usize) -> bool {
    view::broadcasts(seen, axis) || view::dims(seen)[axis] == 1
}

/// Without an axis that it does not depend on.
pub fn without(value: &Value, axis: usize) -> Option<Value> {
    let at = value.view.indexes[axis];
    if !value.view.fake[at] && value.view.dims[at].to_usize() != Some(1) {
        return None;
    }
    let mut seen = value.view;
    seen.remove_dim(axis);
    Some(value.through(seen))
}

/// A value read where it lies, behind all copies, and how many axes of size 1 that takes in front of its own: a slice of one
/// element of an axis stays an axis. At most `room` of them.
pub fn see_through(graph: &Graph, value: &Value, room: usize) -> (Value, usize) {
    let (mut value, mut extra) = (value.clone(), 0);
    while let Kind::Copy = kind(graph, value.node) {
        let source = rewrite::sources(graph, value.node).remove(0);
        let (seen, more) = match view::compose(&source.view, &value.view) {
            Some(seen) => (seen, 0),
            None => match through_slice(&source.view, &value.view) {
                Some(found) => found,
                None => break,
            },
        };
        if view::is_padded(&seen) || extra + more > room {
            break;
        }
        (value, extra) = (source.through(seen), extra + more);
    }
    (value, extra)
}

/// `outer` seen through `inner`, with the axes of which `inner` shows one of several elements in front.
fn through_slice(inner: &ShapeTracker, outer: &ShapeTracker) -> Option<(ShapeTracker, usize)> {
    let (slices, dims) = (view::slices(inner), view::dims(inner));
    let one_of_several = |&axis: &usize| {
        let size = inner.dims[inner.indexes[axis]].to_usize();
        dims[axis] == 1 && size != Some(1) && slices[axis].1 - slices[axis].0 == 1
    };
    let axes = 0..inner.len();
    let (stuck, others): (Vec<usize>, Vec<usize>) = axes.partition(one_of_several);
    if stuck.is_empty() || outer.len() + stuck.len() > MAX_RANK {
        return None;
    }
    let inner = view::permute(inner, &[&others[..], &stuck].concat());
    let mut outer = *outer;
    for _ in &stuck {
        outer.add_dim(0, view::size(1));
    }
    Some((view::compose(&inner, &outer)?, stuck.len()))
}

/// A leaf of uniform draws.
pub fn is_draw(graph: &Graph, value: &Value) -> bool {
    own::<ops::Input>(graph, value.node)
        .is_some_and(|input| matches!(input.kind, ops::InputKind::Draw { .. }))
}

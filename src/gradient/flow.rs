//! Gradients through views. A gradient stays a view for as long as it can: a copy in between would hide a contraction, and
//! what broadcasts is computed once, not per element.

use super::pieces::Piece;
use crate::ir::{Rewriter, ShapeTracker, Value, view};
use luminal::op::{Add, Mul, Operator};

/// The gradient of a buffer, from the gradient of what a view shows of it: broadcast axes are summed, axes go back to their
/// places, a slice is a piece, a pad is cut off.
pub fn adjoint(r: &mut Rewriter, seen: &ShapeTracker, gradient: &Value) -> Piece {
    let mut gradient = gradient.clone();
    let mut order: Vec<usize> = seen.indexes.to_vec();
    for axis in (0..order.len()).rev() {
        if seen.fake[order[axis]] {
            gradient = sum(r, &gradient, axis);
            order.remove(axis);
        }
    }
    let mut places: Vec<usize> = (0..order.len()).collect();
    places.sort_by_key(|&axis| order[axis]);
    let region = gradient.permute(&places);
    place(r, seen, region)
}

/// The gradient of a buffer, from that of the region which a view shows, in the order of the buffer's axes.
pub fn place(r: &mut Rewriter, seen: &ShapeTracker, mut region: Value) -> Piece {
    let buffer = view::physical(seen);
    let by_place = |per_axis: Vec<(usize, usize)>| -> Vec<(usize, usize)> {
        let axes = seen.indexes.iter().copied().zip(per_axis);
        let mut real: Vec<_> = axes.filter(|(i, _)| !seen.fake[*i]).collect();
        real.sort_by_key(|(i, _)| *i);
        real.into_iter().map(|(_, pair)| pair).collect()
    };
    for (axis, (before, after)) in by_place(view::padding(seen)).into_iter().enumerate() {
        if before + after > 0 {
            region = r.slice(&region, axis, before, before + buffer[axis]);
        }
    }
    Piece::cut(r, region, &by_place(view::slices(seen)), &buffer)
}

/// Sum over an axis: a broadcast axis is counted instead.
pub fn sum(r: &mut Rewriter, a: &Value, axis: usize) -> Value {
    let n = a.dims()[axis];
    if !view::broadcasts(&a.view, axis) && n != 1 {
        return r.sum(a, axis);
    }
    if !view::broadcasts(&a.view, axis) {
        let mut dims = a.dims();
        dims.remove(axis);
        return reshape(r, a, &dims);
    }
    let mut narrow = a.view;
    narrow.remove_dim(axis);
    scale(r, &a.through(narrow), n as f32)
}

/// `a · x` on the buffer behind the view.
pub fn scale(r: &mut Rewriter, a: &Value, x: f32) -> Value {
    if x == 1.0 {
        return a.clone();
    }
    let buffer = a.through(view::plain(&view::physical(&a.view)));
    r.scale(&buffer, x).through(a.view)
}

pub fn mul(r: &mut Rewriter, a: &Value, b: &Value) -> Value {
    narrow(r, Mul, a, b)
}

pub fn add(r: &mut Rewriter, a: &Value, b: &Value) -> Value {
    narrow(r, Add, a, b)
}

/// The same elements under other dims; copies only where no view can say it.
pub fn reshape(r: &mut Rewriter, a: &Value, dims: &[usize]) -> Value {
    match view::relabel(&a.view, dims) {
        Some(view) => a.through(view),
        None => r.reshape(a, dims),
    }
}

/// A binary operator on operands of the same dims: axes along which both broadcast stay out of it.
fn narrow(r: &mut Rewriter, op: impl Operator + 'static, a: &Value, b: &Value) -> Value {
    let (mut a, mut b) = (a.clone(), b.clone());
    let mut shared = Vec::new();
    for axis in (0..a.rank()).rev() {
        if view::broadcasts(&a.view, axis) && view::broadcasts(&b.view, axis) {
            a.view.remove_dim(axis);
            let n = b.dims()[axis];
            b.view.remove_dim(axis);
            shared.push((axis, n));
        }
    }
    let mut y = r.binary(op, &a, &b);
    for (axis, n) in shared.into_iter().rev() {
        y = y.expand(axis, n);
    }
    y
}

//! The operators that can grow a graph.

use super::{BATCH, Garden, MOST, Plant};
use mimc::ir::{
    Rewriter, Value,
    ops::{Concat, Detach, Erf, InputKind, Roll},
};

/// What can grow a graph; each says `None` where it does not fit what is there.
pub(super) const CHOICES: &[fn(&mut Garden) -> Option<Plant>] = &[
    erf,
    exp2,
    recip,
    scaled,
    shifted,
    sum,
    sum,
    most,
    permuted,
    repeated,
    relabelled,
    slice,
    pad,
    roll,
    joined,
    pointwise,
    pointwise,
    pointwise,
    contraction,
    contraction,
    contraction,
    softmax,
    normalised,
    dropout,
    attention,
];

fn erf(g: &mut Garden) -> Option<Plant> {
    let x = g.any();
    let value = g.r.op(Erf, &[&x.value]).remove(0);
    Some(Plant { value, bound: 1.0 })
}

fn exp2(g: &mut Garden) -> Option<Plant> {
    let x = g.any();
    let bound = x.bound.exp2();
    (x.bound <= 3.0).then(|| Plant {
        value: g.r.exp2(&x.value),
        bound,
    })
}

/// `1 / (x² + 1)`
fn recip(g: &mut Garden) -> Option<Plant> {
    let x = g.any();
    let square = g.r.mul(&x.value, &x.value);
    let above = g.r.offset(&square, 1.0);
    let value = g.r.recip(&above);
    Some(Plant { value, bound: 1.0 })
}

fn scaled(g: &mut Garden) -> Option<Plant> {
    let (x, by) = (g.any(), [0.0, 1.0, -1.0, 0.5, 3.0][g.pick(5)]);
    Some(Plant {
        value: g.r.scale(&x.value, by),
        bound: x.bound * by.abs(),
    })
}

fn shifted(g: &mut Garden) -> Option<Plant> {
    let (x, by) = (g.any(), [0.0, 1.0, -0.5][g.pick(3)]);
    Some(Plant {
        value: g.r.offset(&x.value, by),
        bound: x.bound + by.abs(),
    })
}

fn sum(g: &mut Garden) -> Option<Plant> {
    let x = g.any();
    let axis = g.axis(&x.value)?;
    let n = x.value.dims()[axis];
    let mut value = g.r.sum(&x.value, axis);
    if g.pick(2) == 0 {
        value = value.expand(axis, n);
    }
    let bound = x.bound * n as f32;
    Some(Plant { value, bound })
}

/// The largest along an axis. No gradient: where two are equal, rounding may choose.
fn most(g: &mut Garden) -> Option<Plant> {
    let x = g.any();
    let axis = g.axis(&x.value)?;
    let value = g.r.max(&x.value, axis);
    let value = g.r.op(Detach, &[&value]).remove(0);
    Some(Plant { value, ..x })
}

fn permuted(g: &mut Garden) -> Option<Plant> {
    let x = g.any();
    let mut order: Vec<usize> = (0..x.value.rank()).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, g.pick(i + 1));
    }
    let value = x.value.permute(&order);
    Some(Plant { value, ..x })
}

fn repeated(g: &mut Garden) -> Option<Plant> {
    let x = g.any();
    if x.value.rank() > 4 {
        return None;
    }
    let axis = g.pick(x.value.rank() + 1);
    let value = x.value.expand(axis, 1 + g.pick(3));
    Some(Plant { value, ..x })
}

/// Two axes as one, or one as two.
fn relabelled(g: &mut Garden) -> Option<Plant> {
    let x = g.any();
    let axis = g.axis(&x.value)?;
    let mut dims = x.value.dims();
    if axis + 1 < dims.len() {
        dims[axis] *= dims.remove(axis + 1);
    } else {
        let factor = [2, 3].into_iter().find(|f| dims[axis].is_multiple_of(*f))?;
        dims[axis] /= factor;
        dims.insert(axis, factor);
    }
    let value = g.r.reshape(&x.value, &dims);
    Some(Plant { value, ..x })
}

fn slice(g: &mut Garden) -> Option<Plant> {
    let x = g.any();
    let axis = g.axis(&x.value)?;
    let n = x.value.dims()[axis];
    let start = g.pick(n);
    let end = start + 1 + g.pick(n - start);
    let base = g.r.contiguous(&x.value);
    let value = g.r.slice(&base, axis, start, end);
    Some(Plant { value, ..x })
}

fn pad(g: &mut Garden) -> Option<Plant> {
    let x = g.any();
    let axis = g.axis(&x.value)?;
    let (before, after) = (g.pick(2), g.pick(2));
    let value = g.r.pad(&x.value, axis, before, after);
    Some(Plant { value, ..x })
}

fn roll(g: &mut Garden) -> Option<Plant> {
    let x = g.any();
    let axis = g.axis(&x.value)?;
    let shifts = vec![(axis, g.pick(5) as i64 - 2)];
    let value = g.r.op(Roll { shifts }, &[&x.value]).remove(0);
    Some(Plant { value, ..x })
}

/// A tensor behind a part of itself.
fn joined(g: &mut Garden) -> Option<Plant> {
    let x = g.any();
    let axis = g.axis(&x.value)?;
    let twice = g.r.scale(&x.value, 2.0);
    let value = g.r.op(Concat { axis }, &[&x.value, &twice]).remove(0);
    let bound = 2.0 * x.bound;
    Some(Plant { value, bound })
}

fn pointwise(g: &mut Garden) -> Option<Plant> {
    let (a, b) = (g.any(), g.any());
    b.value.broadcast_to(&a.value.dims())?;
    Some(match g.pick(3) {
        0 => Plant {
            value: g.r.add(&a.value, &b.value),
            bound: a.bound + b.bound,
        },
        1 => Plant {
            value: g.r.sub(&b.value, &a.value),
            bound: a.bound + b.bound,
        },
        _ => Plant {
            value: g.r.mul(&a.value, &b.value),
            bound: a.bound * b.bound,
        },
    })
}

/// A product of two tensors over an axis that both have the size of, summed over that axis, and sometimes over more.
fn contraction(g: &mut Garden) -> Option<Plant> {
    let (a, b) = (g.any(), g.any());
    let (axis, other) = (g.axis(&a.value)?, g.axis(&b.value)?);
    let n = a.value.dims()[axis];
    let rank = a.value.rank() + b.value.rank() - 1;
    if b.value.dims()[other] != n || rank > 6 {
        return None;
    }
    let mut order: Vec<usize> = (0..b.value.rank()).filter(|&i| i != other).collect();
    order.insert(0, other);
    let product = g.product(&a.value, axis, &b.value.permute(&order));
    if product.dims().iter().product::<usize>() > 8 * MOST {
        return None;
    }
    let mut bound = a.bound * b.bound;
    let mut value = product;
    // The shared axis is summed, or is one of the batch.
    let summed = if g.pick(4) > 0 { axis } else { rank - 1 };
    bound *= value.dims()[summed] as f32;
    value = g.r.sum(&value, summed);
    if g.pick(3) == 0 && value.rank() > 2 {
        bound *= value.dims()[0] as f32;
        value = g.r.sum(&value, 0);
    }
    let scale = 0.25;
    let value = g.r.scale(&value, scale);
    Some(Plant {
        value,
        bound: bound * scale,
    })
}

fn softmax(g: &mut Garden) -> Option<Plant> {
    let x = g.any();
    g.axis(&x.value)?;
    let value = g.last_softmax(&x.value);
    Some(Plant { value, bound: 1.0 })
}

/// Layer norm of the last axis.
fn normalised(g: &mut Garden) -> Option<Plant> {
    let x = g.any().value;
    g.axis(&x)?;
    let (last, n) = (x.rank() - 1, x.dims()[x.rank() - 1]);
    let mean = |r: &mut Rewriter, x: &Value| {
        let sum = r.sum(x, last);
        r.scale(&sum, 1.0 / n as f32).expand(last, n)
    };
    let middle = mean(&mut g.r, &x);
    let centred = g.r.sub(&x, &middle);
    let squares = g.r.mul(&centred, &centred);
    let variance = mean(&mut g.r, &squares);
    // Where a row is constant, a small offset would blow rounding up.
    let variance = g.r.offset(&variance, 0.1);
    let deviation = g.r.sqrt(&variance);
    let value = g.r.div(&centred, &deviation);
    Some(Plant { value, bound: 2.0 })
}

fn dropout(g: &mut Garden) -> Option<Plant> {
    let x = g.any();
    let dims = x.value.dims();
    if dims.first() != Some(&BATCH) {
        return None;
    }
    g.draws += 1;
    let kind = InputKind::Draw { per_sample: true };
    let draws = g.r.input(&format!("draw{}", g.draws), &dims, kind);
    let rate = g.r.constant(0.25, &dims);
    let dropped = g.r.less(&draws, &rate);
    let kept = g.r.neg(&dropped);
    let kept = g.r.offset(&kept, 1.0);
    let kept = g.r.scale(&kept, 1.0 / 0.75);
    Some(Plant {
        value: g.r.mul(&x.value, &kept),
        bound: x.bound / 0.75,
    })
}

/// Of a tensor `[..., tokens, width]` to itself, with a bias where one fits.
fn attention(g: &mut Garden) -> Option<Plant> {
    let x = g.any();
    let rank = x.value.rank();
    if !(2..=4).contains(&rank) || x.bound > 4.0 {
        return None;
    }
    let dims = x.value.dims();
    let (tokens, width) = (dims[rank - 2], dims[rank - 1]);
    let q = g.r.scale(&x.value, 0.5);
    let product = g.r.mul(
        &q.expand(rank - 1, tokens),
        &x.value.expand(rank - 2, tokens),
    );
    let scores = g.r.sum(&product, rank);
    let bias = g.any().value;
    let scores = match bias.broadcast_to(&scores.dims()) {
        Some(_) => g.r.add(&scores, &bias),
        None => scores,
    };
    let weights = g.last_softmax(&scores);
    let mixed = g.r.mul(
        &weights.expand(rank, width),
        &x.value.expand(rank - 2, tokens),
    );
    let value = g.r.sum(&mixed, rank - 1);
    Some(Plant { value, ..x })
}

//! Pieces of models in primitives, as elaboration and the gradient spell them.

use mimc::ir::{
    Own, Rewriter, Value,
    ops::{Erf, Init, InputKind, Part},
};
use std::sync::Arc;

pub fn feed(r: &mut Rewriter, name: &str, dims: &[usize]) -> Value {
    r.input(name, dims, InputKind::Feed)
}

pub fn weight(r: &mut Rewriter, name: &str, dims: &[usize]) -> Value {
    let init = Init::Fill(0.0);
    r.input(name, dims, InputKind::Weight { decay: true, init })
}

/// The root that adds a gradient to its accumulator.
pub fn gradient(r: &mut Rewriter, name: &str, value: &Value) {
    let sum = r.input(name, &value.dims(), InputKind::State(Part::Gradient));
    let sum = r.add(&sum, value);
    r.add_root(&format!("gradient.{name}"), &sum);
}

/// Over the last axis, which stays with size 1.
pub fn mean(r: &mut Rewriter, x: &Value) -> Value {
    let dims = x.dims();
    let last = dims.len() - 1;
    let sum = r.sum(x, last);
    let mean = r.scale(&sum, 1.0 / dims[last] as f32);
    mean.expand(last, 1)
}

pub fn sum_over(r: &mut Rewriter, x: &Value, leading: usize) -> Value {
    (0..leading).fold(x.clone(), |x, _| r.sum(&x, 0))
}

pub fn wide(x: &Value, dims: &[usize]) -> Value {
    x.broadcast_to(dims).expect("it broadcasts")
}

pub struct LayerNorm {
    pub y: Value,
    pub centred: Value,
    pub deviation: Value,
    pub scaled: Value,
}

pub fn layer_norm(r: &mut Rewriter, x: &Value, weight: &Value, bias: &Value) -> LayerNorm {
    let m = mean(r, x);
    let centred = r.sub(x, &m);
    let square = r.mul(&centred, &centred);
    let variance = mean(r, &square);
    let variance = r.offset(&variance, 1e-5);
    let deviation = r.sqrt(&variance);
    let scaled = r.div(&centred, &deviation);
    let y = r.mul(&scaled, weight);
    let y = r.add(&y, bias);
    LayerNorm {
        y,
        centred,
        deviation,
        scaled,
    }
}

/// The gradients of input, weight and bias by one rule per primitive.
pub fn layer_norm_backward(
    r: &mut Rewriter,
    norm: &LayerNorm,
    weight: &Value,
    dy: &Value,
) -> [Value; 3] {
    let dims = dy.dims();
    let last = dims.len() - 1;
    let by_weight = r.mul(dy, &norm.scaled);
    let d_weight = sum_over(r, &by_weight, last);
    let d_bias = sum_over(r, dy, last);
    let d_scaled = r.mul(dy, weight);
    let inverse = r.recip(&norm.deviation);
    let mut d_centred = r.mul(&d_scaled, &inverse);
    let d_inverse = r.mul(&d_scaled, &norm.centred);
    let d_inverse = r.sum(&d_inverse, last).expand(last, 1);
    let square = r.mul(&inverse, &inverse);
    let d_deviation = r.mul(&d_inverse, &square);
    let d_deviation = r.neg(&d_deviation);
    let half = r.scale(&inverse, 0.5);
    let d_variance = r.mul(&d_deviation, &half);
    let d_square = r.scale(&d_variance, 1.0 / dims[last] as f32);
    let d_square = wide(&d_square, &dims);
    for _ in 0..2 {
        let more = r.mul(&d_square, &norm.centred);
        d_centred = r.add(&d_centred, &more);
    }
    let d_mean = r.sum(&d_centred, last).expand(last, 1);
    let d_mean = r.scale(&d_mean, -1.0 / dims[last] as f32);
    let dx = r.add(&d_centred, &d_mean);
    [dx, d_weight, d_bias]
}

/// Over the last axis.
pub fn softmax(r: &mut Rewriter, x: &Value) -> Value {
    let dims = x.dims();
    let last = dims.len() - 1;
    let most = r.max(x, last).expand(last, 1);
    let most = r.unary(Own(Arc::new(mimc::ir::ops::Detach)), &most);
    let x = r.sub(x, &most);
    let e = r.exp(&x);
    let sum = r.sum(&e, last).expand(last, 1);
    r.div(&e, &sum)
}

pub fn gelu(r: &mut Rewriter, x: &Value) -> Value {
    let inner = r.scale(x, std::f32::consts::FRAC_1_SQRT_2);
    let inner = r.unary(Own(Arc::new(Erf)), &inner);
    let inner = r.offset(&inner, 1.0);
    let half = r.scale(x, 0.5);
    r.mul(&half, &inner)
}

/// `x · wᵀ`, with the token axes of `x` in front.
pub fn linear(r: &mut Rewriter, x: &Value, w: &Value) -> Value {
    let (dims, out) = (x.dims(), w.dims()[0]);
    let rank = dims.len();
    let wide = dims[..rank - 1]
        .iter()
        .rev()
        .fold(w.clone(), |w, &n| w.expand(0, n));
    let product = r.mul(&x.expand(rank - 1, out), &wide);
    r.sum(&product, rank)
}

/// Kept and divided by 1 - rate where the draw is at least the rate; the draw broadcasts to `x`.
pub fn dropout(r: &mut Rewriter, x: &Value, draw: &Value, rate: f32) -> Value {
    let dropped = r.constant(rate, &draw.dims());
    let dropped = r.less(draw, &dropped);
    let kept = r.neg(&dropped);
    let kept = r.offset(&kept, 1.0);
    let kept = r.scale(&kept, 1.0 / (1.0 - rate));
    r.mul(x, &kept)
}

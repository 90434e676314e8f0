//! Scaled dot-product attention.

use super::{Bf16, Op};
use crate::ir::{Rewriter, Value};

/// `out = dropout(softmax(scale·q·kᵀ + Σ biases)) · v`, for every index of the batch axes (1 to 4: image, window, head).
///
/// Inputs: q `[batch..., queries, width]`, k `[batch..., keys, width]`, v `[batch..., keys, value width]`, the biases
/// `[batch..., queries, keys]`, and with dropout uniform draws of the same dims.
///
/// Outputs: the result, its last batch axis moved behind the queries so that joining heads is no copy:
/// `[batch..., queries, heads, value width]`; and, for the gradient, the natural log of the softmax's denominator,
/// `[batch..., heads, queries]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    pub scale: f32,
    pub biases: usize,
    /// A weight is kept, and divided by 1 - rate, where its draw is at least the rate.
    pub dropout: Option<f32>,
    /// The result is rounded to bf16, and so are the gradients of q, k and v.
    pub rounds: bool,
}

impl Attention {
    /// Inputs of the operator.
    pub fn inputs(&self) -> usize {
        3 + self.biases + usize::from(self.dropout.is_some())
    }
}

impl Op for Attention {
    fn label(&self) -> String {
        let dropout = self.dropout.map(|rate| format!(", dropout {rate}"));
        format!(
            "attention[scale {}{}{}]",
            self.scale,
            dropout.unwrap_or_default(),
            if self.rounds { ", to bf16" } else { "" }
        )
    }

    fn outputs(&self, inputs: &[Vec<usize>]) -> Vec<Vec<usize>> {
        let (q, v) = (&inputs[0], &inputs[2]);
        let (batch, queries) = (&q[..q.len() - 2], q[q.len() - 2]);
        let (heads, outer) = batch.split_last().expect("attention has a batch axis");
        let width = v[v.len() - 1];
        vec![
            [outer, &[queries, *heads, width]].concat(),
            [batch, &[queries]].concat(),
        ]
    }

    fn decompose(&self, r: &mut Rewriter, inputs: &[Value]) -> Option<Vec<Value>> {
        let dims: Vec<Vec<usize>> = inputs.iter().map(Value::dims).collect();
        let outputs = self.outputs(&dims);
        let flat = Flat::new(r, self, inputs);
        let scores = flat.scores(r, self.scale);
        let most = r.max(&scores, 2);
        let below = r.sub(&scores, &most.expand(2, flat.keys));
        let e = r.exp(&below);
        let total = r.sum(&e, 2);
        let log = r.log(&total);
        let log_sum = r.add(&log, &most);
        let weights = r.div(&e, &total.expand(2, flat.keys));
        let weights = flat.dropped(r, &weights);
        let mut out = contract(r, &weights, &flat.v, 1);
        if self.rounds {
            out = r.op(Bf16, &[&out]).remove(0);
        }
        Some(vec![
            heads_inward(r, &out, &outputs[0]),
            r.reshape(&log_sum, &outputs[1]),
        ])
    }

    fn reads_slices(&self) -> bool {
        true
    }
}

/// The inputs with all batch axes as one.
pub(super) struct Flat {
    /// `[batch, queries, width]`
    pub q: Value,
    /// `[batch, keys, width]`
    pub k: Value,
    /// `[batch, keys, value width]`
    pub v: Value,
    pub batch: usize,
    pub queries: usize,
    pub keys: usize,
    /// `[batch, queries, keys]`
    biases: Vec<Value>,
    /// `[batch, queries, keys]`: what dropout multiplies by.
    kept: Option<Value>,
}

impl Flat {
    pub fn new(r: &mut Rewriter, op: &Attention, inputs: &[Value]) -> Flat {
        let mut flat = inputs[..op.inputs()].iter().map(|x| {
            let dims = x.dims();
            let (batch, own) = dims.split_at(dims.len() - 2);
            let x = r.contiguous(x);
            r.reshape(&x, &[batch.iter().product(), own[0], own[1]])
        });
        let mut next = || flat.next().expect("as many inputs as `inputs` counts");
        let (q, k, v) = (next(), next(), next());
        let biases = (0..op.biases).map(|_| next()).collect();
        let draws = op.dropout.map(|rate| (rate, next()));
        let kept = draws.map(|(rate, draws)| {
            let rates = r.constant(rate, &draws.dims());
            let dropped = r.less(&draws, &rates);
            let dropped = r.neg(&dropped);
            let kept = r.offset(&dropped, 1.0);
            r.scale(&kept, 1.0 / (1.0 - rate))
        });
        Flat {
            batch: q.dims()[0],
            queries: q.dims()[1],
            keys: k.dims()[1],
            q,
            k,
            v,
            biases,
            kept,
        }
    }

    pub fn scores(&self, r: &mut Rewriter, scale: f32) -> Value {
        let scores = outer(r, &self.q, &self.k);
        let scores = r.scale(&scores, scale);
        let mut sum = scores;
        for bias in &self.biases {
            sum = r.add(&sum, bias);
        }
        sum
    }

    pub fn dropped(&self, r: &mut Rewriter, weights: &Value) -> Value {
        match &self.kept {
            Some(kept) => r.mul(weights, kept),
            None => weights.clone(),
        }
    }
}

/// `[batch, m, k] x [batch, n, k] -> [batch, m, n]`
pub(super) fn outer(r: &mut Rewriter, a: &Value, b: &Value) -> Value {
    let (m, n) = (a.dims()[1], b.dims()[1]);
    let product = r.mul(&a.expand(2, n), &b.expand(1, m));
    r.sum(&product, 3)
}

/// Rows of `b` `[batch, n, width]`, weighted by `a` `[batch, m, n]` and summed over n (`kept` 1) or, m of them, over m
/// (`kept` 2).
pub(super) fn contract(r: &mut Rewriter, a: &Value, b: &Value, kept: usize) -> Value {
    let width = b.dims()[2];
    let b = b.expand(kept, a.dims()[kept]);
    let product = r.mul(&a.expand(3, width), &b);
    r.sum(&product, 3 - kept)
}

/// `[batch, queries, width]` as the operator's output has it, `[..., queries, heads, width]`.
fn heads_inward(r: &mut Rewriter, x: &Value, to: &[usize]) -> Value {
    let order = swapped(to.len());
    let from: Vec<usize> = order.iter().map(|&axis| to[axis]).collect();
    let x = r.reshape(x, &from);
    r.contiguous(&x.permute(&order))
}

/// The axes of an output of rank `rank` with queries and heads exchanged: there and back.
pub(super) fn swapped(rank: usize) -> Vec<usize> {
    let mut axes: Vec<usize> = (0..rank).collect();
    axes.swap(rank - 3, rank - 2);
    axes
}

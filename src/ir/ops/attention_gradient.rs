//! The gradients of attention, from its result and the log of its softmax's denominator: the weights are computed anew.

use super::{
    Attention, Bf16, Op,
    attention::{Flat, contract, outer, swapped},
};
use crate::ir::{Rewriter, Value};

/// Inputs: those of [`Attention`], its two outputs, the gradient of its result. One output per entry of `wanted`.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionGradient {
    pub of: Attention,
    pub wanted: Vec<Wanted>,
}

/// One output: the gradients of some inputs, one behind the other along `axes[join]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// 0 q, 1 k, 2 v, 3.. the biases. More than one only of q, k and v.
    pub inputs: Vec<usize>,
    /// Axes of the inputs in the order of the output, so that it can lie as what the inputs are views of. Over the axes that
    /// are left out it is summed; of q, k and v only axes of size 1 may be.
    pub axes: Vec<usize>,
    pub join: usize,
}

impl AttentionGradient {
    /// Whether an output is rounded to bf16.
    pub fn rounds(&self, output: usize) -> bool {
        self.of.rounds && self.wanted[output].inputs[0] < 3
    }
}

impl Op for AttentionGradient {
    fn label(&self) -> String {
        let name = |&input: &usize| match input {
            0 => "q".to_owned(),
            1 => "k".to_owned(),
            2 => "v".to_owned(),
            bias => format!("bias {}", bias - 3),
        };
        let wanted: Vec<String> = self
            .wanted
            .iter()
            .map(|w| w.inputs.iter().map(name).collect())
            .collect();
        let rounds = if self.of.rounds { ", to bf16" } else { "" };
        format!("attention'[{}{rounds}]", wanted.join(", "))
    }

    fn outputs(&self, inputs: &[Vec<usize>]) -> Vec<Vec<usize>> {
        let dims = |wanted: &Wanted| {
            let of = &inputs[wanted.inputs[0]];
            let mut dims: Vec<usize> = wanted.axes.iter().map(|&axis| of[axis]).collect();
            if wanted.inputs.len() > 1 {
                dims[wanted.join] *= wanted.inputs.len();
            }
            dims
        };
        self.wanted.iter().map(dims).collect()
    }

    fn decompose(&self, r: &mut Rewriter, inputs: &[Value]) -> Option<Vec<Value>> {
        let (of, results) = inputs.split_at(self.of.inputs());
        let flat = Flat::new(r, &self.of, of);
        let [out, out_gradient] = [&results[0], &results[2]].map(|x| {
            let x = r.contiguous(&x.permute(&swapped(x.rank())));
            let width = flat.v.dims()[2];
            r.reshape(&x, &[flat.batch, flat.queries, width])
        });
        let log_sum = r.contiguous(&results[1]);
        let log_sum = r.reshape(&log_sum, &[flat.batch, flat.queries]);
        let wide = |x: &Value| x.expand(2, flat.keys);

        let scores = flat.scores(r, self.of.scale);
        let below = r.sub(&scores, &wide(&log_sum));
        let weights = r.exp(&below);
        let dropped = flat.dropped(r, &weights);
        let v_gradient = contract(r, &dropped, &out_gradient, 2);
        let weights_gradient = outer(r, &out_gradient, &flat.v);
        let weights_gradient = flat.dropped(r, &weights_gradient);
        let shared = r.mul(&out_gradient, &out);
        let shared = r.sum(&shared, 2);
        let slope = r.sub(&weights_gradient, &wide(&shared));
        let score_gradient = r.mul(&weights, &slope);
        let scaled = r.scale(&score_gradient, self.of.scale);
        let q_gradient = contract(r, &scaled, &flat.k, 1);
        let k_gradient = contract(r, &scaled, &flat.q, 2);

        let whole = [q_gradient, k_gradient, v_gradient];
        let gradient = |r: &mut Rewriter, input: usize, axes: &[usize]| {
            let gradient = whole.get(input).unwrap_or(&score_gradient);
            let gradient = r.reshape(gradient, &of[input].dims());
            arranged(r, &gradient, axes)
        };
        let outputs = self.wanted.iter().enumerate().map(|(output, wanted)| {
            let parts: Vec<Value> = wanted
                .inputs
                .iter()
                .map(|&input| gradient(r, input, &wanted.axes))
                .collect();
            let whole = match &parts[..] {
                [one] => one.clone(),
                parts => r.concat_by_pads(parts, wanted.join),
            };
            match self.rounds(output) {
                true => r.op(Bf16, &[&whole]).remove(0),
                false => whole,
            }
        });
        Some(outputs.collect())
    }

    fn reads_slices(&self) -> bool {
        true
    }
}

/// Summed over the axes that are not listed, the others in the order listed.
fn arranged(r: &mut Rewriter, x: &Value, axes: &[usize]) -> Value {
    let (mut x, mut kept) = (x.clone(), (0..x.rank()).collect::<Vec<_>>());
    for axis in (0..x.rank()).rev().filter(|axis| !axes.contains(axis)) {
        x = r.sum(&x, axis);
        kept.remove(axis);
    }
    let place = |axis: &usize| kept.iter().position(|k| k == axis);
    let order: Vec<usize> = axes.iter().filter_map(place).collect();
    r.contiguous(&x.permute(&order))
}

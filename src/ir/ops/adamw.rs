//! One AdamW update of one weight.

use super::Op;
use crate::ir::{Rewriter, Value};

/// Inputs: weight, gradient, first moment, second moment, then the scalars rate, 1 − β1ᵗ, 1 − β2ᵗ and the clipping factor.
/// Outputs: the new weight, first moment and second moment. (Loshchilov & Hutter 2019, in the order PyTorch computes it.)
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    /// In f64: 1 - 0.999 of the rounded 0.999 would be off by 1e-5 of itself.
    pub betas: [f64; 2],
    pub eps: f32,
    pub decay: f32,
}

impl Op for AdamW {
    fn label(&self) -> String {
        format!("adamw[decay {}]", self.decay)
    }

    fn outputs(&self, inputs: &[Vec<usize>]) -> Vec<Vec<usize>> {
        vec![inputs[0].clone(); 3]
    }

    fn decompose(&self, r: &mut Rewriter, inputs: &[Value]) -> Option<Vec<Value>> {
        let dims = inputs[0].dims();
        let wide = |v: &Value| {
            v.broadcast_to(&dims)
                .expect("a scalar broadcasts to anything")
        };
        let [weight, gradient, m, v] = [0, 1, 2, 3].map(|i| inputs[i].clone());
        let [rate, correction1, correction2, clip] = [4, 5, 6, 7].map(|i| wide(&inputs[i]));
        let [beta1, beta2] = self.betas;
        let g = r.mul(&gradient, &clip);
        let change = r.sub(&g, &m);
        let change = r.scale(&change, (1.0 - beta1) as f32);
        let m = r.add(&m, &change);
        let squared = r.mul(&g, &g);
        let squared = r.scale(&squared, (1.0 - beta2) as f32);
        let v = r.scale(&v, beta2 as f32);
        let v = r.add(&v, &squared);
        let shrink = r.scale(&rate, -self.decay);
        let shrink = r.offset(&shrink, 1.0);
        let weight = r.mul(&weight, &shrink);
        let (root, bias) = (r.sqrt(&v), r.sqrt(&correction2));
        let root = r.div(&root, &bias);
        let root = r.offset(&root, self.eps);
        let step = r.div(&rate, &correction1);
        let ratio = r.div(&m, &root);
        let step = r.mul(&step, &ratio);
        Some(vec![r.sub(&weight, &step), m, v])
    }
}

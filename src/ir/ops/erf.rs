//! The Gauss error function, of which the exact GELU is made.

use super::Op;
use crate::ir::{Rewriter, Value};

#[derive(Debug, Clone, PartialEq)]
pub struct Erf;

impl Op for Erf {
    fn label(&self) -> String {
        "erf".into()
    }

    fn outputs(&self, inputs: &[Vec<usize>]) -> Vec<Vec<usize>> {
        vec![inputs[0].clone()]
    }

    /// Abramowitz & Stegun 7.1.26, absolute error below 1.5e-7.
    fn decompose(&self, r: &mut Rewriter, inputs: &[Value]) -> Option<Vec<Value>> {
        const A: [f32; 5] = [
            1.061_405_4,
            -1.453_152,
            1.421_413_7,
            -0.284_496_74,
            0.254_829_6,
        ];
        let x = &inputs[0];
        let sign = r.sign(x);
        let a = r.mul(x, &sign);
        let t = r.scale(&a, 0.327_591_1);
        let t = r.offset(&t, 1.0);
        let t = r.recip(&t);
        let mut p = r.scale(&t, A[0]);
        for &c in &A[1..] {
            p = r.offset(&p, c);
            p = r.mul(&p, &t);
        }
        let square = r.mul(&a, &a);
        let square = r.scale(&square, -1.0);
        let e = r.exp(&square);
        let tail = r.mul(&p, &e);
        let tail = r.scale(&tail, -1.0);
        let y = r.offset(&tail, 1.0);
        Some(vec![r.mul(&y, &sign)])
    }

    fn is_unary(&self) -> bool {
        true
    }
}

//! Sum of squares of a whole tensor: a weight's share of the gradient norm.

use super::Op;
use crate::ir::{Rewriter, Value};

#[derive(Debug, Clone, PartialEq)]
pub struct SumSquares;

impl Op for SumSquares {
    fn label(&self) -> String {
        "sum_squares".into()
    }

    fn outputs(&self, _: &[Vec<usize>]) -> Vec<Vec<usize>> {
        vec![vec![]]
    }

    fn decompose(&self, r: &mut Rewriter, inputs: &[Value]) -> Option<Vec<Value>> {
        let mut y = r.mul(&inputs[0], &inputs[0]);
        while y.rank() > 0 {
            y = r.sum(&y, y.rank() - 1);
        }
        Some(vec![y])
    }
}

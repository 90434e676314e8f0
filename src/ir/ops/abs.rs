//! Absolute value.

use super::Op;
use crate::ir::{Rewriter, Value};

/// `|x|`; its gradient is 0 at 0, as PyTorch has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Abs;

impl Op for Abs {
    fn label(&self) -> String {
        "abs".into()
    }

    fn outputs(&self, inputs: &[Vec<usize>]) -> Vec<Vec<usize>> {
        vec![inputs[0].clone()]
    }

    /// `x · sign(x)`
    fn decompose(&self, r: &mut Rewriter, inputs: &[Value]) -> Option<Vec<Value>> {
        let sign = r.sign(&inputs[0]);
        Some(vec![r.mul(&inputs[0], &sign)])
    }

    fn is_unary(&self) -> bool {
        true
    }
}

//! A value through which no gradient flows.

use super::Op;
use crate::ir::{Rewriter, Value};

/// The identity, with no gradient: the maximum inside a softmax cancels, so its gradient is never built.
#[derive(Debug, Clone, PartialEq)]
pub struct Detach;

impl Op for Detach {
    fn label(&self) -> String {
        "detach".into()
    }

    fn outputs(&self, inputs: &[Vec<usize>]) -> Vec<Vec<usize>> {
        vec![inputs[0].clone()]
    }

    fn decompose(&self, _: &mut Rewriter, inputs: &[Value]) -> Option<Vec<Value>> {
        Some(vec![inputs[0].clone()])
    }

    fn is_unary(&self) -> bool {
        true
    }
}

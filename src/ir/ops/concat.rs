//! Tensors one behind the other along an axis.

use super::Op;
use crate::ir::{Rewriter, Value};

#[derive(Debug, Clone, PartialEq)]
pub struct Concat {
    pub axis: usize,
}

impl Op for Concat {
    fn label(&self) -> String {
        format!("concat[axis {}]", self.axis)
    }

    fn outputs(&self, inputs: &[Vec<usize>]) -> Vec<Vec<usize>> {
        let mut dims = inputs[0].clone();
        dims[self.axis] = inputs.iter().map(|d| d[self.axis]).sum();
        vec![dims]
    }

    fn decompose(&self, r: &mut Rewriter, inputs: &[Value]) -> Option<Vec<Value>> {
        Some(vec![r.concat_by_pads(inputs, self.axis)])
    }
}

//! Pointwise code with reductions over rows, as one node: layer norm, softmax, GELU, copies of views.

use super::{Op, code};
use crate::ir::{
    Rewriter, Value,
    program::{Instr, ValueId, formula_beyond_copy},
};

/// Inputs: views over `axes`. Outputs: per store the dims `axes`, or `axes[..len - row]` for a value that is one number per row.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// Sizes of the loop nest, outermost first.
    pub axes: Vec<usize>,
    /// Trailing axes that reductions run over; 0 where the code has none.
    pub row: usize,
    pub operands: usize,
    pub code: Vec<Instr>,
    pub stores: Vec<ValueId>,
}

impl Op for Fused {
    fn label(&self) -> String {
        let row = match self.row {
            0 => String::new(),
            1 => format!("[row {}]", self.axes[self.axes.len() - 1]),
            n => format!("[row {:?}]", &self.axes[self.axes.len() - n..]),
        };
        format!("fused{row}")
    }

    fn code(&self) -> String {
        formula_beyond_copy(self.operands, &self.code, &self.stores)
    }

    fn outputs(&self, _: &[Vec<usize>]) -> Vec<Vec<usize>> {
        let narrow = code::narrow(self.operands, &self.code);
        let dims = |&v: &ValueId| match narrow[v] {
            true => self.axes[..self.axes.len() - self.row].to_vec(),
            false => self.axes.clone(),
        };
        self.stores.iter().map(dims).collect()
    }

    fn decompose(&self, r: &mut Rewriter, inputs: &[Value]) -> Option<Vec<Value>> {
        let values = code::build(r, &self.code, inputs, &self.axes, self.row);
        Some(self.stores.iter().map(|&v| values[v].clone()).collect())
    }

    fn reads_slices(&self) -> bool {
        true
    }
}

//! Pointwise code, then sums or maxima over any axes, as one node: bias gradients, column sums, the sums of a loss.

use super::{Op, code};
use crate::ir::{
    Rewriter, Value,
    program::{Instr, ValueId, formula_beyond_copy},
};

/// Inputs: views over `axes`; with `accumulate` then one plain buffer per result. Outputs: per result the axes that are kept, in
/// their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// Sizes of the loop nest.
    pub axes: Vec<usize>,
    /// Indices into `axes` of those that disappear, ascending.
    pub over: Vec<usize>,
    /// Views among the inputs.
    pub operands: usize,
    /// No reductions in it.
    pub code: Vec<Instr>,
    pub results: Vec<(ValueId, Reduction)>,
    /// The results are added to the last inputs.
    pub accumulate: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    Sum,
    Max,
}

impl Folded {
    /// Dims of every result.
    pub fn kept(&self) -> Vec<usize> {
        let kept = (0..self.axes.len()).filter(|axis| !self.over.contains(axis));
        kept.map(|axis| self.axes[axis]).collect()
    }
}

impl Op for Folded {
    fn label(&self) -> String {
        let verb = |r: &(ValueId, Reduction)| match r.1 {
            Reduction::Sum => "sum",
            Reduction::Max => "max",
        };
        let mut verbs: Vec<&str> = self.results.iter().map(verb).collect();
        verbs.dedup();
        let verbs = verbs.join(", ");
        let add = if self.accumulate { ", added" } else { "" };
        let axis = |axis: &usize| format!("axis {axis}");
        let over: Vec<String> = self.over.iter().map(axis).collect();
        format!("fold[{verbs} over {}{add}]", over.join(", "))
    }

    fn code(&self) -> String {
        let values: Vec<ValueId> = self.results.iter().map(|r| r.0).collect();
        formula_beyond_copy(self.operands, &self.code, &values)
    }

    fn outputs(&self, _: &[Vec<usize>]) -> Vec<Vec<usize>> {
        vec![self.kept(); self.results.len()]
    }

    fn decompose(&self, r: &mut Rewriter, inputs: &[Value]) -> Option<Vec<Value>> {
        let (operands, sums) = inputs.split_at(self.operands);
        let values = code::build(r, &self.code, operands, &self.axes, 0);
        let mut results = Vec::new();
        for (i, &(value, reduction)) in self.results.iter().enumerate() {
            let mut result = values[value].clone();
            for &axis in self.over.iter().rev() {
                result = match reduction {
                    Reduction::Sum => r.sum(&result, axis),
                    Reduction::Max => r.max(&result, axis),
                };
            }
            if self.accumulate {
                result = r.add(&sums[i], &result);
            }
            results.push(result);
        }
        Some(results)
    }

    fn reads_slices(&self) -> bool {
        true
    }
}

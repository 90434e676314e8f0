//! Rows of a table, chosen by index.

use super::Op;
use crate::ir::{Rewriter, Value};

/// Inputs: a table `[rows, ...]` and an index tensor of whole numbers below `rows`; output `[index dims..., ...]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Take;

impl Op for Take {
    fn label(&self) -> String {
        "take".into()
    }

    fn outputs(&self, inputs: &[Vec<usize>]) -> Vec<Vec<usize>> {
        vec![[&inputs[1][..], &inputs[0][1..]].concat()]
    }

    /// One-hot times table.
    fn decompose(&self, r: &mut Rewriter, inputs: &[Value]) -> Option<Vec<Value>> {
        let (table, index) = (&inputs[0], &inputs[1]);
        let out = self.outputs(&[table.dims(), index.dims()]).remove(0);
        let (rows, count) = (table.dims()[0], index.dims().iter().product());
        let width: usize = table.dims()[1..].iter().product();
        let one_hot = r.one_hot(index, count, rows);
        let table = r.reshape(table, &[rows, width]);
        let y = r.matmul(&one_hot, &table);
        Some(vec![r.reshape(&y, &out)])
    }
}

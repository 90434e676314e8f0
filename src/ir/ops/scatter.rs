//! Rows added into a table by index: the gradient of `take`.

use super::Op;
use crate::ir::{Rewriter, Value};

/// Inputs: rows `[index dims..., width...]` and the index tensor; output `[rows, width...]`, zero where nothing was added.
#[derive(Debug, Clone, PartialEq)]
pub struct Scatter {
    /// Rows of the table.
    pub rows: usize,
}

impl Op for Scatter {
    fn label(&self) -> String {
        format!("scatter[{}]", self.rows)
    }

    fn outputs(&self, inputs: &[Vec<usize>]) -> Vec<Vec<usize>> {
        vec![[&[self.rows], &inputs[0][inputs[1].len()..]].concat()]
    }

    /// One-hot transposed times rows.
    fn decompose(&self, r: &mut Rewriter, inputs: &[Value]) -> Option<Vec<Value>> {
        let (source, index) = (&inputs[0], &inputs[1]);
        let out = self.outputs(&[source.dims(), index.dims()]).remove(0);
        let count: usize = index.dims().iter().product();
        let width = source.dims().iter().product::<usize>() / count;
        let one_hot = r.one_hot(index, count, self.rows).permute(&[1, 0]);
        let source = r.reshape(source, &[count, width]);
        let y = r.matmul(&one_hot, &source);
        Some(vec![r.reshape(&y, &out)])
    }
}

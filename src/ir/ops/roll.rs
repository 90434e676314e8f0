//! A cyclic shift along some axes.

use super::Op;
use crate::ir::{Rewriter, Value};

/// Element `i` of axis `a` moves to `(i + by) mod size`, for each `(a, by)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Roll {
    pub shifts: Vec<(usize, i64)>,
}

impl Op for Roll {
    fn label(&self) -> String {
        let shifts: Vec<String> = self
            .shifts
            .iter()
            .map(|(axis, by)| format!("axis {axis} by {by}"))
            .collect();
        format!("roll[{}]", shifts.join(", "))
    }

    fn outputs(&self, inputs: &[Vec<usize>]) -> Vec<Vec<usize>> {
        vec![inputs[0].clone()]
    }

    fn decompose(&self, r: &mut Rewriter, inputs: &[Value]) -> Option<Vec<Value>> {
        let mut x = inputs[0].clone();
        for &(axis, by) in &self.shifts {
            let n = x.dims()[axis];
            let cut = (-by).rem_euclid(n as i64) as usize;
            if cut > 0 {
                let (head, tail) = (r.slice(&x, axis, 0, cut), r.slice(&x, axis, cut, n));
                x = r.concat_by_pads(&[tail, head], axis);
            }
        }
        Some(vec![x])
    }
}

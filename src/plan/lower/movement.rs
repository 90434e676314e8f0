//! Concatenation, cyclic shifts, lookups.

use super::Lowering;
use crate::{
    ir::{Value, ops, view},
    plan::{
        Access, Kernel,
        kernel::{Scatter, Take},
    },
};

impl Lowering<'_> {
    pub(super) fn concat(&mut self, concat: &ops::Concat, inputs: &[Value]) {
        let out = self.out(0);
        let whole = Access::plain(self.output_dims(0));
        let mut before = 0;
        for part in inputs {
            let offset = before * whole.strides[concat.axis];
            before += part.dims()[concat.axis];
            self.copy_into(
                part,
                out,
                Access {
                    offset,
                    strides: whole.strides.clone(),
                },
            );
        }
    }

    /// Two copies per shifted axis: what stays in order, and what wraps around.
    pub(super) fn roll(&mut self, roll: &ops::Roll, inputs: &[Value]) {
        let dims = inputs[0].dims();
        let mut pieces = vec![(inputs[0].clone(), Access::plain(&dims))];
        for &(axis, by) in &roll.shifts {
            let n = dims[axis];
            let cut = (-by).rem_euclid(n as i64) as usize;
            let split = |(value, to): (Value, Access)| {
                let part = |start, end, at: usize| {
                    let view = view::slice(&value.view, axis, start, end);
                    let offset = to.offset + at * to.strides[axis];
                    (
                        value.through(view),
                        Access {
                            offset,
                            strides: to.strides.clone(),
                        },
                    )
                };
                let parts = [part(cut, n, 0), part(0, cut, n - cut)];
                parts
                    .into_iter()
                    .filter(|(value, _)| value.dims()[axis] > 0)
            };
            pieces = pieces.into_iter().flat_map(split).collect();
        }
        let out = self.out(0);
        for (value, to) in pieces {
            self.copy_into(&value, out, to);
        }
    }

    pub(super) fn take(&mut self, inputs: &[Value]) {
        let (table, index) = (self.in_order(&inputs[0]), self.floats_in_order(&inputs[1]));
        let dims = inputs[0].dims();
        let kernel = Take {
            table,
            index,
            rows: dims[0],
            count: inputs[1].dims().iter().product(),
            width: dims[1..].iter().product(),
            out: self.out(0),
        };
        self.push(Kernel::Take(kernel), 0);
    }

    pub(super) fn scatter(&mut self, scatter: &ops::Scatter, inputs: &[Value]) {
        let (source, index) = (self.in_order(&inputs[0]), self.floats_in_order(&inputs[1]));
        let count: usize = inputs[1].dims().iter().product();
        let kernel = Scatter {
            source,
            index,
            rows: scatter.rows,
            count,
            width: inputs[0].dims().iter().product::<usize>() / count,
            out: self.out(0),
            accumulate: false,
        };
        self.push(Kernel::Scatter(kernel), 0);
    }
}

//! Pointwise programs, reductions and copies.

use super::{Home, Lowering};
use crate::{
    ir::{
        Value, meta, ops,
        program::{Instr, RowOp},
        view,
    },
    plan::{
        Access, BufferId, Element, Kernel,
        kernel::{Fold, FoldResult, Operand, Reduction, Rows, Store},
    },
};

impl Lowering<'_> {
    pub(super) fn fused(&mut self, fused: &ops::Fused, inputs: &[Value]) {
        let operands = inputs.iter().map(|v| self.operand(v)).collect();
        let store = |output: usize| {
            let narrow = self.output_dims(output).len() < fused.axes.len();
            (fused.stores[output], self.out(output), narrow)
        };
        let stores = (0..fused.stores.len()).map(store).collect();
        let rows = self.rows(&fused.axes, fused.row, operands, &fused.code, stores);
        self.push(Kernel::Rows(rows), 0);
    }

    pub(super) fn folded(&mut self, folded: &ops::Folded, inputs: &[Value]) {
        let (operands, sums) = inputs.split_at(folded.operands);
        if folded.accumulate {
            for (output, sum) in sums.iter().enumerate() {
                self.start_from(output, sum);
            }
        }
        self.fold(
            &folded.axes,
            &folded.over,
            operands,
            &folded.code,
            &folded.results,
            folded.accumulate,
        );
    }

    /// A primitive that no pass fused.
    pub(super) fn pointwise(&mut self, op: RowOp, inputs: &[Value]) {
        let axes = inputs[0].dims();
        let operands = inputs.iter().map(|v| self.operand(v)).collect();
        let code = [Instr {
            op,
            args: (0..inputs.len()).collect(),
        }];
        let out = self.out(0);
        let rows = self.rows(&axes, 0, operands, &code, vec![(inputs.len(), out, false)]);
        self.push(Kernel::Rows(rows), 0);
    }

    /// A reduction that no pass fused.
    pub(super) fn reduce(&mut self, op: RowOp, axis: usize, input: &Value) {
        let reduction = if op == RowOp::RowMax {
            Reduction::Max
        } else {
            Reduction::Sum
        };
        self.fold(
            &input.dims(),
            &[axis],
            std::slice::from_ref(input),
            &[],
            &[(0, reduction)],
            false,
        );
    }

    /// A copy of a view, zeros where it is padded.
    pub(super) fn copy(&mut self, input: &Value) {
        let out = self.out(0);
        let dims = input.dims();
        let mut access = Access::plain(&dims);
        if view::is_padded(&input.view) {
            self.fill(&dims, out, 0.0);
            for ((before, _), stride) in view::padding(&input.view).into_iter().zip(&access.strides)
            {
                access.offset += before * stride;
            }
        }
        self.copy_into(&input.through(view::unpadded(&input.view)), out, access);
    }

    /// Writes a value to a buffer through an access over the value's dims.
    pub(super) fn copy_into(&mut self, value: &Value, buffer: BufferId, access: Access) {
        let operands = vec![self.operand(value)];
        let mut rows = self.rows(&value.dims(), 0, operands, &[], vec![(0, buffer, false)]);
        rows.stores[0].access = extended(access);
        self.push(Kernel::Rows(rows), 0);
    }

    /// A row-major copy of a value.
    pub(super) fn materialise(&mut self, value: &Value, element: Element) -> BufferId {
        let dims = value.dims();
        let buffer = self.scratch(&dims, element);
        self.copy_into(value, buffer, Access::plain(&dims));
        buffer
    }

    /// Before an accumulating kernel: its output holds what is added to. Nothing to do where they are the same buffer.
    pub(super) fn start_from(&mut self, output: usize, sum: &Value) {
        let out = self.out(output);
        if self.locate(sum).0 != Home::Buffer(out) {
            self.copy_into(sum, out, Access::plain(&sum.dims()));
        }
    }

    fn fill(&mut self, dims: &[usize], out: BufferId, x: f32) {
        let code = [Instr {
            op: RowOp::Constant(x),
            args: vec![],
        }];
        let mut rows = self.rows(dims, 0, vec![], &code, vec![(0, out, false)]);
        rows.stores[0].access = extended(Access::plain(dims));
        self.push(Kernel::Rows(rows), 0);
    }

    pub(super) fn operand(&mut self, value: &Value) -> Operand {
        match self.locate(value) {
            (Home::Buffer(buffer), access) => Operand::Memory(buffer, access),
            (Home::Stream(stream), access) => Operand::Draw(stream, access),
        }
    }

    /// A program over `axes` of which the last `row` are reduced. Stores name a value, the whole buffer it fills, and whether it
    /// is one number per row.
    pub(super) fn rows(
        &mut self,
        axes: &[usize],
        row: usize,
        operands: Vec<Operand>,
        code: &[Instr],
        stores: Vec<(usize, BufferId, bool)>,
    ) -> Rows {
        // Without reductions the last axis is the row; a scalar program runs over one element.
        let row_axes = if axes.is_empty() { 0 } else { row.max(1) };
        let (grid, row_dims) = axes.split_at(axes.len() - row_axes);
        let store = |(value, buffer, narrow): (usize, BufferId, bool)| {
            let mut access = if narrow {
                let mut access = Access::plain(&axes[..axes.len() - row]);
                access.strides.resize(axes.len(), 0);
                access
            } else {
                Access::plain(axes)
            };
            if axes.is_empty() {
                access.strides.push(0);
            }
            Store {
                value,
                buffer,
                access,
            }
        };
        let operands = operands
            .into_iter()
            .map(|operand| match operand {
                Operand::Memory(buffer, access) => Operand::Memory(buffer, extended(access)),
                Operand::Draw(stream, access) => Operand::Draw(stream, extended(access)),
            })
            .collect();
        Rows {
            grid: grid.to_vec(),
            row: if axes.is_empty() {
                vec![1]
            } else {
                row_dims.to_vec()
            },
            operands,
            code: code.to_vec(),
            stores: stores.into_iter().map(store).collect(),
        }
    }

    pub(super) fn fold(
        &mut self,
        axes: &[usize],
        over: &[usize],
        inputs: &[Value],
        code: &[Instr],
        results: &[(usize, Reduction)],
        accumulate: bool,
    ) {
        let kept: Vec<usize> = (0..axes.len()).filter(|a| !over.contains(a)).collect();
        let order: Vec<usize> = over.iter().chain(&kept).copied().collect();
        let pick = |of: &[usize], axes: &[usize]| axes.iter().map(|&a| of[a]).collect::<Vec<_>>();
        let reorder = |access: Access| Access {
            offset: access.offset,
            strides: pick(&access.strides, &order),
        };
        let operands = inputs
            .iter()
            .map(|v| match self.operand(v) {
                Operand::Memory(buffer, access) => Operand::Memory(buffer, reorder(access)),
                Operand::Draw(stream, access) => Operand::Draw(stream, reorder(access)),
            })
            .collect();
        let kept_dims = pick(axes, &kept);
        let results = (0..results.len())
            .map(|output| FoldResult {
                value: results[output].0,
                reduction: results[output].1,
                buffer: self.out(output),
                access: Access::plain(&kept_dims),
                accumulate,
            })
            .collect();
        let fold = Fold {
            reduced: pick(axes, over),
            kept: kept_dims,
            operands,
            code: code.to_vec(),
            results,
        };
        self.push(Kernel::Fold(fold), 0);
    }

    pub(super) fn output_dims(&self, output: usize) -> &[usize] {
        &meta(self.graph).nodes[&self.current].dims[output]
    }
}

/// A scalar program still has one axis.
fn extended(mut access: Access) -> Access {
    if access.strides.is_empty() {
        access.strides.push(0);
    }
    access
}

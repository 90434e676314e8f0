//! Contractions to GEMMs: each group of axes collapses into one, what does not collapse becomes a loop.

use super::{Home, Lowering};
use crate::{
    ir::{
        Value, ops,
        ops::Role,
        program::{Instr, RowOp},
    },
    plan::{
        Access, BufferId, Element, Kernel, Place,
        kernel::{Gemm, Operand, Reduction, Rows},
    },
};

/// One loop axis with its stride in a, b and c.
#[derive(Debug, Clone, Copy)]
struct Axis {
    size: usize,
    strides: [usize; 3],
}

impl Lowering<'_> {
    pub(super) fn contraction(&mut self, contraction: &ops::Contraction, inputs: &[Value]) {
        let flops = 2 * contraction.sizes.iter().product::<usize>() as u64;
        if contraction.accumulate {
            self.start_from(0, &inputs[2]);
        }
        let (a, b) = (self.in_memory(&inputs[0]), self.in_memory(&inputs[1]));
        let extras = &inputs[if contraction.accumulate { 3 } else { 2 }..];
        let dims: Vec<usize> = contraction
            .out
            .iter()
            .map(|&axis| contraction.sizes[axis])
            .collect();
        let c = match &contraction.epilogue {
            // The product of which only the epilogue's results are kept is overwritten by the first of them.
            Some(epilogue) => self.product_buffer(epilogue, &dims),
            None => self.out(0),
        };
        match self.gemm(contraction, a, b, c, &dims) {
            Some(mut gemm) => {
                let epilogue = self.epilogue(contraction, c, &dims, extras);
                match epilogue {
                    Some(rows) if gemm.batch.is_empty() => match whole_rows(rows, gemm.m, gemm.n) {
                        Ok(rows) => {
                            gemm.epilogue = Some(rows);
                            self.push(Kernel::Gemm(gemm), flops);
                        }
                        Err(rows) => {
                            self.keep(c);
                            self.push(Kernel::Gemm(gemm), flops);
                            self.push(Kernel::Rows(rows), 0);
                        }
                    },
                    Some(rows) => {
                        self.keep(c);
                        self.push(Kernel::Gemm(gemm), flops);
                        self.push(Kernel::Rows(rows), 0);
                    }
                    None => self.push(Kernel::Gemm(gemm), flops),
                }
            }
            None => {
                self.keep(c);
                self.sum_of_products(contraction, inputs);
                if let Some(rows) = self.epilogue(contraction, c, &dims, extras) {
                    self.push(Kernel::Rows(rows), 0);
                }
            }
        }
    }

    /// `None` where the summed axes do not lie at one stride in both operands.
    fn gemm(
        &mut self,
        contraction: &ops::Contraction,
        a: (BufferId, Access),
        b: (BufferId, Access),
        c: BufferId,
        dims: &[usize],
    ) -> Option<Gemm> {
        let plain = Access::plain(dims);
        let mut in_c = vec![0; contraction.sizes.len()];
        for (&axis, &stride) in contraction.out.iter().zip(&plain.strides) {
            in_c[axis] = stride;
        }
        let axis = |i: usize| Axis {
            size: contraction.sizes[i],
            strides: [a.1.strides[i], b.1.strides[i], in_c[i]],
        };
        // Kept axes in the order of the output, summed axes in the order of the nest.
        let group = |role: Role| -> Vec<Axis> {
            let order = contraction
                .out
                .iter()
                .copied()
                .chain(0..contraction.sizes.len());
            let mut seen = Vec::new();
            for i in order.filter(|&i| contraction.roles[i] == role && contraction.sizes[i] > 1) {
                if !seen.contains(&i) {
                    seen.push(i);
                }
            }
            seen.into_iter().map(axis).collect()
        };
        let mut batch = collapse(&group(Role::Batch));
        let mut inner = |role: Role| {
            let mut axes = collapse(&group(role));
            let one = Axis {
                size: 1,
                strides: [0; 3],
            };
            // The largest axis is worth most inside the product; the others repeat it.
            let best = (0..axes.len()).max_by_key(|&i| (axes[i].size, i));
            let chosen = best.map_or(one, |i| axes.remove(i));
            batch.extend(axes);
            chosen
        };
        let (m, n) = (inner(Role::M), inner(Role::N));
        let summed = collapse(&group(Role::K));
        let k = match summed[..] {
            [] => Axis {
                size: 1,
                strides: [0; 3],
            },
            [k] => k,
            _ => return None,
        };
        let access = |which: usize, offset: usize, two: [usize; 2]| Access {
            offset,
            strides: batch
                .iter()
                .map(|axis| axis.strides[which])
                .chain(two)
                .collect(),
        };
        Some(Gemm {
            a: (a.0, access(0, a.1.offset, [m.strides[0], k.strides[0]])),
            b: (b.0, access(1, b.1.offset, [k.strides[1], n.strides[1]])),
            rounds: contraction.rounds,
            c: (c, access(2, 0, [m.strides[2], n.strides[2]])),
            batch: batch.iter().map(|axis| axis.size).collect(),
            m: m.size,
            n: n.size,
            k: k.size,
            accumulate: contraction.accumulate,
            epilogue: None,
        })
    }

    /// What lies aside has to be in memory after all: another kernel reads it.
    fn keep(&mut self, buffer: BufferId) {
        let place = &mut self.plan.buffers[buffer].place;
        if matches!(place, Place::Aside) {
            *place = Place::Arena(0);
        }
    }

    /// Where the raw product goes: its own output, or over an output of its dims, or aside.
    fn product_buffer(&mut self, epilogue: &ops::Epilogue, dims: &[usize]) -> BufferId {
        let kept = epilogue.stores.iter().position(|&value| value == 0);
        // What is added to state reads it in the epilogue, so the product must not lie over it.
        let wide = |output: &usize| {
            let home = self.homes.get(&(self.current, *output as u8));
            let state = home.is_some_and(|home| match home {
                Home::Buffer(buffer) => matches!(self.plan.buffers[*buffer].place, Place::State),
                Home::Stream(_) => false,
            });
            let floats = self.element(*output) == Element::F32;
            !state && floats && self.output_dims(*output) == dims
        };
        match kept.or_else(|| (0..epilogue.stores.len()).find(wide)) {
            Some(output) => self.out(output),
            None => self.buffer(dims, Element::F32, Place::Aside, self.current),
        }
    }

    /// The epilogue as a program of its own over the output.
    fn epilogue(
        &mut self,
        contraction: &ops::Contraction,
        c: BufferId,
        dims: &[usize],
        extras: &[Value],
    ) -> Option<Rows> {
        let epilogue = contraction.epilogue.as_ref()?;
        let mut operands = vec![Operand::Memory(c, Access::plain(dims))];
        operands.extend(extras.iter().map(|v| self.operand(v)).collect::<Vec<_>>());
        let reduces = epilogue.code.iter().any(|instr| instr.op.reduces());
        let columns = contraction
            .roles
            .iter()
            .filter(|role| **role == Role::N)
            .count();
        let mut stores = Vec::new();
        for (output, &value) in epilogue.stores.iter().enumerate() {
            if value != 0 {
                let narrow = self.output_dims(output).len() < dims.len();
                stores.push((value, self.out(output), narrow));
            }
        }
        let row = if reduces { columns } else { 0 };
        Some(self.rows(dims, row, operands, &epilogue.code, stores))
    }

    /// What no GEMM can say: a fold over the products.
    fn sum_of_products(&mut self, contraction: &ops::Contraction, inputs: &[Value]) {
        // The fold keeps axes in the order of the nest: it is permuted so that these are the output's.
        let summed = (0..contraction.sizes.len()).filter(|i| contraction.roles[*i] == Role::K);
        let order: Vec<usize> = summed
            .clone()
            .chain(contraction.out.iter().copied())
            .collect();
        let axes: Vec<usize> = order.iter().map(|&i| contraction.sizes[i]).collect();
        let operands = [inputs[0].permute(&order), inputs[1].permute(&order)];
        let mut code = Vec::new();
        let mut operand = |i: usize| match contraction.rounds[i] {
            true => {
                let (op, args) = (RowOp::Bf16, vec![i]);
                code.push(Instr { op, args });
                1 + code.len()
            }
            false => i,
        };
        let args = vec![operand(0), operand(1)];
        let op = RowOp::Mul;
        code.push(Instr { op, args });
        let product = 1 + code.len();
        let over: Vec<usize> = (0..summed.count()).collect();
        self.fold(
            &axes,
            &over,
            &operands,
            &code,
            &[(product, Reduction::Sum)],
            contraction.accumulate,
        );
    }
}

/// Joins neighbours that lie at one stride in every operand. Outermost first.
fn collapse(axes: &[Axis]) -> Vec<Axis> {
    let mut joined: Vec<Axis> = Vec::new();
    for &axis in axes {
        match joined.last_mut() {
            Some(outer) if (0..3).all(|i| outer.strides[i] == axis.size * axis.strides[i]) => {
                *outer = Axis {
                    size: outer.size * axis.size,
                    strides: axis.strides,
                };
            }
            _ => joined.push(axis),
        }
    }
    joined
}

/// The program over `[m, n]`, where every access allows it.
fn whole_rows(rows: Rows, m: usize, n: usize) -> Result<Rows, Rows> {
    let dims: Vec<usize> = rows.grid.iter().chain(&rows.row).copied().collect();
    // The axes that make up m are those before the product of the trailing ones reaches n.
    let Some(cut) = (0..=dims.len()).find(|&cut| dims[cut..].iter().product::<usize>() == n) else {
        return Err(rows);
    };
    if dims[..cut].iter().product::<usize>() != m {
        return Err(rows);
    }
    let join = |access: &Access| -> Option<Access> {
        let join = |dims: &[usize], strides: &[usize]| -> Option<usize> {
            let axes: Vec<Axis> = dims
                .iter()
                .zip(strides)
                .filter(|(size, _)| **size > 1)
                .map(|(&size, &stride)| Axis {
                    size,
                    strides: [stride; 3],
                })
                .collect();
            match collapse(&axes)[..] {
                [] => Some(0),
                [axis] => Some(axis.strides[0]),
                _ => None,
            }
        };
        let strides = vec![
            join(&dims[..cut], &access.strides[..cut])?,
            join(&dims[cut..], &access.strides[cut..])?,
        ];
        Some(Access {
            offset: access.offset,
            strides,
        })
    };
    let joined = || -> Option<Rows> {
        let operand = |operand: &Operand| match operand {
            Operand::Memory(buffer, access) => Some(Operand::Memory(*buffer, join(access)?)),
            Operand::Draw(stream, access) => Some(Operand::Draw(*stream, join(access)?)),
        };
        let mut stores = rows.stores.clone();
        for store in &mut stores {
            store.access = join(&store.access)?;
        }
        let operands = rows
            .operands
            .iter()
            .map(operand)
            .collect::<Option<Vec<_>>>()?;
        Some(Rows {
            grid: vec![m],
            row: vec![n],
            operands,
            code: rows.code.clone(),
            stores,
        })
    };
    joined().ok_or(rows)
}

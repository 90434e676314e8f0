//! What a kernel asks of a machine, counted from its shapes: a function of the plan alone.

use super::{
    Access, BufferId, Kernel, Place, Plan, Scheduled,
    kernel::{Attention, Fold, Gemm, Operand, Rows},
};
use crate::ir::program::{Instr, RowOp};
use serde::Serialize;
use std::{iter::Sum, ops::Add};

/// Operations and bytes of a kernel, or of many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Work {
    /// Floating-point operations of matrix products and attention, a multiply-add as two.
    pub flops: u64,
    /// Of these, the operations of products that read nothing but bf16, those of attention included.
    pub halves: u64,
    /// Operations on single elements, each in multiples of what an addition takes: [`RowOp::weight`].
    pub pointwise: u64,
    /// Bytes of memory read and written, an element that is used again counted once.
    pub bytes: u64,
}

/// What one kernel of a program asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// As [`Kernel::label`].
    pub label: &'static str,
    pub work: Work,
}

/// An exponential and what a softmax does beside it, per score; the backward part does it again.
const SOFTMAX: u64 = 16;
/// Of an element: the square and the sum; the update of AdamW with its root and division.
const SQUARE: u64 = 2;
const UPDATE: u64 = 24;

impl Plan {
    /// What the kernels of `accumulate` or `apply` ask for, in their order.
    pub fn asked(&self, program: &[Scheduled]) -> Vec<Asked> {
        let asked = |scheduled: &Scheduled| Asked {
            label: scheduled.kernel.label(),
            work: scheduled.work(self),
        };
        program.iter().map(asked).collect()
    }
}

impl Scheduled {
    /// What the kernel asks for in its plan.
    pub fn work(&self, plan: &Plan) -> Work {
        let len = |buffer: &BufferId| plan.buffers[*buffer].len() as u64;
        let lens = |buffers: &[BufferId]| buffers.iter().map(len).sum::<u64>();
        let size = |buffer: BufferId| plan.buffers[buffer].element.bytes() as u64;
        let (pointwise, bytes) = match &self.kernel {
            Kernel::Rows(rows) => (points(rows), plan.row_bytes(rows)),
            Kernel::Fold(fold) => plan.fold_work(fold),
            Kernel::Gemm(gemm) => plan.gemm_work(gemm),
            Kernel::Attention(forward) => {
                let out = plan.touched(&forward.out, &value_nest(forward));
                (SOFTMAX * scores(forward), plan.inputs(forward) + out)
            }
            Kernel::AttentionBackward(backward) => {
                // Queries, keys and values, and a gradient for each; the output and its gradient.
                let forward = &backward.forward;
                let out = plan.touched(&forward.out, &value_nest(forward));
                let read = plan.inputs(forward);
                (2 * SOFTMAX * scores(forward), 2 * read + 2 * out)
            }
            Kernel::Take(take) => {
                let moved = (take.count * take.width) as u64;
                (0, moved * (size(take.table) + size(take.out)))
            }
            Kernel::Scatter(scatter) => {
                let moved = (scatter.count * scatter.width) as u64;
                (
                    moved,
                    moved * (size(scatter.source) + 2 * size(scatter.out)),
                )
            }
            Kernel::SumSquares(sweep) => {
                let read = lens(&sweep.sources);
                (SQUARE * read, 4 * read)
            }
            Kernel::AdamW(sweep) => {
                let weights: Vec<BufferId> = sweep.segments.iter().map(|s| s.weight).collect();
                // Weight, gradient and both moments are read and written.
                (UPDATE * lens(&weights), 4 * 8 * lens(&weights))
            }
        };
        let halves = match &self.kernel {
            Kernel::Gemm(gemm) if plan.reads_halves(gemm) => self.flops,
            Kernel::Attention(attention) if plan.attends_halves(attention) => self.flops,
            Kernel::AttentionBackward(backward) if plan.attends_halves(&backward.forward) => {
                self.flops
            }
            _ => 0,
        };
        Work {
            flops: self.flops,
            halves,
            pointwise,
            bytes,
        }
    }
}

impl RowOp {
    /// What it takes for one element, in additions: by the number of vector instructions of its approximation.
    pub fn weight(self) -> u64 {
        match self {
            RowOp::Constant(_) => 0,
            RowOp::Add | RowOp::Mul | RowOp::Less | RowOp::Abs => 1,
            RowOp::RowSum | RowOp::RowMax => 1,
            RowOp::Recip | RowOp::Sqrt | RowOp::Bf16 => 4,
            RowOp::Mod => 8,
            RowOp::Exp2 | RowOp::Log2 => 12,
            RowOp::Sin | RowOp::Erf => 20,
        }
    }
}

fn weight(code: &[Instr]) -> u64 {
    code.iter().map(|instr| instr.op.weight()).sum()
}

fn product(dims: &[usize]) -> u64 {
    dims.iter().map(|&dim| dim as u64).product()
}

impl Access {
    /// Elements that a walk over a nest touches: an axis it does not move along counts once.
    pub fn distinct(&self, nest: &[usize]) -> u64 {
        let moved = self.strides.iter().zip(nest);
        moved
            .map(|(&stride, &dim)| if stride == 0 { 1 } else { dim as u64 })
            .product()
    }
}

fn points(rows: &Rows) -> u64 {
    /// Of hashing a position and scaling what comes of it.
    const DRAW: u64 = 12;
    let draws = rows
        .operands
        .iter()
        .filter(|o| o.buffer().is_none())
        .count() as u64;
    product(&rows.grid) * product(&rows.row) * (weight(&rows.code) + DRAW * draws)
}

/// Bytes from and to memory.
impl Plan {
    /// Nothing of what lies aside.
    fn touched(&self, (buffer, access): &(BufferId, Access), nest: &[usize]) -> u64 {
        let of = &self.buffers[*buffer];
        match of.place {
            Place::Aside => 0,
            _ => of.element.bytes() as u64 * access.distinct(nest),
        }
    }

    /// A draw takes no memory.
    fn operands(&self, operands: &[Operand], nest: &[usize]) -> u64 {
        let stored = operands.iter().filter_map(|operand| match operand {
            Operand::Memory(buffer, access) => Some((*buffer, access.clone())),
            Operand::Draw(..) => None,
        });
        stored.map(|operand| self.touched(&operand, nest)).sum()
    }

    fn row_bytes(&self, rows: &Rows) -> u64 {
        let nest = [&rows.grid[..], &rows.row].concat();
        let stores = rows.stores.iter();
        let stores = stores.map(|s| self.touched(&(s.buffer, s.access.clone()), &nest));
        self.operands(&rows.operands, &nest) + stores.sum::<u64>()
    }

    fn fold_work(&self, fold: &Fold) -> (u64, u64) {
        let nest = [&fold.reduced[..], &fold.kept].concat();
        let per_point = weight(&fold.code) + fold.results.len() as u64;
        let results = fold.results.iter().map(|result| {
            let passes = if result.accumulate { 2 } else { 1 };
            passes * self.touched(&(result.buffer, result.access.clone()), &fold.kept)
        });
        let bytes = self.operands(&fold.operands, &nest) + results.sum::<u64>();
        (product(&nest) * per_point, bytes)
    }

    fn gemm_work(&self, gemm: &Gemm) -> (u64, u64) {
        let nest = |inner: [usize; 2]| [&gemm.batch[..], &inner].concat();
        let a = self.touched(&gemm.a, &nest([gemm.m, gemm.k]));
        let b = self.touched(&gemm.b, &nest([gemm.k, gemm.n]));
        let c = self.touched(&gemm.c, &nest([gemm.m, gemm.n]));
        let passes = if gemm.accumulate { 2 } else { 1 };
        // The epilogue finds the product in the cache, and what it writes over it is one with it.
        let epilogue = gemm.epilogue.as_ref().map_or((0, 0), |rows| {
            let own = |buffer: Option<BufferId>| buffer == Some(gemm.c.0);
            let mut rest = rows.clone();
            rest.operands.retain(|operand| !own(operand.buffer()));
            rest.stores.retain(|store| !own(Some(store.buffer)));
            (points(rows), self.row_bytes(&rest))
        });
        (epilogue.0, a + b + passes * c + epilogue.1)
    }

    /// Of queries, keys, values and biases.
    fn inputs(&self, attention: &Attention) -> u64 {
        let Attention {
            batch,
            queries,
            keys,
            width,
            value_width,
            ..
        } = attention;
        let of = |tensor: &(BufferId, Access), inner: [&usize; 2]| {
            let nest = [&batch[..], &inner.map(|&dim| dim)].concat();
            self.touched(tensor, &nest)
        };
        let biases = attention
            .biases
            .iter()
            .map(|bias| of(bias, [queries, keys]));
        of(&attention.q, [queries, width])
            + of(&attention.k, [keys, width])
            + of(&attention.v, [keys, value_width])
            + biases.sum::<u64>()
    }
}

fn scores(attention: &Attention) -> u64 {
    product(&attention.batch) * (attention.queries * attention.keys) as u64
}

fn value_nest(attention: &Attention) -> Vec<usize> {
    [
        &attention.batch[..],
        &[attention.queries, attention.value_width],
    ]
    .concat()
}

impl Work {
    /// That of so many runs.
    pub fn times(self, runs: u64) -> Work {
        Work {
            flops: runs * self.flops,
            halves: runs * self.halves,
            pointwise: runs * self.pointwise,
            bytes: runs * self.bytes,
        }
    }
}

impl Add for Work {
    type Output = Work;

    fn add(self, other: Work) -> Work {
        Work {
            flops: self.flops + other.flops,
            halves: self.halves + other.halves,
            pointwise: self.pointwise + other.pointwise,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl Sum for Work {
    fn sum<I: Iterator<Item = Work>>(works: I) -> Work {
        works.fold(Work::default(), Work::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Buffer, Element, kernel::Store};

    fn access(strides: &[usize]) -> Access {
        Access {
            offset: 0,
            strides: strides.to_vec(),
        }
    }

    fn plan(lens: &[usize]) -> Plan {
        let buffer = |&len: &usize| Buffer {
            dims: vec![len],
            element: Element::F32,
            place: Place::State,
            origin: "".into(),
        };
        Plan {
            buffers: lens.iter().map(buffer).collect(),
            ..Plan::default()
        }
    }

    fn scheduled(kernel: Kernel, flops: u64) -> Scheduled {
        Scheduled {
            kernel,
            origin: "".into(),
            flops,
        }
    }

    #[test]
    fn a_product_reads_its_operands_once_and_its_epilogue_what_is_new() {
        let (m, n, k) = (3, 5, 7);
        let epilogue = Rows {
            grid: vec![m],
            row: vec![n],
            // The product, a bias, a residual.
            operands: vec![
                Operand::Memory(2, access(&[n, 1])),
                Operand::Memory(3, access(&[0, 1])),
                Operand::Memory(4, access(&[n, 1])),
            ],
            code: [[0, 1], [3, 2]]
                .map(|args| Instr {
                    op: RowOp::Add,
                    args: args.to_vec(),
                })
                .to_vec(),
            stores: vec![Store {
                value: 4,
                buffer: 2,
                access: access(&[n, 1]),
            }],
        };
        let gemm = Gemm {
            batch: vec![],
            m,
            n,
            k,
            a: (0, access(&[k, 1])),
            b: (1, access(&[n, 1])),
            c: (2, access(&[n, 1])),
            rounds: [false; 2],
            accumulate: false,
            epilogue: Some(epilogue),
        };
        let plan = plan(&[m * k, k * n, m * n, n, m * n]);
        let elements = m * k + k * n + m * n + n + m * n;
        let wanted = Work {
            halves: 0,
            flops: 210,
            pointwise: 2 * (m * n) as u64,
            bytes: 4 * elements as u64,
        };
        assert_eq!(
            scheduled(Kernel::Gemm(gemm.clone()), 210).work(&plan),
            wanted
        );
        // In bf16, of what is read and stored half; of a product that lies aside nothing.
        let mut half = plan.clone();
        for buffer in [0, 1, 4] {
            half.buffers[buffer].element = Element::Bf16;
        }
        half.buffers[2].place = Place::Aside;
        let bytes = 2 * (m * k + k * n + m * n) + 4 * n;
        let asked = scheduled(Kernel::Gemm(gemm), 210).work(&half);
        assert_eq!(asked.bytes, bytes as u64);
    }

    #[test]
    fn broadcast_operands_and_sums_count_once() {
        let fold = Fold {
            reduced: vec![6],
            kept: vec![4],
            operands: vec![
                Operand::Memory(0, access(&[4, 1])),
                Operand::Memory(1, access(&[0, 1])),
            ],
            code: vec![Instr {
                op: RowOp::Mul,
                args: vec![0, 1],
            }],
            results: vec![crate::plan::kernel::FoldResult {
                value: 2,
                reduction: crate::plan::kernel::Reduction::Sum,
                buffer: 2,
                access: access(&[1]),
                accumulate: true,
            }],
        };
        let wanted = Work {
            halves: 0,
            flops: 0,
            pointwise: 2 * 24,
            bytes: 4 * (24 + 4 + 2 * 4),
        };
        let plan = plan(&[24, 4, 4]);
        assert_eq!(scheduled(Kernel::Fold(fold), 0).work(&plan), wanted);
    }
}

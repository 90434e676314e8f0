//! Row programs.

use super::{BOTH, access, instr};
use crate::{cases::Cases, emulator::there_is_a_compiler};
use mimc::{
    ir::program::{Instr, RowOp, ValueId},
    plan::{
        Access, Element, Kernel,
        kernel::{Operand, Rows, Store},
    },
};

struct Draft {
    grid: Vec<usize>,
    row: Vec<usize>,
    operands: Vec<Operand>,
    code: Vec<Instr>,
    stores: Vec<Store>,
}

impl Draft {
    fn new(grid: &[usize], row: &[usize]) -> Draft {
        Draft {
            grid: grid.to_vec(),
            row: row.to_vec(),
            operands: vec![],
            code: vec![],
            stores: vec![],
        }
    }

    fn dims(&self) -> Vec<usize> {
        [&self.grid[..], &self.row].concat()
    }

    /// All operands come before any instruction.
    fn read(&mut self, cases: &mut Cases, access: &Access, element: Element) -> ValueId {
        let (buffer, access) = cases.reached(access, &self.dims(), element);
        self.operands.push(Operand::Memory(buffer, access));
        self.operands.len() - 1
    }

    fn op(&mut self, op: RowOp, args: &[ValueId]) -> ValueId {
        self.code.push(instr(op, args));
        self.operands.len() + self.code.len() - 1
    }

    fn store(&mut self, cases: &mut Cases, value: ValueId, access: &Access, element: Element) {
        let (buffer, access) = cases.reached(access, &self.dims(), element);
        self.stores.push(Store {
            value,
            buffer,
            access,
        });
    }

    fn into_kernel(self) -> Kernel {
        Kernel::Rows(Rows {
            grid: self.grid,
            row: self.row,
            operands: self.operands,
            code: self.code,
            stores: self.stores,
        })
    }
}

#[test]
fn pointwise_programs_agree() {
    if !there_is_a_compiler() {
        return;
    }
    let mut cases = Cases::default();
    let walks: &[(&[usize], &[usize], Access, Access)] = &[
        (&[], &[1], access(0, &[0]), access(0, &[1])),
        (&[4], &[96], access(0, &[96, 1]), access(0, &[96, 1])),
        (
            &[3, 5],
            &[7],
            access(0, &[35, 7, 1]),
            access(2, &[40, 8, 1]),
        ),
        (
            &[3, 5],
            &[8],
            access(4, &[48, 8, 1]),
            access(0, &[40, 8, 1]),
        ),
        // Transposed, broadcast, and shuffled in windows.
        (
            &[6, 10],
            &[33],
            access(0, &[1, 6, 60]),
            access(0, &[330, 33, 1]),
        ),
        (&[300], &[20], access(0, &[0, 1]), access(0, &[20, 1])),
        (&[300], &[20], access(7, &[1, 0]), access(0, &[20, 1])),
        (
            &[2, 3, 2, 4],
            &[16],
            access(0, &[384, 64, 192, 16, 1]),
            access(0, &[384, 128, 64, 16, 1]),
        ),
    ];
    for (grid, row, from, to) in walks {
        for elements in [
            [Element::F32; 2],
            [Element::Bf16; 2],
            [Element::F32, Element::Bf16],
        ] {
            let mut copy = Draft::new(grid, row);
            let x = copy.read(&mut cases, from, elements[0]);
            copy.store(&mut cases, x, to, elements[1]);
            cases.kernel(copy.into_kernel(), 0.0);
            let mut sum = Draft::new(grid, row);
            let x = sum.read(&mut cases, from, elements[0]);
            let y = sum.read(&mut cases, to, elements[1]);
            let product = sum.op(RowOp::Mul, &[x, y]);
            let half = sum.op(RowOp::Constant(-0.5), &[]);
            let z = sum.op(RowOp::Add, &[product, half]);
            sum.store(&mut cases, z, to, elements[1]);
            cases.kernel(sum.into_kernel(), 1e-6);
        }
    }
    cases.agree();
}

#[test]
fn every_operation_agrees() {
    if !there_is_a_compiler() {
        return;
    }
    let mut cases = Cases::default();
    let plain = Access::plain(&[11, 12]);
    for op in [
        RowOp::Recip,
        RowOp::Sqrt,
        RowOp::Exp2,
        RowOp::Log2,
        RowOp::Sin,
        RowOp::Abs,
        RowOp::Erf,
        RowOp::Bf16,
        RowOp::RowSum,
        RowOp::RowMax,
    ] {
        let mut draft = Draft::new(&[11], &[12]);
        let x = draft.read(&mut cases, &plain, Element::F32);
        let y = draft.op(op, &[x]);
        draft.store(&mut cases, y, &plain, Element::F32);
        cases.kernel(draft.into_kernel(), 1e-6);
    }
    for op in [RowOp::Add, RowOp::Mul, RowOp::Mod, RowOp::Less] {
        let mut draft = Draft::new(&[11], &[12]);
        let x = draft.read(&mut cases, &plain, Element::F32);
        let y = draft.read(&mut cases, &plain, Element::Bf16);
        let z = draft.op(op, &[x, y]);
        draft.store(&mut cases, z, &plain, Element::F32);
        cases.kernel(draft.into_kernel(), 1e-6);
    }
    cases.agree();
}

/// Normalises rows, scales them, and keeps the mean and the deviation.
fn normalise(cases: &mut Cases, grid: &[usize], row: &[usize], element: Element, strided: bool) {
    let mut draft = Draft::new(grid, row);
    let dims = draft.dims();
    let (outer, inner) = (grid.len(), row.iter().product::<usize>());
    let mut plain = Access::plain(&dims);
    let along = Access {
        offset: 0,
        strides: [vec![0; outer], Access::plain(row).strides].concat(),
    };
    let narrow = Access {
        offset: 1,
        strides: [Access::plain(grid).strides, vec![0; row.len()]].concat(),
    };
    if strided {
        // Rows two elements apart.
        plain.strides.iter_mut().for_each(|stride| *stride *= 2);
    }
    let x = draft.read(cases, &plain, element);
    let scale = draft.read(cases, &along, Element::F32);
    let shift = draft.read(cases, &narrow, Element::F32);
    let count = draft.op(RowOp::Constant(1.0 / inner as f32), &[]);
    let minus = draft.op(RowOp::Constant(-1.0), &[]);
    let sum = draft.op(RowOp::RowSum, &[x]);
    let mean = draft.op(RowOp::Mul, &[sum, count]);
    let negated = draft.op(RowOp::Mul, &[mean, minus]);
    let centred = draft.op(RowOp::Add, &[x, negated]);
    let square = draft.op(RowOp::Mul, &[centred, centred]);
    let squares = draft.op(RowOp::RowSum, &[square]);
    let variance = draft.op(RowOp::Mul, &[squares, count]);
    let small = draft.op(RowOp::Constant(1e-6), &[]);
    let padded = draft.op(RowOp::Add, &[variance, small]);
    let deviation = draft.op(RowOp::Sqrt, &[padded]);
    let inverse = draft.op(RowOp::Recip, &[deviation]);
    let normal = draft.op(RowOp::Mul, &[centred, inverse]);
    let scaled = draft.op(RowOp::Mul, &[normal, scale]);
    let y = draft.op(RowOp::Add, &[scaled, shift]);
    draft.store(cases, y, &plain, element);
    draft.store(cases, mean, &narrow, Element::F32);
    draft.store(cases, inverse, &narrow, element);
    cases.kernel(draft.into_kernel(), 2e-5);
}

#[test]
fn normalised_rows_agree() {
    if !there_is_a_compiler() {
        return;
    }
    let mut cases = Cases::default();
    for element in BOTH {
        for width in [2, 3, 24, 96, 130, 512, 1000, 3072] {
            normalise(&mut cases, &[2, 3], &[width], element, false);
        }
        normalise(&mut cases, &[5], &[4, 6], element, false);
        normalise(&mut cases, &[9], &[40], element, true);
        normalise(&mut cases, &[1], &[16_384], element, false);
    }
    cases.agree();
}

#[test]
fn softmax_in_place_agrees() {
    if !there_is_a_compiler() {
        return;
    }
    let mut cases = Cases::default();
    for (width, element) in [(7, Element::F32), (64, Element::Bf16), (600, Element::F32)] {
        let mut draft = Draft::new(&[6], &[width]);
        let plain = Access::plain(&[6, width]);
        let x = draft.read(&mut cases, &plain, element);
        let highest = draft.op(RowOp::RowMax, &[x]);
        let minus = draft.op(RowOp::Constant(-1.0), &[]);
        let negated = draft.op(RowOp::Mul, &[highest, minus]);
        let below = draft.op(RowOp::Add, &[x, negated]);
        let power = draft.op(RowOp::Exp2, &[below]);
        let sum = draft.op(RowOp::RowSum, &[power]);
        let inverse = draft.op(RowOp::Recip, &[sum]);
        let y = draft.op(RowOp::Mul, &[power, inverse]);
        let buffer = match &draft.operands[0] {
            Operand::Memory(buffer, _) => *buffer,
            Operand::Draw(..) => unreachable!("it is in memory"),
        };
        draft.stores.push(Store {
            value: y,
            buffer,
            access: plain,
        });
        cases.kernel(draft.into_kernel(), 1e-5);
    }
    // One number for each row is read by all of the row and then stored over.
    for width in [20, 400] {
        let mut draft = Draft::new(&[5], &[width]);
        let narrow = access(0, &[1, 0]);
        let total = draft.read(&mut cases, &narrow, Element::F32);
        let x = draft.read(&mut cases, &Access::plain(&[5, width]), Element::F32);
        let product = draft.op(RowOp::Mul, &[x, total]);
        let sum = draft.op(RowOp::RowSum, &[product]);
        draft.store(
            &mut cases,
            product,
            &Access::plain(&[5, width]),
            Element::F32,
        );
        let Operand::Memory(buffer, _) = draft.operands[0] else {
            unreachable!("it is in memory");
        };
        draft.stores.push(Store {
            value: sum,
            buffer,
            access: narrow,
        });
        cases.kernel(draft.into_kernel(), 1e-5);
    }
    cases.agree();
}

#[test]
fn draws_are_the_same_bits() {
    if !there_is_a_compiler() {
        return;
    }
    let mut cases = Cases::default();
    let streams = [
        cases.stream("drop", 40),
        cases.stream("mask", 1 << 31),
        cases.stream("all", 0),
    ];
    for stream in streams {
        for (grid, row, walk) in [
            (vec![4], vec![10], access(0, &[10, 1])),
            (vec![4, 2], vec![6], access(3, &[40, 0, 2])),
            (vec![4], vec![12], access((1 << 32) - 20, &[7, 1])),
        ] {
            for rate in [0.0, 0.5] {
                let mut draft = Draft::new(&grid, &row);
                let dims = draft.dims();
                draft.operands.push(Operand::Draw(stream, walk.clone()));
                let x = draft.read(&mut cases, &Access::plain(&dims), Element::F32);
                let rate = draft.op(RowOp::Constant(rate), &[]);
                let kept = draft.op(RowOp::Less, &[rate, 0]);
                let y = draft.op(RowOp::Mul, &[x, kept]);
                draft.store(&mut cases, 0, &Access::plain(&dims), Element::F32);
                draft.store(&mut cases, y, &Access::plain(&dims), Element::F32);
                cases.kernel(draft.into_kernel(), 0.0);
            }
        }
    }
    cases.agree();
}

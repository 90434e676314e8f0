//! Products and what is done to them.

use super::{access, instr};
use crate::{cases::Cases, emulator::there_is_a_compiler};
use mimc::{
    ir::program::RowOp,
    plan::{
        Access, Element, Kernel,
        kernel::{Gemm, Operand, Rows, Store},
    },
};

struct Shape {
    batch: Vec<usize>,
    m: usize,
    n: usize,
    k: usize,
}

/// Row-major, or with its last two axes swapped.
fn matrix(batch: &[usize], inner: [usize; 2], transposed: bool) -> Access {
    let mut access = match transposed {
        false => Access::plain(&[batch, &inner].concat()),
        true => Access::plain(&[batch, &[inner[1], inner[0]]].concat()),
    };
    if transposed {
        let rank = access.strides.len();
        access.strides.swap(rank - 2, rank - 1);
    }
    access
}

impl Shape {
    fn gemm(
        &self,
        cases: &mut Cases,
        [a, b, c]: [Access; 3],
        elements: [Element; 2],
        rounds: [bool; 2],
    ) -> Gemm {
        let Shape { batch, m, n, k } = self;
        let dims = |inner: [usize; 2]| [&batch[..], &inner].concat();
        Gemm {
            batch: batch.clone(),
            m: *m,
            n: *n,
            k: *k,
            a: cases.reached(&a, &dims([*m, *k]), elements[0]),
            b: cases.reached(&b, &dims([*k, *n]), elements[1]),
            rounds,
            c: cases.reached(&c, &dims([*m, *n]), Element::F32),
            accumulate: false,
            epilogue: None,
        }
    }
}

#[test]
fn products_agree() {
    if !there_is_a_compiler() {
        return;
    }
    const F: Element = Element::F32;
    const H: Element = Element::Bf16;
    let mut cases = Cases::default();
    for (batch, [m, n, k]) in [
        (vec![], [5, 7, 9]),
        (vec![], [70, 65, 33]),
        (vec![], [16, 24, 8]),
        (vec![3], [16, 8, 24]),
        (vec![2, 3], [6, 5, 4]),
    ] {
        let shape = Shape { batch, m, n, k };
        for (elements, rounds) in [
            ([F, F], [false, false]),
            ([H, H], [false, false]),
            ([H, F], [false, true]),
            ([F, F], [true, true]),
            ([F, H], [false, false]),
            ([F, F], [true, false]),
        ] {
            for transposed in [[false, false], [true, false], [false, true]] {
                let batch = &shape.batch;
                let a = matrix(batch, [m, k], transposed[0]);
                let b = matrix(batch, [k, n], transposed[1]);
                let c = matrix(batch, [m, n], transposed[0]);
                let gemm = shape.gemm(&mut cases, [a, b, c], elements, rounds);
                cases.kernel(Kernel::Gemm(gemm), 2e-6);
            }
        }
    }
    // What no library has: heads inside rows, gaps in both directions, one factor for all of a batch.
    let shape = Shape {
        batch: vec![2, 3],
        m: 10,
        n: 12,
        k: 8,
    };
    let inside = access(0, &[240, 8, 24, 1]);
    let shared = access(1, &[0, 0, 24, 2]);
    let apart = access(0, &[720, 240, 24, 2]);
    let mut gemm = shape.gemm(&mut cases, [inside, shared, apart], [F, F], [false, true]);
    gemm.accumulate = true;
    cases.kernel(Kernel::Gemm(gemm), 2e-6);
    cases.agree();
}

#[test]
fn epilogues_agree() {
    if !there_is_a_compiler() {
        return;
    }
    let mut cases = Cases::default();
    let all = [
        (false, Element::F32),
        (true, Element::Bf16),
        (false, Element::Bf16),
        (true, Element::F32),
    ];
    let ways = [[false, false], [true, false], [false, true], [true, true]];
    let shapes = [[20, 24, 16], [152, 136, 72]];
    let each = shapes
        .into_iter()
        .flat_map(|shape| all.map(|way| (shape, way)));
    for (([m, n, k], (aside, element)), transposed) in
        each.flat_map(|case| ways.map(|way| (case, way)))
    {
        let shape = Shape {
            batch: vec![],
            m,
            n,
            k,
        };
        let a = matrix(&[], [m, k], transposed[0]);
        let b = matrix(&[], [k, n], transposed[1]);
        let c = Access::plain(&[m, n]);
        let rounds = [element == Element::Bf16; 2];
        let mut gemm = shape.gemm(
            &mut cases,
            [a, b, c.clone()],
            [element, Element::F32],
            rounds,
        );
        if aside {
            gemm.c.0 = cases.aside(m * n);
        }
        let bias = cases.reached(&access(0, &[0, 1]), &[m, n], Element::F32);
        let out = cases.reached(&c, &[m, n], element);
        gemm.epilogue = Some(Rows {
            grid: vec![m],
            row: vec![n],
            operands: vec![
                Operand::Memory(gemm.c.0, c.clone()),
                Operand::Memory(bias.0, bias.1),
            ],
            code: vec![
                instr(RowOp::Add, &[0, 1]),
                instr(RowOp::Erf, &[2]),
                instr(RowOp::Mul, &[2, 3]),
            ],
            stores: vec![Store {
                value: 4,
                buffer: out.0,
                access: out.1,
            }],
        });
        cases.kernel(Kernel::Gemm(gemm), 3e-6);
    }
    cases.agree();
}

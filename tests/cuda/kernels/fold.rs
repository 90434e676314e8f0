//! Folds.

use super::{BOTH, access, instr};
use crate::{cases::Cases, emulator::there_is_a_compiler};
use mimc::{
    ir::program::RowOp,
    plan::{
        Access, Element, Kernel,
        kernel::{Fold, FoldResult, Operand, Reduction},
    },
};

/// The sum of a product and the maximum of a factor, in whatever order memory has the axes.
fn fold(
    cases: &mut Cases,
    [reduced, kept]: [&[usize]; 2],
    order: &[usize],
    element: Element,
    add: bool,
) {
    let dims = [reduced, kept].concat();
    let mut walk = access(3 * usize::from(add), &vec![0; dims.len()]);
    let mut stride = 1;
    for &axis in order.iter().rev() {
        walk.strides[axis] = stride;
        stride *= dims[axis];
    }
    let (x, walk) = cases.reached(&walk, &dims, element);
    let across = access(
        0,
        &[vec![0; reduced.len()], Access::plain(kept).strides].concat(),
    );
    let (y, across) = cases.reached(&across, &dims, Element::F32);
    let mut result = |value, reduction, element| {
        let access = Access::plain(kept);
        let (buffer, access) = cases.reached(&access, kept, element);
        FoldResult {
            value,
            reduction,
            buffer,
            access,
            accumulate: add,
        }
    };
    let results = vec![
        result(2, Reduction::Sum, Element::F32),
        result(0, Reduction::Max, element),
    ];
    let kernel = Fold {
        reduced: reduced.to_vec(),
        kept: kept.to_vec(),
        operands: vec![Operand::Memory(x, walk), Operand::Memory(y, across)],
        code: vec![instr(RowOp::Mul, &[0, 1])],
        results,
    };
    cases.kernel(Kernel::Fold(kernel), 2e-6);
}

#[test]
fn folds_agree() {
    if !there_is_a_compiler() {
        return;
    }
    let mut cases = Cases::default();
    for element in BOTH {
        for add in [false, true] {
            fold(&mut cases, [&[30], &[96]], &[0, 1], element, add);
            fold(&mut cases, [&[1000], &[7]], &[0, 1], element, add);
            fold(&mut cases, [&[6, 5], &[3, 4]], &[0, 2, 1, 3], element, add);
            fold(&mut cases, [&[6, 50], &[13]], &[2, 0, 1], element, add);
            fold(&mut cases, [&[60_000], &[]], &[0], element, add);
            fold(&mut cases, [&[70], &[128]], &[1, 0], element, add);
            fold(&mut cases, [&[1], &[50]], &[0, 1], element, add);
            fold(&mut cases, [&[5000], &[40]], &[0, 1], element, add);
            fold(&mut cases, [&[4096], &[3]], &[1, 0], element, add);
        }
    }
    cases.agree();
}

#[test]
fn draws_are_folded() {
    if !there_is_a_compiler() {
        return;
    }
    let mut cases = Cases::default();
    let stream = cases.stream("drop", 300);
    for strides in [[8, 1], [1, 30]] {
        let walk = access(2, &strides);
        let (buffer, to) = cases.reached(&access(0, &[1]), &[8], Element::F32);
        let kernel = Fold {
            reduced: vec![30],
            kept: vec![8],
            operands: vec![Operand::Draw(stream, walk)],
            code: vec![],
            results: vec![FoldResult {
                value: 0,
                reduction: Reduction::Sum,
                buffer,
                access: to,
                accumulate: false,
            }],
        };
        cases.kernel(Kernel::Fold(kernel), 1e-6);
    }
    cases.agree();
}

//! What makes a plan sound, checked: kernels write through shared pointers, so it must hold before one runs.
//!
//! 1. What a kernel reads was written before it in its program (or is state, a feed or a constant) and has not been overwritten
//!    since by a buffer that shares its memory.
//! 2. A kernel writes no memory that it reads under another name, and no memory twice.
//! 3. A kernel that reads and writes one buffer does so element by element: the accesses are the same.
//! 4. No kernel writes what it reads more than once: the factors of a product, a table, what is summed up. Its blocks end one by
//!    one, on any thread, so what one has written another would still read.
//! 5. What lies aside is the product of one kernel with an epilogue, which no other touches.

use super::{
    BufferId, Kernel, Place, Plan, Scheduled,
    kernel::{Access, Operand},
};
use std::ops::Range;

/// A broken rule and the kernel it is broken at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule} (kernel {at}, {origin})")]
pub struct Unsound {
    pub rule: String,
    pub at: usize,
    pub origin: String,
}

/// Checks the rules over both programs; the first broken one is the error.
///
/// # Errors
/// The first rule that does not hold.
pub fn check(plan: &Plan) -> Result<(), Unsound> {
    let mut holds = vec![false; plan.buffers.len()];
    let kernels = plan.accumulate.iter().chain(&plan.apply);
    for (at, scheduled) in kernels.enumerate() {
        let broken = |rule: String| Unsound {
            rule,
            at,
            origin: scheduled.origin.to_string(),
        };
        check_kernel(plan, scheduled, &holds).map_err(broken)?;
        for buffer in scheduled.kernel.writes() {
            if let Some(range) = arena(plan, buffer) {
                for (other, holds) in holds.iter_mut().enumerate() {
                    if other != buffer && arena(plan, other).is_some_and(|r| overlap(&r, &range)) {
                        *holds = false;
                    }
                }
                holds[buffer] = true;
            }
        }
    }
    match plan
        .outputs
        .iter()
        .find(|(_, b)| arena(plan, *b).is_some() && !holds[*b])
    {
        Some((name, _)) => {
            let at = plan.accumulate.len() + plan.apply.len();
            Err(Unsound {
                rule: format!("output `{name}` is gone when it is read"),
                at,
                origin: name.clone(),
            })
        }
        None => Ok(()),
    }
}

fn check_kernel(plan: &Plan, scheduled: &Scheduled, holds: &[bool]) -> Result<(), String> {
    let (reads, writes) = (scheduled.kernel.reads(), scheduled.kernel.writes());
    aside(plan, &scheduled.kernel)?;
    for &read in &reads {
        if arena(plan, read).is_some() && !holds[read] {
            return Err(format!(
                "buffer {read} is read but does not hold what was written to it"
            ));
        }
    }
    for (i, &write) in writes.iter().enumerate() {
        if matches!(plan.buffers[write].place, Place::Feed | Place::Constant(_)) {
            return Err(format!(
                "buffer {write} is written but belongs to the caller"
            ));
        }
        let Some(range) = arena(plan, write) else {
            continue;
        };
        let meets = |other: &BufferId| {
            *other != write && arena(plan, *other).is_some_and(|r| overlap(&r, &range))
        };
        if let Some(other) = reads.iter().chain(&writes[..i]).find(|b| meets(b)) {
            return Err(format!(
                "buffer {write} is written over buffer {other}, which the same kernel uses"
            ));
        }
    }
    let whole = read_whole(&scheduled.kernel);
    if let Some(buffer) = writes.iter().find(|buffer| whole.contains(buffer)) {
        return Err(format!(
            "buffer {buffer} is overwritten while other blocks of the kernel still read it"
        ));
    }
    in_place(&scheduled.kernel)
}

/// What one element of the result is not alone to read.
fn read_whole(kernel: &Kernel) -> Vec<BufferId> {
    match kernel {
        Kernel::Rows(_) => vec![],
        Kernel::Fold(fold) => fold.operands.iter().filter_map(Operand::buffer).collect(),
        Kernel::Gemm(gemm) => vec![gemm.a.0, gemm.b.0],
        Kernel::Scatter(scatter) => vec![scatter.source, scatter.index],
        Kernel::AdamW(sweep) => vec![sweep.lr, sweep.correction1, sweep.correction2, sweep.clip],
        Kernel::Attention(_)
        | Kernel::AttentionBackward(_)
        | Kernel::Take(_)
        | Kernel::SumSquares(_) => kernel.reads(),
    }
}

/// Rule 5.
fn aside(plan: &Plan, kernel: &Kernel) -> Result<(), String> {
    let lies_aside = |b: &BufferId| matches!(plan.buffers[*b].place, Place::Aside);
    let own = match kernel {
        Kernel::Gemm(gemm) if gemm.epilogue.is_some() && !gemm.accumulate => Some(gemm.c.0),
        _ => None,
    };
    let touched = kernel.buffers().into_iter().filter(lies_aside);
    match touched.filter(|b| Some(*b) != own).min() {
        Some(buffer) => Err(format!(
            "buffer {buffer} lies aside, where only the product that fills it finds it"
        )),
        None => Ok(()),
    }
}

/// Rule 3.
fn in_place(kernel: &Kernel) -> Result<(), String> {
    let rows = match kernel {
        Kernel::Rows(rows) => Some(rows),
        Kernel::Gemm(gemm) => gemm.epilogue.as_ref(),
        _ => None,
    };
    let Some(rows) = rows else { return Ok(()) };
    let same = |a: &Access, b: &Access| {
        let dims = rows.grid.iter().chain(&rows.row);
        let strides = a.strides.iter().zip(&b.strides).zip(dims);
        a.offset == b.offset && strides.into_iter().all(|((a, b), &n)| a == b || n == 1)
    };
    for store in &rows.stores {
        for operand in &rows.operands {
            if let Operand::Memory(buffer, access) = operand
                && *buffer == store.buffer
                && !same(access, &store.access)
            {
                return Err(format!(
                    "buffer {buffer} is overwritten while other elements of it are still read"
                ));
            }
        }
    }
    Ok(())
}

fn arena(plan: &Plan, buffer: BufferId) -> Option<Range<usize>> {
    match plan.buffers[buffer].place {
        Place::Arena(offset) => Some(offset..offset + plan.buffers[buffer].bytes()),
        _ => None,
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{
        Buffer, Element,
        kernel::{Gemm, Rows, Store},
    };

    fn copy(from: BufferId, to: BufferId, stride: usize) -> Scheduled {
        let rows = Rows {
            grid: vec![],
            row: vec![4],
            operands: vec![Operand::Memory(
                from,
                Access {
                    offset: 0,
                    strides: vec![1],
                },
            )],
            code: vec![],
            stores: vec![Store {
                value: 0,
                buffer: to,
                access: Access {
                    offset: 0,
                    strides: vec![stride],
                },
            }],
        };
        Scheduled {
            kernel: Kernel::Rows(rows),
            origin: "copy".into(),
            flops: 0,
        }
    }

    /// `c = a · b`, 2 × 2, then each row of `c` copied to another buffer.
    fn product([a, b, c]: [BufferId; 3], epilogue: Option<BufferId>) -> Scheduled {
        let plain = || Access::plain(&[2, 2]);
        let rows = |to| Rows {
            grid: vec![2],
            row: vec![2],
            operands: vec![Operand::Memory(c, plain())],
            code: vec![],
            stores: vec![Store {
                value: 0,
                buffer: to,
                access: plain(),
            }],
        };
        Scheduled {
            kernel: Kernel::Gemm(Gemm {
                batch: vec![],
                m: 2,
                n: 2,
                k: 2,
                a: (a, plain()),
                b: (b, plain()),
                c: (c, plain()),
                accumulate: false,
                rounds: [false; 2],
                epilogue: epilogue.map(rows),
            }),
            origin: "product".into(),
            flops: 16,
        }
    }

    fn plan(offsets: &[usize], accumulate: Vec<Scheduled>) -> Plan {
        let buffer = |&offset: &usize| Buffer {
            dims: vec![4],
            element: Element::F32,
            place: Place::Arena(4 * offset),
            origin: "".into(),
        };
        let mut buffers = vec![Buffer {
            dims: vec![4],
            element: Element::F32,
            place: Place::Feed,
            origin: "".into(),
        }];
        buffers.extend(offsets.iter().map(buffer));
        Plan {
            buffers,
            accumulate,
            ..Plan::default()
        }
    }

    #[test]
    fn sound_plans_pass_and_each_rule_catches_its_fault() {
        let chain = || vec![copy(0, 1, 1), copy(1, 2, 1), copy(1, 3, 1)];
        assert_eq!(check(&plan(&[0, 16, 32], chain())), Ok(()));
        let rule = |offsets: &[usize], kernels| check(&plan(offsets, kernels)).unwrap_err().rule;
        assert!(rule(&[0, 2, 32], chain()).contains("which the same kernel uses"));
        assert!(rule(&[0, 16, 32], vec![copy(2, 1, 1)]).contains("does not hold"));
        assert!(
            rule(
                &[0, 16, 18],
                vec![copy(0, 1, 1), copy(1, 2, 1), copy(1, 3, 1), copy(2, 1, 1)]
            )
            .contains("does not hold")
        );
        assert!(rule(&[0], vec![copy(0, 1, 1), copy(1, 1, 0)]).contains("still read"));
        assert!(rule(&[0], vec![copy(0, 0, 1)]).contains("belongs to the caller"));
    }

    #[test]
    fn no_product_overwrites_its_factors() {
        let offsets = [0, 16, 32, 48];
        let with_factors = |offsets: &[usize], last| {
            check(&plan(offsets, vec![copy(0, 1, 1), copy(0, 2, 1), last]))
        };
        for sound in [product([1, 2, 3], None), product([1, 2, 3], Some(4))] {
            assert_eq!(with_factors(&offsets, sound), Ok(()));
        }
        // A square, and an epilogue on what the product itself has made.
        for sound in [product([1, 1, 3], None), product([1, 2, 3], Some(3))] {
            assert_eq!(with_factors(&offsets, sound), Ok(()));
        }
        let rule = |offsets: &[usize], last| with_factors(offsets, last).unwrap_err().rule;
        for factor in [1, 2] {
            let by_the_product = product([1, 2, factor], None);
            assert!(rule(&offsets, by_the_product).contains("still read it"));
            let by_the_epilogue = product([1, 2, 3], Some(factor));
            assert!(rule(&offsets, by_the_epilogue).contains("still read it"));
        }
        // The same under other names, where the memory is shared in part.
        for offsets in [[0, 16, 2, 48], [0, 16, 18, 48]] {
            let by_the_product = rule(&offsets, product([1, 2, 3], None));
            assert!(by_the_product.contains("which the same kernel uses"));
        }
        for offsets in [[0, 16, 32, 2], [0, 16, 32, 18]] {
            let by_the_epilogue = rule(&offsets, product([1, 2, 3], Some(4)));
            assert!(by_the_epilogue.contains("which the same kernel uses"));
        }
    }
}

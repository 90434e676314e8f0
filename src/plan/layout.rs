//! Buffers into one arena: two may share memory when no kernel runs while both hold something that will be read.

use super::{BufferId, Place, Plan, Scheduled};

/// Bytes that every arena buffer's offset is a multiple of.
const ALIGNMENT: usize = 64;

/// The kernels between which a buffer must keep its contents, by position; inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    pub first: usize,
    pub last: usize,
}

/// Gives every [`Place::Arena`] buffer its offset: largest first, each at the lowest place that is free for its whole life.
pub fn place(plan: &mut Plan) {
    let lives = lives(plan);
    let mut order: Vec<BufferId> = (0..plan.buffers.len())
        .filter(|&b| lives[b].is_some())
        .collect();
    order.sort_by_key(|&b| (std::cmp::Reverse(plan.buffers[b].bytes()), b));
    let mut placed: Vec<(usize, usize, Life)> = Vec::new();
    let mut arena = 0;
    for buffer in order {
        let life = lives[buffer].expect("the order holds buffers with a life");
        let size = plan.buffers[buffer].bytes().next_multiple_of(ALIGNMENT);
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|(_, _, other)| life.first <= other.last && other.first <= life.last)
            .map(|&(start, end, _)| (start, end))
            .collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (start, end) in taken {
            if start >= offset + size {
                break;
            }
            offset = offset.max(end);
        }
        placed.push((offset, offset + size, life));
        plan.buffers[buffer].place = Place::Arena(offset);
        arena = arena.max(offset + size);
    }
    plan.arena = arena;
}

/// When each arena buffer is first written and last read; results live to the end. `None` for buffers outside the arena and
/// those nothing touches.
pub fn lives(plan: &Plan) -> Vec<Option<Life>> {
    let mut lives: Vec<Option<Life>> = vec![None; plan.buffers.len()];
    let kernels: Vec<&Scheduled> = plan.accumulate.iter().chain(&plan.apply).collect();
    for (at, scheduled) in kernels.iter().enumerate() {
        for buffer in scheduled.kernel.buffers() {
            if matches!(plan.buffers[buffer].place, Place::Arena(_)) {
                let life = lives[buffer].get_or_insert(Life {
                    first: at,
                    last: at,
                });
                life.last = at;
            }
        }
    }
    for (_, buffer) in &plan.outputs {
        if let Some(life) = &mut lives[*buffer] {
            life.last = kernels.len();
        }
    }
    lives
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{
        Access, Buffer, Element, Kernel,
        kernel::{Operand, Rows, Store},
    };

    fn copy(from: BufferId, to: BufferId) -> Scheduled {
        let access = || Access {
            offset: 0,
            strides: vec![1],
        };
        let rows = Rows {
            grid: vec![],
            row: vec![4],
            operands: vec![Operand::Memory(from, access())],
            code: vec![],
            stores: vec![Store {
                value: 0,
                buffer: to,
                access: access(),
            }],
        };
        Scheduled {
            kernel: Kernel::Rows(rows),
            origin: "".into(),
            flops: 0,
        }
    }

    #[test]
    fn memory_is_shared_only_between_lives_that_do_not_meet() {
        let buffer = |len: usize| Buffer {
            dims: vec![len],
            element: Element::F32,
            place: Place::Arena(0),
            origin: "".into(),
        };
        let mut plan = Plan {
            buffers: vec![buffer(40), buffer(4), buffer(40), buffer(4)],
            ..Plan::default()
        };
        plan.accumulate = vec![copy(0, 1), copy(1, 2), copy(2, 3)];
        plan.outputs = vec![("y".into(), 3)];
        place(&mut plan);
        let offset = |b: BufferId| match plan.buffers[b].place {
            Place::Arena(offset) => offset,
            _ => unreachable!("all four are in the arena"),
        };
        assert_eq!(
            (offset(0), offset(2)),
            (0, 0),
            "the first is dead before the third is born"
        );
        assert_ne!(offset(1), offset(0));
        assert_ne!(offset(3), offset(2));
        assert_eq!(plan.arena, 4 * (48 + 16));
    }
}

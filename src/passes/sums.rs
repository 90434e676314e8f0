//! Accumulators: where a gradient is added to what earlier runs left of it.

use super::{
    flow::{Flow, Work},
    walk::Walk,
};
use crate::ir::{
    Graph,
    ops::{Input, InputKind, Part, own},
    program::RowOp,
};

/// The root that adds a node's result to an accumulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The addition.
    pub add: usize,
    pub accumulator: usize,
    /// Which of the addition's inputs is the node's result.
    pub input: usize,
}

impl Sum {
    /// Where a node's result is added, if nothing else reads it.
    pub fn of(graph: &Graph, flow: &Flow, node: usize) -> Option<Sum> {
        let of = &flow.nodes[node];
        let &[add] = &of.readers[..] else {
            return None;
        };
        let addition = &flow.nodes[add];
        if of.root || !addition.root || addition.work != Work::Pointwise(RowOp::Add) {
            return None;
        }
        let input = addition.inputs.iter().position(|i| i.source == node)?;
        let other = addition.inputs.get(1 - input)?;
        let leaf: &Input = own(graph, flow.nodes[other.source].id)?;
        let whole = other.walk == Walk::plain(addition.lens[0]);
        (leaf.kind == InputKind::State(Part::Gradient) && whole).then_some(Sum {
            add,
            accumulator: other.source,
            input,
        })
    }
}

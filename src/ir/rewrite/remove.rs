//! What nobody needs any more, taken out.

use super::{Rewriter, ancestors};
use crate::ir::{
    NodeIndex,
    meta::{meta, meta_mut},
};
use luminal::prelude::petgraph::Direction::Outgoing;

impl Rewriter<'_> {
    /// Removes every node that no root needs. Returns how many.
    pub fn remove_dead(&mut self) -> usize {
        let live = ancestors(self.graph, meta(self.graph).roots.iter().map(|r| r.node));
        let dead: Vec<NodeIndex> = self
            .graph
            .graph
            .node_indices()
            .filter(|n| !live.contains(n))
            .collect();
        self.note_deaths(&dead);
        for &node in &dead {
            self.graph.graph.remove_node(node);
            self.graph.no_delete.remove(&node);
            self.graph.to_retrieve.remove(&node);
            self.graph.tensors.retain(|(n, _), _| *n != node);
        }
        let table = meta_mut(self.graph);
        table.nodes.retain(|n, _| live.contains(n));
        table.constants.retain(|_, n| live.contains(n));
        table.leaves.retain(|_, nodes| {
            nodes.retain(|n| live.contains(n));
            !nodes.is_empty()
        });
        dead.len()
    }

    /// What was not replaced goes with what read it.
    fn note_deaths(&mut self, dead: &[NodeIndex]) {
        let table = meta(self.graph);
        let number = |node: &NodeIndex| table.nodes[node].number();
        let left = dead
            .iter()
            .filter(|node| !table.history.is_replaced(number(node)));
        let readers = left.flat_map(|node| {
            let readers = self.graph.graph.neighbors_directed(*node, Outgoing);
            readers.map(|reader| (number(node), number(&reader)))
        });
        let readers: Vec<_> = readers.collect();
        let history = &mut meta_mut(self.graph).history;
        for (node, reader) in readers {
            history.died_with(node, reader);
        }
    }
}

//! What stands at the leaves.

use super::Rewriter;
use crate::ir::{NodeIndex, Own, ops, ops::Input};
use luminal::op::Operator;

impl Rewriter<'_> {
    /// Each leaf becomes the operator that `by` makes for it: the last change to a graph, for the contract does not know it.
    pub fn exchange_leaves(&mut self, by: &dyn Fn(&Input) -> Box<dyn Operator>) {
        let is_leaf = |node: &NodeIndex| ops::own::<Input>(self.graph, *node).is_some();
        let leaves: Vec<NodeIndex> = self.graph.graph.node_indices().filter(is_leaf).collect();
        for node in leaves {
            if let Some(op) = self.graph.graph.node_weight_mut(node)
                && let Some(input) = op
                    .as_any()
                    .downcast_ref::<Own>()
                    .and_then(Own::get::<Input>)
            {
                *op = by(input);
            }
        }
    }
}

//! Removes what no root needs.

use crate::ir::{Graph, Rewriter};

pub fn run(graph: &mut Graph) {
    Rewriter::new(graph).remove_dead();
}

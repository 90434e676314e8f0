//! Row programs: pointwise nodes, reductions over trailing axes and copies of views grow into regions, each of which becomes one
//! [`Fused`] node. Layer norm, softmax and their gradients are instances of this one rule.
//!
//! A node joins what it reads wherever one loop nest can compute both, so a value that only its region reads is never stored.
//! Nothing is computed twice, but for values that are constant along a row.

use super::{
    emit::Emitter,
    flow::Flow,
    folds::Folds,
    regions::{Groups, Layout, Region},
};
use crate::ir::{Graph, ops::Fused};

/// Fuses everything but what flows into folds alone.
pub fn run(graph: &mut Graph) {
    let flow = Flow::of(graph);
    let folds = Folds::of(graph, &flow);
    let mut groups = Groups::new(&flow, |n| flow.nodes[n].is_fusable() && !folds.holds(n));
    for node in 0..flow.nodes.len() {
        groups.join_sources(node);
    }
    let regions = groups.finish();
    let mut emitter = Emitter::new(graph, &flow);
    for (region, layout) in &regions {
        fuse(&mut emitter, region, layout);
    }
    emitter.finish();
}

/// Puts a node in the place of a region, and nodes of their own in the place of what it cannot store.
pub fn fuse(emitter: &mut Emitter, region: &Region, layout: &Layout) {
    let last = region.members.last().expect("a region has members");
    emitter.stand_in_for(last.node);
    if !layout.stores.is_empty() {
        let body = emitter.body(region, layout);
        let op = Fused {
            row: body.reduced,
            operands: body.operands.len(),
            stores: layout.stores.iter().map(|n| body.values[n]).collect(),
            axes: body.axes,
            code: body.code,
        };
        emitter.put(op, &body.operands, &layout.stores);
    }
    for &orphan in &layout.orphans {
        let (part, of_part) = region.part(orphan, layout, emitter.flow());
        fuse(emitter, &part, &of_part);
    }
}

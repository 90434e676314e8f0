//! Reading a graph: what a node reads, who reads it, in which order nodes run.

use super::{Edge, Graph, NodeIndex, ShapeTracker, Value, meta};
use luminal::prelude::{Dependency, petgraph};
use petgraph::{Direction, visit::EdgeRef};
use rustc_hash::FxHashSet;
use std::{cmp::Reverse, collections::BinaryHeap};

/// The dims two operands broadcast to, axes aligned at the end. `None` where they differ.
pub fn broadcast_dims(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |d: &[usize], i: usize| {
        if i + d.len() < rank {
            1
        } else {
            d[i + d.len() - rank]
        }
    };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// What a node reads, in input order.
pub fn sources(graph: &Graph, node: NodeIndex) -> Vec<Value> {
    edges(graph, node).iter().map(Edge::value).collect()
}

/// As [`sources`], for whoever only looks.
pub fn edges(graph: &Graph, node: NodeIndex) -> Vec<Edge<'_>> {
    let mut inputs: Vec<(u8, Edge)> = graph
        .graph
        .edges_directed(node, Direction::Incoming)
        .filter_map(|e| match e.weight() {
            Dependency::Data {
                input_order,
                output_order,
                shape,
            } => Some((
                *input_order,
                Edge {
                    node: e.source(),
                    output: *output_order,
                    view: shape,
                },
            )),
            Dependency::Schedule => None,
        })
        .collect();
    inputs.sort_by_key(|(order, _)| *order);
    inputs.into_iter().map(|(_, edge)| edge).collect()
}

/// Who reads a node: `(reader, its input number, output read, view)`, in schedule order.
pub fn readers(graph: &Graph, node: NodeIndex) -> Vec<(NodeIndex, u8, u8, ShapeTracker)> {
    let mut readers: Vec<_> = graph
        .graph
        .edges_directed(node, Direction::Outgoing)
        .filter_map(|e| match e.weight() {
            Dependency::Data {
                input_order,
                output_order,
                shape,
            } => Some((e.target(), *input_order, *output_order, shape)),
            Dependency::Schedule => None,
        })
        .collect();
    readers.sort_by_key(|r| (meta(graph).nodes[&r.0].order, r.1));
    let copied =
        |(reader, input, output, view): (_, _, _, &ShapeTracker)| (reader, input, output, *view);
    readers.into_iter().map(copied).collect()
}

/// Every node after its sources; ties go by schedule order, so the result is a function of how the graph was built.
pub fn schedule(graph: &Graph) -> Vec<NodeIndex> {
    let order = |n: NodeIndex| meta(graph).nodes[&n].order;
    let mut waiting: rustc_hash::FxHashMap<NodeIndex, usize> = graph
        .graph
        .node_indices()
        .map(|n| {
            (
                n,
                graph.graph.edges_directed(n, Direction::Incoming).count(),
            )
        })
        .collect();
    let ready = waiting
        .iter()
        .filter(|(_, c)| **c == 0)
        .map(|(n, _)| Reverse((order(*n), *n)));
    let mut heap: BinaryHeap<_> = ready.collect();
    let mut sorted = Vec::with_capacity(waiting.len());
    while let Some(Reverse((_, node))) = heap.pop() {
        sorted.push(node);
        for reader in graph
            .graph
            .edges_directed(node, Direction::Outgoing)
            .map(|e| e.target())
        {
            let left = waiting.get_mut(&reader).expect("every reader is a node");
            *left -= 1;
            if *left == 0 {
                heap.push(Reverse((order(reader), reader)));
            }
        }
    }
    sorted
}

/// The given nodes and everything they are computed from.
pub fn ancestors(graph: &Graph, of: impl IntoIterator<Item = NodeIndex>) -> FxHashSet<NodeIndex> {
    let mut found = FxHashSet::default();
    let mut open: Vec<NodeIndex> = of.into_iter().collect();
    while let Some(node) = open.pop() {
        if found.insert(node) {
            open.extend(graph.graph.neighbors_directed(node, Direction::Incoming));
        }
    }
    found
}

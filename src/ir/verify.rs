//! The contract of `ir`, checked: runs after every pass.

use super::{Edge, Graph, NodeIndex, Own, meta, ops, rewrite, view};
use luminal::{
    op::{
        Add, Constant, Contiguous, Exp2, LessThan, Log2, MaxReduce, Mod, Mul, Recip, Sin, Sqrt,
        SumReduce,
    },
    prelude::petgraph,
};

/// Elements of a node. More than an `i32` counts: the products of a contraction are nodes before they are recognised, and
/// are never stored.
const MOST_ELEMENTS: usize = 1 << 52;

/// A broken rule, with the node it is broken at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule} (at {node}, {origin})")]
pub struct Violation {
    pub rule: String,
    /// The operator as listings show it.
    pub node: String,
    pub origin: String,
}

/// Checks every rule.
///
/// # Errors
/// The first that is broken.
pub fn verify(graph: &Graph) -> Result<(), Violation> {
    let broken = |node: NodeIndex, rule: String| {
        let origin = meta(graph)
            .nodes
            .get(&node)
            .map(|m| m.origin.to_string())
            .unwrap_or_default();
        Err(Violation {
            rule,
            node: graph
                .graph
                .node_weight(node)
                .map(|n| format!("{n:?}"))
                .unwrap_or_default(),
            origin,
        })
    };
    if petgraph::algo::is_cyclic_directed(&graph.graph) {
        return broken(NodeIndex::end(), "the graph has a cycle".into());
    }
    for node in graph.graph.node_indices() {
        let Some(of) = meta(graph).nodes.get(&node) else {
            return broken(node, "the node is not in the side table".into());
        };
        if let Err(rule) = check_edges(graph, node) {
            return broken(node, rule);
        }
        match expected_dims(graph, node) {
            Ok(dims) if dims == of.dims => {}
            Ok(dims) => {
                return broken(
                    node,
                    format!("recorded dims {:?} differ from computed {dims:?}", of.dims),
                );
            }
            Err(rule) => return broken(node, rule),
        }
        if of
            .dims
            .iter()
            .any(|d| d.iter().product::<usize>() > MOST_ELEMENTS)
        {
            return broken(
                node,
                format!("{:?} has more elements than can be counted", of.dims),
            );
        }
    }
    if meta(graph).nodes.len() != graph.graph.node_count() {
        return broken(
            NodeIndex::end(),
            "the side table names nodes that are gone".into(),
        );
    }
    for root in &meta(graph).roots {
        let known = meta(graph)
            .nodes
            .get(&root.node)
            .and_then(|m| m.dims.get(root.output as usize));
        if known.is_none_or(|d| d.iter().product::<usize>() != root.dims.iter().product::<usize>())
        {
            return broken(
                root.node,
                format!("root `{}` names no output of its size", root.name),
            );
        }
    }
    Ok(())
}

fn check_edges(graph: &Graph, node: NodeIndex) -> Result<(), String> {
    let takes_slices = ops::is::<Contiguous>(graph, node)
        || graph.graph[node]
            .as_any()
            .downcast_ref::<Own>()
            .is_some_and(|own| own.0.reads_slices());
    let count = graph
        .graph
        .edges_directed(node, petgraph::Direction::Incoming)
        .count();
    let mut orders: Vec<u8> = graph
        .graph
        .edges_directed(node, petgraph::Direction::Incoming)
        .filter_map(|e| match e.weight() {
            luminal::prelude::Dependency::Data { input_order, .. } => Some(*input_order),
            luminal::prelude::Dependency::Schedule => None,
        })
        .collect();
    orders.sort_unstable();
    if orders.len() != count || orders.iter().enumerate().any(|(i, &o)| i != o as usize) {
        return Err(format!("inputs are numbered {orders:?}"));
    }
    for source in rewrite::edges(graph, node) {
        let Some(dims) = meta(graph)
            .nodes
            .get(&source.node)
            .and_then(|m| m.dims.get(source.output as usize))
        else {
            return Err("an input reads an output that does not exist".into());
        };
        let seen: usize = view::physical(source.view).iter().product();
        if seen != dims.iter().product::<usize>() {
            return Err(format!(
                "a view of {:?} reads a buffer of {dims:?}",
                view::physical(source.view)
            ));
        }
        if !takes_slices && view::is_sliced(source.view) {
            return Err("a slice enters a node that is no copy".into());
        }
        if !ops::is::<Contiguous>(graph, node) && view::is_padded(source.view) {
            return Err("a pad enters a node that is no copy".into());
        }
    }
    Ok(())
}

fn expected_dims(graph: &Graph, node: NodeIndex) -> Result<Vec<Vec<usize>>, String> {
    let op = graph.graph[node].as_any();
    let sources = rewrite::edges(graph, node);
    let dims: Vec<Vec<usize>> = sources.iter().map(|s| view::dims(s.view)).collect();
    let arity = |n: usize| {
        if dims.len() == n {
            Ok(())
        } else {
            Err(format!("{} inputs, wants {n}", dims.len()))
        }
    };
    if op.is::<Add>() || op.is::<Mul>() || op.is::<Mod>() || op.is::<LessThan>() {
        arity(2)?;
        return if dims[0] == dims[1] {
            Ok(vec![dims[0].clone()])
        } else {
            Err(format!("operands of {dims:?}"))
        };
    }
    if op.is::<Exp2>() || op.is::<Log2>() || op.is::<Sin>() || op.is::<Sqrt>() || op.is::<Recip>() {
        arity(1)?;
        return plain_edge(&sources[0]).map(|d| vec![d]);
    }
    if op.is::<Contiguous>() {
        arity(1)?;
        return Ok(dims);
    }
    if op.is::<Constant>() {
        arity(0)?;
        return Ok(vec![vec![]]);
    }
    let axis = op
        .downcast_ref::<SumReduce>()
        .map(|r| r.0)
        .or(op.downcast_ref::<MaxReduce>().map(|r| r.0));
    if let Some(axis) = axis {
        arity(1)?;
        let mut dims = dims[0].clone();
        if axis >= dims.len() {
            return Err(format!("reduces axis {axis} of {dims:?}"));
        }
        dims.remove(axis);
        return Ok(vec![dims]);
    }
    match op.downcast_ref::<Own>() {
        Some(own) if own.0.is_unary() => plain_edge(&sources[0]).map(|d| vec![d]),
        Some(own) => Ok(own.0.outputs(&dims)),
        None => Err("an operator that is neither luminal's nor ours".into()),
    }
}

fn plain_edge(source: &Edge) -> Result<Vec<usize>, String> {
    if view::is_plain(source.view) {
        Ok(view::dims(source.view))
    } else {
        Err("a unary operator reads a view".into())
    }
}

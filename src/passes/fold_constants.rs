//! What depends on no input is computed here, once; arithmetic that changes nothing goes away.

use crate::ir::{
    Graph, Kind, NodeIndex, Rewriter, Value, evaluate, kind, meta,
    ops::{Input, InputKind, own},
    program::RowOp,
    rewrite, view,
};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Larger results are left to run time.
const MOST_ELEMENTS: usize = 1 << 22;

/// The outputs of nodes that depend on constants alone.
type Known = FxHashMap<NodeIndex, Vec<Arc<[f32]>>>;

pub fn run(graph: &mut Graph) {
    let mut known = Known::default();
    for node in rewrite::schedule(graph) {
        let sources = rewrite::sources(graph, node);
        match evaluated(graph, node, &sources, &known) {
            Some(values) => _ = known.insert(node, values),
            None => simplify(graph, node, &sources, &known),
        }
    }
    let order = rewrite::schedule(graph);
    for node in order.into_iter().filter(|n| known.contains_key(n)) {
        settle(graph, node, &known);
    }
    Rewriter::new(graph).remove_dead();
}

/// The outputs of a node that depends on constants alone.
fn evaluated(
    graph: &Graph,
    node: NodeIndex,
    sources: &[Value],
    known: &Known,
) -> Option<Vec<Arc<[f32]>>> {
    if let Kind::Constant(x) = kind(graph, node) {
        return Some(vec![[x].into()]);
    }
    if let Some(input) = own::<Input>(graph, node) {
        return match &input.kind {
            InputKind::Table(values) => Some(vec![values.clone()]),
            _ => None,
        };
    }
    let dims = &meta(graph).nodes[&node].dims;
    if dims
        .iter()
        .any(|d| d.iter().product::<usize>() > MOST_ELEMENTS)
    {
        return None;
    }
    let buffers: Option<Vec<&[f32]>> = sources
        .iter()
        .map(|s| Some(&*known.get(&s.node)?[s.output as usize]))
        .collect();
    let outputs = evaluate::evaluate(graph, node, sources, &buffers?);
    Some(outputs.into_iter().map(Arc::from).collect())
}

/// Puts a table, or one number, in the place of a node that others than constants read.
fn settle(graph: &mut Graph, node: NodeIndex, known: &Known) {
    let leaf = rewrite::edges(graph, node).is_empty();
    let scalar = matches!(kind(graph, node), Kind::Constant(_));
    let read = rewrite::readers(graph, node)
        .iter()
        .any(|(reader, ..)| !known.contains_key(reader));
    let root = meta(graph).roots.iter().any(|r| r.node == node);
    if scalar || !(read || root) {
        return;
    }
    let dims = meta(graph).nodes[&node].dims.clone();
    let mut r = Rewriter::new(graph);
    r.stand_in_for(node);
    for (output, (values, dims)) in known[&node].iter().zip(&dims).enumerate() {
        let by = match same_everywhere(values) {
            Some(x) => r.constant(x, dims),
            None if leaf => continue,
            None => r.table(values, dims),
        };
        r.replace(node, output as u8, &by);
    }
}

/// Looks through a node that hands one of its inputs on.
fn simplify(graph: &mut Graph, node: NodeIndex, sources: &[Value], known: &Known) {
    let by = match kind(graph, node) {
        Kind::Copy if sources[0].is_plain() => Some(sources[0].clone()),
        Kind::Copy => copy_of_copy(graph, node, &sources[0]),
        Kind::Pointwise(op @ (RowOp::Add | RowOp::Mul)) => {
            let neutral = if op == RowOp::Add { 0.0 } else { 1.0 };
            let [a, b] = [&sources[0], &sources[1]];
            match (number(known, a), number(known, b)) {
                (Some(x), _) if x == neutral => Some(b.clone()),
                (_, Some(x)) if x == neutral => Some(a.clone()),
                (None, Some(x)) if op == RowOp::Mul => scaled_twice(graph, node, a, x, known),
                (Some(x), None) if op == RowOp::Mul => scaled_twice(graph, node, b, x, known),
                _ => None,
            }
        }
        _ => None,
    };
    if let Some(by) = by {
        let mut r = Rewriter::new(graph);
        r.stand_in_for(node);
        r.replace(node, 0, &by);
    }
}

/// A copy of a copy reads through the first one.
fn copy_of_copy(graph: &mut Graph, node: NodeIndex, source: &Value) -> Option<Value> {
    let Kind::Copy = kind(graph, source.node) else {
        return None;
    };
    let inner = rewrite::sources(graph, source.node).remove(0);
    let through = inner.through(view::compose(&inner.view, &source.view)?);
    let mut r = Rewriter::new(graph);
    r.stand_in_for(node);
    Some(r.contiguous(&through))
}

/// `(a · x) · y` is `a · xy` where that is exact: where one of them is a power of two. Two negations are none.
fn scaled_twice(
    graph: &mut Graph,
    node: NodeIndex,
    inner: &Value,
    y: f32,
    known: &Known,
) -> Option<Value> {
    let Kind::Pointwise(RowOp::Mul) = kind(graph, inner.node) else {
        return None;
    };
    let operands = rewrite::sources(graph, inner.node);
    let (a, x) = match (number(known, &operands[0]), number(known, &operands[1])) {
        (None, Some(x)) => (&operands[0], x),
        (Some(x), None) => (&operands[1], x),
        _ => return None,
    };
    let through = a.through(view::compose(&a.view, &inner.view)?);
    if !(power_of_two(x) || power_of_two(y)) || !(x * y).is_normal() {
        return None;
    }
    let mut r = Rewriter::new(graph);
    r.stand_in_for(node);
    Some(match x * y {
        1.0 => through,
        xy => r.scale(&through, xy),
    })
}

fn power_of_two(x: f32) -> bool {
    x.is_normal() && x.to_bits() & 0x7f_ffff == 0
}

/// The one number that a value holds everywhere.
fn number(known: &Known, value: &Value) -> Option<f32> {
    let values = &known.get(&value.node)?[value.output as usize];
    same_everywhere(values).filter(|_| !view::is_padded(&value.view))
}

fn same_everywhere(values: &[f32]) -> Option<f32> {
    let (first, rest) = values.split_first()?;
    let same = rest.iter().all(|x| x.to_bits() == first.to_bits());
    same.then_some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{evaluate::run as evaluate, new_graph, verify::verify};

    /// Nodes that are no leaves, after folding what `build` makes of `x` `[2, 3]`; the results must not change.
    fn left(build: fn(&mut Rewriter, &Value) -> Value) -> usize {
        let mut graph = new_graph(1);
        let mut r = Rewriter::new(&mut graph);
        let x = r.input("x", &[2, 3], InputKind::Feed);
        let y = build(&mut r, &x);
        r.add_root("y", &y);
        let leaf = |_: &Input| vec![1.0, 2.0, 3.0, 0.5, 0.25, 8.0];
        let before = evaluate(&graph, &leaf);
        run(&mut graph);
        assert_eq!(verify(&graph), Ok(()));
        assert_eq!(evaluate(&graph, &leaf), before);
        let nodes = graph.graph.node_indices();
        nodes
            .filter(|&n| !rewrite::sources(&graph, n).is_empty())
            .count()
    }

    #[test]
    fn constants_become_tables_and_numbers() {
        let indices = |r: &mut Rewriter, x: &Value| {
            let row = r.table(&[0.0, 1.0, 2.0], &[3]);
            let above = r.less(&row.expand(1, 3), &row.expand(0, 3));
            let rank = r.sum(&above, 1);
            let rank = r.exp(&rank);
            r.mul(x, &rank)
        };
        assert_eq!(left(indices), 1);
        let ones = |r: &mut Rewriter, x: &Value| {
            let row = r.table(&[0.0, 1.0, 2.0], &[3]);
            let equal = r.less(&row, &row);
            let all = r.offset(&equal, 1.0);
            r.mul(x, &all)
        };
        assert_eq!(left(ones), 0);
        assert_eq!(left(|r, _| r.table(&[1.0, 2.0], &[2]).permute(&[0])), 0);
    }

    #[test]
    fn arithmetic_that_changes_nothing_goes_away() {
        assert_eq!(left(|r, x| r.offset(x, 0.0)), 0);
        assert_eq!(
            left(|r, x| r.scale(&x.permute(&[1, 0]), 1.0)),
            1,
            "the transposition stays"
        );
        assert_eq!(left(|r, x| r.scale(x, 3.0)), 1);
        assert_eq!(
            left(|r, x| r.scale(x, 0.0)),
            1,
            "not a number times zero is none either"
        );
        let twice = |r: &mut Rewriter, x: &Value| {
            let y = r.neg(x);
            r.neg(&y)
        };
        assert_eq!(left(twice), 0);
        let exact = |r: &mut Rewriter, x: &Value| {
            let y = r.scale(&x.permute(&[1, 0]), 0.3);
            r.scale(&y.permute(&[1, 0]), -2.0)
        };
        assert_eq!(left(exact), 1);
        let rounded = |r: &mut Rewriter, x: &Value| {
            let y = r.scale(x, 0.3);
            r.scale(&y, 0.7)
        };
        assert_eq!(left(rounded), 2);
    }

    #[test]
    fn copies_are_made_once() {
        let copies = |r: &mut Rewriter, x: &Value| {
            let y = r.contiguous(&x.permute(&[1, 0]));
            let y = r.slice(&y, 0, 1, 3);
            let y = r.contiguous(&y.permute(&[1, 0]));
            r.sqrt(&y)
        };
        assert_eq!(left(copies), 2);
    }
}

//! Nodes that compute the same from the same are one node. By hash: comparing all with all takes seconds on a training step.

use crate::ir::{
    Graph, Kind, NodeIndex, Rewriter, ShapeTracker, Value, kind, meta, program::RowOp, rewrite,
    view,
};
use rustc_hash::FxHashMap;

pub fn run(graph: &mut Graph) {
    let mut first: FxHashMap<Key, NodeIndex> = FxHashMap::default();
    for node in rewrite::schedule(graph) {
        let Some(key) = key(graph, node) else {
            continue;
        };
        let same = *first.entry(key).or_insert(node);
        if same == node {
            continue;
        }
        let dims = meta(graph).nodes[&same].dims.clone();
        let mut r = Rewriter::new(graph);
        for (output, dims) in dims.iter().enumerate() {
            let by = Value {
                node: same,
                output: output as u8,
                view: view::plain(dims),
            };
            r.replace(node, output as u8, &by);
        }
    }
    Rewriter::new(graph).remove_dead();
}

/// What a node computes: equal keys, equal results.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    operator: String,
    inputs: Vec<(NodeIndex, u8, Box<[usize]>)>,
}

/// `None` for leaves: they are found by name when they are made.
fn key(graph: &Graph, node: NodeIndex) -> Option<Key> {
    let mut inputs: Vec<_> = rewrite::edges(graph, node)
        .into_iter()
        .map(|edge| (edge.node, edge.output, numbers(edge.view)))
        .collect();
    if inputs.is_empty() {
        return None;
    }
    let operator = match kind(graph, node) {
        // Derived `Debug` shows every field, and tells 0.0 from -0.0.
        Kind::Own(own) => format!("{:?}", own.0),
        Kind::Pointwise(op) => {
            if matches!(op, RowOp::Add | RowOp::Mul) {
                inputs.sort();
            }
            format!("{op:?}")
        }
        other => format!("{other:?}"),
    };
    Some(Key { operator, inputs })
}

/// All that tells views apart.
fn numbers(seen: &ShapeTracker) -> Box<[usize]> {
    let (padding, slices) = (view::padding(seen), view::slices(seen));
    let dims = seen.dims.iter().map(|d| d.to_usize().unwrap_or(usize::MAX));
    let flags = seen.fake.iter().map(|&fake| usize::from(fake));
    let pairs = padding.into_iter().chain(slices);
    dims.chain(seen.indexes.iter().copied())
        .chain(flags)
        .chain(pairs.flat_map(|(a, b)| [a, b]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{evaluate, new_graph, ops, ops::InputKind};

    #[test]
    fn equal_work_is_done_once_and_unequal_work_twice() {
        let mut graph = new_graph(1);
        let mut r = Rewriter::new(&mut graph);
        let x = r.input("x", &[2, 2], InputKind::Feed);
        let y = r.input("y", &[2, 2], InputKind::Feed);
        let turned = x.permute(&[1, 0]);
        let pairs = [
            [r.add(&x, &y), r.add(&y, &x)],
            [r.exp2(&x), r.exp2(&x)],
            // Different: other operands, other axes, other views, other settings, the sign of zero.
            [r.less(&x, &y), r.less(&y, &x)],
            [r.sum(&x, 0), r.sum(&x, 1)],
            [r.mul(&x, &turned), r.mul(&turned, &turned)],
            [1, -1].map(|by| {
                let shifts = vec![(0, by), (1, 0)];
                r.op(ops::Roll { shifts }, &[&x]).remove(0)
            }),
            [r.scale(&x, 0.0), r.scale(&x, -0.0)],
        ];
        for (i, pair) in pairs.iter().enumerate() {
            for (j, value) in pair.iter().enumerate() {
                r.add_root(&format!("{i}.{j}"), value);
            }
        }
        let leaf = |input: &ops::Input| match &*input.name {
            "x" => vec![1.0, -2.0, 3.0, -4.0],
            _ => vec![5.0, 6.0, 7.0, 8.0],
        };
        let before = evaluate::run(&graph, &leaf);
        run(&mut graph);
        let roots = &meta(&graph).roots;
        let merged: Vec<bool> = roots.chunks(2).map(|p| p[0].node == p[1].node).collect();
        assert_eq!(merged, [true, true, false, false, false, false, false]);
        assert_eq!(evaluate::run(&graph, &leaf), before);
    }
}

//! A graph of luminal's primitives alone.

use super::{Edge, Graph, Own, Rewriter, Value, ops::Input, rewrite};
use luminal::op::Operator;

/// Replaces every own operator by what it decomposes into, until only primitives and leaves are left.
pub fn decompose(graph: &mut Graph) {
    loop {
        let all = rewrite::schedule(graph).into_iter();
        let own: Vec<_> = all
            .filter_map(|node| {
                let own = graph.graph[node].as_any().downcast_ref::<Own>()?;
                own.get::<Input>().is_none().then(|| (node, own.clone()))
            })
            .collect();
        if own.is_empty() {
            return;
        }
        let mut r = Rewriter::new(graph);
        for (node, own) in own {
            r.stand_in_for(node);
            let sources: Vec<Value> = rewrite::edges(r.graph(), node)
                .into_iter()
                .map(|edge: Edge<'_>| edge.value())
                .collect();
            // A decomposition is written for inputs of their own order.
            let inputs: Vec<Value> = sources.iter().map(|source| r.contiguous(source)).collect();
            let outputs = own.0.decompose(&mut r, &inputs);
            let outputs = outputs.expect("only leaves do not decompose");
            for (output, by) in outputs.iter().enumerate() {
                r.replace(node, output as u8, by);
            }
        }
        r.remove_dead();
    }
}

/// Replaces every leaf by an operator that brings its numbers.
pub fn bring_leaves(graph: &mut Graph, bring: &dyn Fn(&Input) -> Box<dyn Operator>) {
    Rewriter::new(graph).exchange_leaves(bring);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{
        NodeIndex,
        evaluate::run,
        meta, new_graph, ops,
        ops::{Input, InputKind},
        verify::verify,
    };

    #[test]
    fn primitives_compute_what_the_operators_do() {
        let mut graph = new_graph(1);
        let mut r = Rewriter::new(&mut graph);
        let x = r.input("x", &[4, 6], InputKind::Feed);
        let turned = r
            .op(
                ops::Roll {
                    shifts: vec![(0, 1), (1, -2)],
                },
                &[&x.permute(&[1, 0])],
            )
            .remove(0);
        let curved = r.op(ops::Erf, &[&turned]).remove(0);
        let cut = r.slice(&curved, 0, 1, 5);
        let joined = r.op(ops::Concat { axis: 0 }, &[&cut, &curved]).remove(0);
        r.add_root("joined", &joined);
        let leaf = |input: &Input| -> Vec<f32> {
            let len = input.dims.iter().product::<usize>();
            (0..len).map(|i| (i as f32 * 0.7).sin()).collect()
        };
        let before = run(&graph, &leaf);

        decompose(&mut graph);
        assert_eq!(verify(&graph), Ok(()));
        let is_own = |node: &NodeIndex| graph.graph[*node].as_any().is::<Own>();
        let mut own = graph.graph.node_indices().filter(is_own);
        assert!(own.all(|node| ops::own::<Input>(&graph, node).is_some()));
        assert!(meta(&graph).roots.len() == 1);
        assert_eq!(run(&graph, &leaf), before);
    }
}

//! Readers of a node, sent elsewhere.

use super::Rewriter;
use crate::ir::{
    Kind, NodeIndex, Origin, Own, Value, copy, kind,
    meta::{meta, meta_mut},
    view,
};
use luminal::prelude::{Dependency, petgraph};
use petgraph::{Direction, graph::EdgeIndex, visit::EdgeRef};

impl Rewriter<'_> {
    /// All readers of a node's output read `by` instead, which shows the same elements: each through its own view, or, where
    /// that view of a view takes a copy, from one.
    pub fn replace(&mut self, node: NodeIndex, output: u8, by: &Value) {
        if (node, output) == (by.node, by.output) {
            return;
        }
        let number = |node| meta(self.graph).nodes[&node].number();
        let (from, to) = (number(node), number(by.node));
        meta_mut(self.graph).history.replaced(from, to);
        let mut copy = None;
        for (edge, reader) in self.reading_edges(node, output) {
            if reader == by.node || copy.as_ref().is_some_and(|c: &Value| c.node == reader) {
                continue;
            }
            let Dependency::Data {
                input_order, shape, ..
            } = self.graph.graph[edge]
            else {
                continue;
            };
            let through = if by.is_plain() {
                Some(shape)
            } else {
                view::compose(&by.view, &shape).filter(|seen| self.accepts(reader, seen))
            };
            let (from, shape) = match through {
                Some(shape) => (by, shape),
                None => (&*copy.get_or_insert_with(|| self.contiguous(by)), shape),
            };
            let redirected = Dependency::Data {
                input_order,
                output_order: from.output,
                shape,
            };
            self.graph.graph.remove_edge(edge);
            self.graph.graph.add_edge(from.node, reader, redirected);
        }
        if meta(self.graph)
            .roots
            .iter()
            .any(|r| (r.node, r.output) == (node, output))
        {
            let by = copy.unwrap_or_else(|| self.contiguous(by));
            self.move_roots(node, output, &by);
        }
    }

    /// A second node that does what a node does, from inputs of the same dims.
    pub fn again(&mut self, node: NodeIndex, inputs: &[Value]) -> NodeIndex {
        let op = copy::operator(&*self.graph.graph[node]);
        let dims = meta(self.graph).nodes[&node].dims.clone();
        let clone = self.boxed(op, inputs, dims);
        let number = |node| meta(self.graph).nodes[&node].number();
        let (original, repeated) = (number(node), number(clone));
        meta_mut(self.graph).history.repeated(original, repeated);
        clone
    }

    /// Those readers of a node that come from `places` read the same outputs of `by` instead, which does what the node does.
    pub fn hand_over(&mut self, node: NodeIndex, by: NodeIndex, places: impl Fn(&Origin) -> bool) {
        for output in 0..meta(self.graph).nodes[&node].dims.len() {
            for (edge, reader) in self.reading_edges(node, output as u8) {
                if places(&meta(self.graph).nodes[&reader].origin)
                    && let Some(weight) = self.graph.graph.remove_edge(edge)
                {
                    self.graph.graph.add_edge(by, reader, weight);
                }
            }
        }
    }

    /// One input of a node reads `by` instead, a whole buffer of the same dims, through the view that it has.
    pub fn redirect(&mut self, reader: NodeIndex, input: u8, by: &Value) {
        let edges = self.graph.graph.edges_directed(reader, Direction::Incoming);
        let found = edges.into_iter().find_map(|e| match *e.weight() {
            Dependency::Data {
                input_order, shape, ..
            } if input_order == input => Some((e.id(), shape)),
            _ => None,
        });
        if let Some((edge, shape)) = found {
            let redirected = Dependency::Data {
                input_order: input,
                output_order: by.output,
                shape,
            };
            self.graph.graph.remove_edge(edge);
            self.graph.graph.add_edge(by.node, reader, redirected);
        }
    }

    fn reading_edges(&self, node: NodeIndex, output: u8) -> Vec<(EdgeIndex, NodeIndex)> {
        self.graph
            .graph
            .edges_directed(node, Direction::Outgoing)
            .filter(|e| {
                matches!(e.weight(), Dependency::Data { output_order, .. } if *output_order == output)
            })
            .map(|e| (e.id(), e.target()))
            .collect()
    }

    /// May a node read this view?
    fn accepts(&self, reader: NodeIndex, seen: &super::super::ShapeTracker) -> bool {
        let unary = |own: &Own| own.0.is_unary();
        match kind(self.graph, reader) {
            Kind::Copy => true,
            Kind::Pointwise(op) if op.arity() == 1 => view::is_plain(seen),
            Kind::Own(own) if unary(own) => view::is_plain(seen),
            Kind::Own(own) if own.0.reads_slices() => !view::is_padded(seen),
            _ => !view::is_sliced(seen) && !view::is_padded(seen),
        }
    }

    fn move_roots(&mut self, node: NodeIndex, output: u8, by: &Value) {
        for root in &mut meta_mut(self.graph).roots {
            if (root.node, root.output) == (node, output) {
                (root.node, root.output) = (by.node, by.output);
            }
        }
        self.graph.retrieve_tensors(by.node);
        if !meta(self.graph).roots.iter().any(|r| r.node == node) {
            self.graph.no_delete.remove(&node);
            self.graph.to_retrieve.remove(&node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{evaluate::run, new_graph, ops, ops::InputKind, verify::verify};

    #[test]
    fn readers_see_a_view_through_their_own() {
        let mut graph = new_graph(1);
        let mut r = Rewriter::new(&mut graph);
        let x = r.input("x", &[2, 3], InputKind::Feed);
        let turned = r.contiguous(&x.permute(&[1, 0]));
        let root = r.sqrt(&turned);
        let flat = r.reshape(&turned, &[6]);
        let double = r.add(&flat, &flat);
        let wide = r.sum(&turned.expand(0, 4), 0);
        for (name, value) in [
            ("turned", &turned),
            ("root", &root),
            ("double", &double),
            ("wide", &wide),
        ] {
            r.add_root(name, value);
        }
        let before = run(r.graph(), &|_| (1..7).map(|i| i as f32).collect());
        r.replace(turned.node, 0, &x.permute(&[1, 0]));
        r.remove_dead();
        assert_eq!(verify(&graph), Ok(()));
        let after = run(&graph, &|_| (1..7).map(|i| i as f32).collect());
        assert_eq!(before, after);
        let copies = graph
            .graph
            .node_indices()
            .filter(|&n| ops::is::<luminal::op::Contiguous>(&graph, n));
        assert_eq!(
            copies.count(),
            1,
            "the root, the unary reader and the relabelled one share a copy"
        );
    }
}

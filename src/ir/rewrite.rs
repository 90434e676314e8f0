//! The one way to change a graph: nodes are added with their dims and origin, consumers are redirected, dead nodes removed, so
//! the side table never goes stale. Free nodes of arithmetic are in `arithmetic.rs`.

mod leaves;
mod redirect;
mod remove;

use super::{
    Graph, NodeIndex, Op, Origin, Own, Root, Value,
    meta::{NodeMeta, meta, meta_mut},
    ops::{Input, InputKind},
    view,
};
use luminal::{
    op::{Constant, ConstantValue, Contiguous, Operator},
    prelude::Dependency,
};
use rustc_hash::FxHashSet;
use std::sync::Arc;

pub use super::read::{ancestors, broadcast_dims, edges, readers, schedule, sources};

/// Adds to, redirects and removes from one graph.
pub struct Rewriter<'g> {
    graph: &'g mut Graph,
    origin: Origin,
    place: Option<usize>,
}

/// An empty graph for `batch` images per run.
pub fn new_graph(batch: usize) -> Graph {
    let mut graph = Graph::new();
    meta_mut(&mut graph).batch = batch;
    graph
}

impl<'g> Rewriter<'g> {
    pub fn new(graph: &'g mut Graph) -> Self {
        Rewriter {
            graph,
            origin: Origin {
                path: "".into(),
                backward: false,
            },
            place: None,
        }
    }

    pub fn graph(&self) -> &Graph {
        self.graph
    }

    pub fn batch(&self) -> usize {
        meta(self.graph).batch
    }

    /// Nodes added from now on come from here.
    pub fn set_origin(&mut self, origin: Origin) {
        self.origin = origin;
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Nodes added from now on have a node's origin and place in the schedule: what a pass says before it replaces that node.
    pub fn stand_in_for(&mut self, node: NodeIndex) {
        let of = &meta(self.graph).nodes[&node];
        (self.origin, self.place) = (of.origin.clone(), Some(of.order.0));
    }

    /// A leaf. A leaf of the same name and kind is the same leaf.
    pub fn input(&mut self, name: &str, dims: &[usize], kind: InputKind) -> Value {
        let input = Input {
            name: name.into(),
            dims: dims.to_vec(),
            kind,
        };
        let same = |n: &&NodeIndex| super::ops::own(self.graph, **n) == Some(&input);
        let named = meta(self.graph).leaves.get(name);
        let node = match named.and_then(|nodes| nodes.iter().find(same)) {
            Some(&node) => node,
            None => {
                let node = self.node(Own(Arc::new(input)), &[], vec![dims.to_vec()]);
                let leaves = &mut meta_mut(self.graph).leaves;
                leaves.entry(name.into()).or_default().push(node);
                node
            }
        };
        Value {
            node,
            output: 0,
            view: view::plain(dims),
        }
    }

    /// Constant numbers, row-major.
    ///
    /// # Panics
    /// Unless there are as many as the dims say.
    pub fn table(&mut self, values: &[f32], dims: &[usize]) -> Value {
        assert_eq!(
            values.len(),
            dims.iter().product::<usize>(),
            "as many numbers as the dims say"
        );
        self.input("", dims, InputKind::Table(values.into()))
    }

    /// One number broadcast to `dims`.
    pub fn constant(&mut self, x: f32, dims: &[usize]) -> Value {
        let node = match meta(self.graph).constants.get(&x.to_bits()) {
            Some(&node) => node,
            None => {
                let node = self.node(
                    Constant(ConstantValue::Float(x), std::ptr::null()),
                    &[],
                    vec![vec![]],
                );
                meta_mut(self.graph).constants.insert(x.to_bits(), node);
                node
            }
        };
        Value {
            node,
            output: 0,
            view: view::broadcast(dims),
        }
    }

    /// An own operator; its results are plain.
    pub fn op(&mut self, op: impl Op, inputs: &[&Value]) -> Vec<Value> {
        self.op_shared(Arc::new(op), inputs)
    }

    pub fn op_shared(&mut self, op: Arc<dyn Op>, inputs: &[&Value]) -> Vec<Value> {
        if op.is_unary() {
            return vec![self.unary(Own(op), inputs[0])];
        }
        let dims = op.outputs(&inputs.iter().map(|v| v.dims()).collect::<Vec<_>>());
        let edges: Vec<Value> = if op.reads_slices() {
            inputs.iter().map(|&v| v.clone()).collect()
        } else {
            inputs
                .iter()
                .map(|v| {
                    if view::is_sliced(&v.view) {
                        self.contiguous(v)
                    } else {
                        (*v).clone()
                    }
                })
                .collect()
        };
        let node = self.node(Own(op), &edges, dims.clone());
        let plain = |(i, d): (usize, &Vec<usize>)| Value {
            node,
            output: i as u8,
            view: view::plain(d),
        };
        dims.iter().enumerate().map(plain).collect()
    }

    /// A unary operator: works on the input's buffer, so a broadcast or permuted input costs nothing extra.
    pub fn unary(&mut self, op: impl Operator + 'static, x: &Value) -> Value {
        let x = if view::is_sliced(&x.view) || view::is_padded(&x.view) {
            self.contiguous(x)
        } else {
            x.clone()
        };
        let buffer = view::physical(&x.view);
        let node = self.node(op, &[x.through(view::plain(&buffer))], vec![buffer]);
        Value {
            node,
            output: 0,
            view: x.view,
        }
    }

    /// A binary operator on operands that broadcast to common dims.
    ///
    /// # Panics
    /// If they do not.
    pub fn binary(&mut self, op: impl Operator + 'static, a: &Value, b: &Value) -> Value {
        let dims =
            broadcast_dims(&a.dims(), &b.dims()).expect("callers check that operands broadcast");
        let wide = |v: &Value| {
            v.broadcast_to(&dims)
                .expect("both broadcast to their common dims")
        };
        let node = self.node(op, &[wide(a), wide(b)], vec![dims.clone()]);
        Value {
            node,
            output: 0,
            view: view::plain(&dims),
        }
    }

    /// A reduction over one logical axis. Of a single element it is that element: a view, not a node.
    pub fn reduce(&mut self, op: impl Operator + 'static, x: &Value, axis: usize) -> Value {
        if x.dims()[axis] == 1 && !view::is_sliced(&x.view) && !view::is_padded(&x.view) {
            return x.squeeze(axis);
        }
        let mut dims = x.dims();
        dims.remove(axis);
        let node = self.node(op, std::slice::from_ref(x), vec![dims.clone()]);
        Value {
            node,
            output: 0,
            view: view::plain(&dims),
        }
    }

    /// The same elements in a buffer of their own order; nothing is added where they are already.
    pub fn contiguous(&mut self, x: &Value) -> Value {
        let dims = x.dims();
        if x.is_plain() {
            return x.through(view::plain(&dims));
        }
        let node = self.node(Contiguous, std::slice::from_ref(x), vec![dims.clone()]);
        Value {
            node,
            output: 0,
            view: view::plain(&dims),
        }
    }

    /// Makes a value a named result of the graph.
    pub fn add_root(&mut self, name: &str, value: &Value) {
        let value = self.contiguous(value);
        let root = Root {
            name: name.into(),
            node: value.node,
            output: value.output,
            dims: value.dims(),
        };
        self.graph.retrieve_tensors(value.node);
        meta_mut(self.graph).roots.push(root);
    }

    /// Lets go of the named results for which `keep` is false.
    pub fn retain_roots(&mut self, keep: impl Fn(&Root) -> bool) {
        let table = meta_mut(self.graph);
        table.roots.retain(keep);
        let kept: FxHashSet<NodeIndex> = table.roots.iter().map(|r| r.node).collect();
        self.graph
            .no_delete
            .retain(|n| *n == NodeIndex::end() || kept.contains(n));
        self.graph.to_retrieve.retain(|n| kept.contains(n));
    }

    pub(super) fn node(
        &mut self,
        op: impl Operator + 'static,
        inputs: &[Value],
        dims: Vec<Vec<usize>>,
    ) -> NodeIndex {
        self.boxed(Box::new(op), inputs, dims)
    }

    fn boxed(
        &mut self,
        op: Box<dyn Operator>,
        inputs: &[Value],
        dims: Vec<Vec<usize>>,
    ) -> NodeIndex {
        assert!(
            inputs.len() <= u8::MAX as usize,
            "luminal numbers inputs by a byte"
        );
        let node = self.graph.graph.add_node(op);
        for (i, input) in inputs.iter().enumerate() {
            let edge = Dependency::Data {
                input_order: i as u8,
                output_order: input.output,
                shape: input.view,
            };
            self.graph.graph.add_edge(input.node, node, edge);
        }
        let (origin, place) = (self.origin.clone(), self.place);
        let table = meta_mut(self.graph);
        table.created += 1;
        let order = (place.unwrap_or(table.created), table.created);
        table.nodes.insert(
            node,
            NodeMeta {
                dims,
                origin,
                order,
            },
        );
        node
    }
}

#[cfg(test)]
mod tests {
    use super::{super::verify::verify, *};
    use crate::ir::{Own, ops};

    #[test]
    fn graphs_built_here_are_legal_and_replacing_keeps_them_so() {
        let mut graph = new_graph(2);
        let mut r = Rewriter::new(&mut graph);
        let x = r.input("x", &[2, 3], InputKind::Feed);
        let y = r.exp(&x.permute(&[1, 0]));
        let y = r.sum(&y, 0);
        let z = r.slice(&y, 0, 1, 2);
        r.add_root("z", &z);
        r.add_root("y", &y);
        assert_eq!(verify(r.graph()), Ok(()));
        let double = r.add(&x, &x);
        let folded = r.sum(&double, 1);
        r.replace(y.node, 0, &folded);
        assert!(r.remove_dead() > 0);
        assert_eq!(verify(r.graph()), Ok(()));
        assert_eq!(meta(&graph).roots[1].node, folded.node);
        assert!(
            schedule(&graph)
                .iter()
                .all(|n| meta(&graph).nodes.contains_key(n))
        );
    }

    #[test]
    fn own_operators_are_found_again_and_compared() {
        let mut graph = new_graph(1);
        let mut r = Rewriter::new(&mut graph);
        let x = r.input("x", &[4], InputKind::Feed);
        let y = r
            .op(
                ops::Roll {
                    shifts: vec![(0, 1)],
                },
                &[&x],
            )
            .remove(0);
        assert_eq!(r.input("x", &[4], InputKind::Feed).node, x.node);
        assert!(ops::own::<ops::Roll>(&graph, y.node).is_some());
        let same = |by| {
            Own(std::sync::Arc::new(ops::Roll {
                shifts: vec![(0, by)],
            }))
        };
        assert!(same(1) == same(1) && same(1) != same(2));
    }

    #[test]
    fn a_slice_into_arithmetic_is_refused() {
        let mut graph = new_graph(1);
        let mut r = Rewriter::new(&mut graph);
        let x = r.input("x", &[4], InputKind::Feed);
        let cut = x.through(view::slice(&x.view, 0, 1, 3));
        let y = r.node(luminal::op::Add, &[cut.clone(), cut], vec![vec![2]]);
        r.add_root(
            "y",
            &Value {
                node: y,
                output: 0,
                view: view::plain(&[2]),
            },
        );
        assert!(verify(&graph).unwrap_err().rule.contains("slice"));
    }
}

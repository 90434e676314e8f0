//! The gradient of the objective with respect to every weight: one sweep from the loss back, one short rule per operator.

pub mod rules;

mod flow;
mod pieces;

#[cfg(test)]
mod tests;

use crate::ir::{
    Graph, NodeIndex, Origin, Rewriter, Value, meta,
    ops::{Input, InputKind, Part, own},
    rewrite, roots, view,
};
use luminal::prelude::{Compiler, ToIdsMut};
use pieces::Piece;
use rules::{Flow, Site};
use rustc_hash::{FxHashMap, FxHashSet};

/// Why a graph has no gradient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GradientError {
    /// No root is called `loss`.
    #[error("the graph has no output `loss`: there is nothing to minimise")]
    NoObjective,
    /// The root `loss` is no number.
    #[error("only a single number can be minimised; `loss` has dims {dims:?}")]
    NotScalar {
        /// What it is.
        dims: Vec<usize>,
    },
}

/// Adds for every weight the root `gradient.<name>`: what training has accumulated so far, plus the gradient of the root
/// `loss` divided by `accumulations`, the number of runs that make up one step. A weight that the loss does not depend on
/// keeps what was accumulated. Runs before fusion: what that makes has no rules.
///
/// # Errors
/// If the graph has no root `loss`, or it holds more than one number.
pub fn differentiate(graph: &mut Graph, accumulations: usize) -> Result<(), GradientError> {
    let loss = meta(graph).roots.iter().find(|r| r.name == roots::LOSS);
    let dims = &loss.ok_or(GradientError::NoObjective)?.dims;
    if dims.iter().product::<usize>() != 1 {
        return Err(GradientError::NotScalar { dims: dims.clone() });
    }
    Differentiate { accumulations }.compile(graph, ());
    Ok(())
}

/// [`differentiate`] as luminal's framework runs it, on a graph whose loss is a number.
#[derive(Debug)]
pub struct Differentiate {
    /// Micro-batches per optimizer step: every gradient is divided by it.
    pub accumulations: usize,
}

impl Compiler for Differentiate {
    fn compile<T: ToIdsMut>(&self, graph: &mut Graph, _: T) {
        let order = rewrite::schedule(graph);
        let mut sweep = Sweep {
            needed: depends_on_weights(graph, &order),
            r: Rewriter::new(graph),
            pieces: FxHashMap::default(),
            totals: Vec::new(),
        };
        sweep.seed(1.0 / self.accumulations as f32);
        for &node in order.iter().rev() {
            sweep.visit(node);
        }
        // The roots stand in the order of the weights.
        while let Some((name, total)) = sweep.totals.pop() {
            sweep.r.add_root(&name, &total);
        }
    }
}

struct Sweep<'g> {
    r: Rewriter<'g>,
    /// Nodes that some weight has an influence on; no gradient flows into others.
    needed: FxHashSet<NodeIndex>,
    /// The gradients that arrived at each output so far.
    pieces: FxHashMap<(NodeIndex, u8), Vec<Piece>>,
    /// Roots to be, the last weight first.
    totals: Vec<(String, Value)>,
}

impl Sweep<'_> {
    /// The loss's own gradient.
    fn seed(&mut self, gradient: f32) {
        let loss = meta(self.r.graph())
            .roots
            .iter()
            .find(|r| r.name == roots::LOSS);
        let at = loss.map(|r| (r.node, r.output));
        let at = at.expect("`differentiate` has found the loss");
        let dims = meta(self.r.graph()).nodes[&at.0].dims[at.1 as usize].clone();
        let one = self.r.constant(gradient, &dims);
        self.pieces.insert(at, vec![Piece::whole(one)]);
    }

    /// Sends the gradients of a node's outputs on to its inputs.
    fn visit(&mut self, node: NodeIndex) {
        if !self.needed.contains(&node) {
            return;
        }
        let forward = meta(self.r.graph()).nodes[&node].clone();
        self.r.set_origin(Origin {
            path: forward.origin.path,
            backward: true,
        });
        let gradients: Vec<Option<Value>> = (forward.dims.iter().enumerate())
            .map(|(output, dims)| self.arrived(node, output as u8, dims))
            .collect();
        let inputs = rewrite::sources(self.r.graph(), node);
        if inputs.is_empty() {
            return self.finish(node, gradients.into_iter().next().flatten());
        }
        if gradients.iter().all(Option::is_none) {
            return;
        }
        let site = Site {
            node,
            outputs: (forward.dims.iter().enumerate())
                .map(|(i, dims)| Value {
                    node,
                    output: i as u8,
                    view: view::plain(dims),
                })
                .collect(),
            wants: inputs
                .iter()
                .map(|v| self.needed.contains(&v.node))
                .collect(),
            inputs,
            gradients,
        };
        let flows = rules::apply(&mut self.r, &site);
        for (input, flow) in site.inputs.iter().zip(flows) {
            let wanted = self.needed.contains(&input.node);
            let piece = match flow.filter(|_| wanted) {
                Some(Flow::View(gradient)) => flow::adjoint(&mut self.r, &input.view, &gradient),
                Some(Flow::Region(gradient)) => flow::place(&mut self.r, &input.view, gradient),
                Some(Flow::Buffer(gradient)) => Piece::whole(gradient),
                None => continue,
            };
            let at = (input.node, input.output);
            self.pieces.entry(at).or_default().push(piece);
        }
    }

    /// The whole gradient of an output, with the dims of its buffer.
    fn arrived(&mut self, node: NodeIndex, output: u8, dims: &[usize]) -> Option<Value> {
        let pieces = self.pieces.remove(&(node, output))?;
        let gradient = pieces::join(&mut self.r, pieces);
        Some(flow::reshape(&mut self.r, &gradient, dims))
    }

    /// Adds a weight's gradient to what was accumulated.
    fn finish(&mut self, weight: NodeIndex, gradient: Option<Value>) {
        let input = own::<Input>(self.r.graph(), weight).cloned();
        let input = input.expect("the only leaves that depend on weights are weights");
        let state = InputKind::State(Part::Gradient);
        let mut total = self.r.input(&input.name, &input.dims, state);
        if let Some(gradient) = gradient {
            total = self.r.add(&total, &gradient);
        }
        let name = roots::next(Part::Gradient, &input.name);
        self.totals.push((name, total));
    }
}

fn depends_on_weights(graph: &Graph, order: &[NodeIndex]) -> FxHashSet<NodeIndex> {
    let mut needed = FxHashSet::default();
    for &node in order {
        let weight = own::<Input>(graph, node)
            .is_some_and(|input| matches!(input.kind, InputKind::Weight { .. }));
        let mut sources = graph
            .graph
            .neighbors_directed(node, luminal::prelude::petgraph::Direction::Incoming);
        if weight || sources.any(|source| needed.contains(&source)) {
            needed.insert(node);
        }
    }
    needed
}

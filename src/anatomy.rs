//! A program node by node and kernel by kernel, as plain data: which of the nodes that the model was written in each kernel
//! computes.

use crate::{
    ir::{
        Graph, Kind, NodeIndex, Origin, kind, meta,
        ops::{Input, own},
        print::label,
        read,
    },
    plan::{Lowered, Plan},
};
use rustc_hash::{FxHashMap, FxHashSet};

/// What fusion began with, and what came of it.
#[derive(Debug, Clone)]
pub struct Anatomy {
    /// As elaboration, differentiation and the optimizer made them, each in the order in which its nodes run.
    pub nodes: Vec<Node>,
    /// How many of them are of the model itself.
    pub written: usize,
    /// The kernels and their buffers.
    pub plan: Plan,
    /// For each kernel, those of the update behind those of a micro-batch.
    pub made_of: Vec<MadeOf>,
}

/// A node before fusion.
#[derive(Debug, Clone)]
pub struct Node {
    /// The part of the model it belongs to.
    pub origin: Origin,
    /// `add`, `sum[axis 1]`; of a leaf its name.
    pub label: String,
    /// Of each result, the images of a micro-batch among them.
    pub dims: Vec<Vec<usize>>,
    /// The nodes that it reads, by their places.
    pub sources: Vec<usize>,
    /// What kind of node it is.
    pub role: Role,
}

/// What a node is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A weight, an input, a table, a random tensor.
    Leaf,
    /// A number.
    Constant,
    /// Something is computed.
    Computes,
}

/// Nodes that compute something, by their places in [`Anatomy::nodes`], in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MadeOf {
    /// Kernels that compute them one behind the other, this one included.
    pub kernels: usize,
    /// What the kernel computes.
    pub nodes: Vec<usize>,
    /// What it computes a second time, so that it need not be kept.
    pub again: Vec<usize>,
}

/// The nodes that a graph has at some point, with the numbers of their creation.
#[derive(Default)]
pub(crate) struct Snapshot(Vec<(usize, Node, Vec<usize>)>);

impl Snapshot {
    /// Of the nodes from a number on.
    pub(crate) fn of(graph: &Graph, from: usize) -> Self {
        let number = |node: NodeIndex| meta(graph).nodes[&node].number();
        let order = read::schedule(graph).into_iter();
        let taken = order.filter(|&node| number(node) >= from).map(|node| {
            let of = &meta(graph).nodes[&node];
            let role = match kind(graph, node) {
                Kind::Constant(_) => Role::Constant,
                _ if own::<Input>(graph, node).is_some() => Role::Leaf,
                _ => Role::Computes,
            };
            let input = own::<Input>(graph, node).filter(|input| !input.name.is_empty());
            let edges = read::edges(graph, node);
            let sources = edges.iter().map(|edge| number(edge.node)).collect();
            let node = Node {
                origin: of.origin.clone(),
                label: input.map_or_else(|| label(graph, node), |input| input.name.clone()),
                dims: of.dims.clone(),
                sources: Vec::new(),
                role,
            };
            (of.number(), node, sources)
        });
        Snapshot(taken.collect())
    }
}

impl Anatomy {
    /// Of a fused graph, from what it was in turn.
    pub(crate) fn new(graph: &Graph, snapshots: [Snapshot; 2], lowered: Lowered) -> Self {
        let written = snapshots[0].0.len();
        let taken: Vec<_> = snapshots.into_iter().flat_map(|taken| taken.0).collect();
        let places: FxHashMap<usize, usize> = taken
            .iter()
            .enumerate()
            .map(|(place, (number, ..))| (*number, place))
            .collect();
        let computes = taken
            .iter()
            .enumerate()
            .filter(|(_, (_, node, _))| node.role == Role::Computes);
        let computes: Vec<_> = computes.map(|(at, (number, ..))| (at, *number)).collect();
        let nodes = taken.into_iter().map(|(_, node, sources)| Node {
            // What a pass made in between is no node that was written.
            sources: sources
                .iter()
                .filter_map(|number| places.get(number).copied())
                .collect(),
            ..node
        });
        Anatomy {
            nodes: nodes.collect(),
            written,
            made_of: made_of(graph, &computes, &lowered.from),
            plan: lowered.plan,
        }
    }
}

/// For each kernel, the places of the nodes that it comes from; nodes are places with numbers, kernels the numbers of what
/// they were lowered from.
fn made_of(graph: &Graph, nodes: &[(usize, usize)], lowered: &[usize]) -> Vec<MadeOf> {
    let mut kernels: FxHashMap<usize, Vec<usize>> = FxHashMap::default();
    for (kernel, &node) in lowered.iter().enumerate() {
        kernels.entry(node).or_default().push(kernel);
    }
    let table = meta(graph);
    let alive: FxHashSet<usize> = table.nodes.values().map(|node| node.number()).collect();
    let computing = |node: usize| {
        let heirs = table.history.heirs(node, |heir| alive.contains(&heir));
        let kernels = heirs.into_iter().filter_map(|heir| kernels.get(&heir));
        kernels.flatten().copied().collect::<Vec<_>>()
    };
    let made = |node: &usize| MadeOf {
        kernels: kernels[node].len(),
        ..MadeOf::default()
    };
    let mut made_of: Vec<MadeOf> = lowered.iter().map(made).collect();
    for &(place, node) in nodes {
        for kernel in computing(node) {
            made_of[kernel].nodes.push(place);
        }
        for kernel in table.history.clones(node).into_iter().flat_map(computing) {
            let of: &mut MadeOf = &mut made_of[kernel];
            if of.nodes.last() != Some(&place) && of.again.last() != Some(&place) {
                of.again.push(place);
            }
        }
    }
    made_of
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Library, Options, Recipe, compile};

    fn anatomy(recipe: &str, sets: &[&str]) -> Anatomy {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let recipe = Recipe::load(recipe, &sets).expect("a sound recipe");
        let options = Options {
            micro_batch: Some(1),
            anatomy: true,
            ..Options::default()
        };
        let program = compile(&recipe, &Library::new(&[]), &options).expect("compiles");
        program.anatomy.expect("it was asked for")
    }

    #[test]
    fn every_kernel_is_made_of_what_was_written() {
        for recipe in ["quickstart", "vit_s"] {
            let anatomy = anatomy(recipe, &[]);
            let plan = &anatomy.plan;
            let kernels = plan.accumulate.iter().chain(&plan.apply);
            assert_eq!(kernels.clone().count(), anatomy.made_of.len());
            for (kernel, of) in kernels.zip(&anatomy.made_of) {
                let origin = &kernel.origin;
                assert!(!of.nodes.is_empty() || !of.again.is_empty(), "{origin}");
            }
            let fused = anatomy.made_of.iter().filter(|of| of.nodes.len() > 3);
            assert!(fused.count() > 20);
            assert!(anatomy.made_of.iter().any(|of| !of.again.is_empty()));
        }
    }

    #[test]
    fn an_attention_kernel_is_made_of_scores_softmax_and_mixture() {
        let anatomy = anatomy("vit_s", &[]);
        let first = anatomy.plan.accumulate.iter();
        let mut first = first.zip(&anatomy.made_of);
        let (_, of) = first
            .find(|(kernel, _)| kernel.kernel.label() == "attention")
            .expect("the model attends");
        let labels = of.nodes.iter().map(|&node| &*anatomy.nodes[node].label);
        let labels: Vec<&str> = labels.collect();
        for part in ["exp2", "max[axis 3]", "sum[axis 3]"] {
            assert!(labels.contains(&part), "{part} in {labels:?}");
        }
        let inside = |&node: &usize| &*anatomy.nodes[node].origin.path;
        let paths: FxHashSet<&str> = of.nodes.iter().map(inside).collect();
        assert!(paths.iter().all(|path| path.contains(".attn")), "{paths:?}");
    }
}

//! The forward part as seen by what decides which of it is kept: what is cheap, what is read by the backward part, and in which
//! stage it is.

use super::precision::is_rounded;
use crate::{
    ir::{
        Graph, Kind, NodeIndex, kind, meta,
        ops::{Detach, Input},
        rewrite,
    },
    plan::Element,
};
use rustc_hash::{FxHashMap, FxHashSet};

/// The nodes that no gradient flows into, in schedule order.
pub struct Forward {
    pub nodes: Vec<Node>,
    pub at: FxHashMap<NodeIndex, usize>,
}

pub struct Node {
    pub id: NodeIndex,
    /// Indices into [`Forward::nodes`], ascending.
    pub sources: Vec<usize>,
    /// Of all outputs.
    pub bytes: u64,
    /// Can be read at any time and costs nothing: inputs, draws, constants, results.
    pub is_free: bool,
    /// A clone costs little more than to read what the node reads.
    pub is_cheap: bool,
    /// Stored for later stages of the forward part, whether the backward part reads it or not.
    pub is_stored: bool,
    /// How many products and the like lie before it, one behind the other.
    pub stage: usize,
    /// The first of the backward part that reads it.
    pub reader: Option<Reader>,
}

/// A node of the backward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    /// Its place in the schedule.
    order: (usize, usize),
    pub node: NodeIndex,
}

impl Node {
    /// By the backward part.
    pub fn is_read(&self) -> bool {
        self.reader.is_some()
    }
}

impl Forward {
    pub fn of(graph: &Graph) -> Forward {
        let table = meta(graph);
        let roots: FxHashSet<NodeIndex> = table.roots.iter().map(|r| r.node).collect();
        let mut forward = Forward {
            nodes: Vec::new(),
            at: FxHashMap::default(),
        };
        for id in rewrite::schedule(graph) {
            let of = &table.nodes[&id];
            let sources = rewrite::edges(graph, id).into_iter().map(|edge| edge.node);
            let known: Option<Vec<usize>> = sources
                .clone()
                .map(|source| forward.at.get(&source).copied())
                .collect();
            let (false, Some(mut sources)) = (of.origin.backward, known) else {
                if of.origin.backward {
                    let order = of.order;
                    forward.read(sources, Reader { order, node: id });
                }
                continue;
            };
            sources.sort_unstable();
            sources.dedup();
            let work = work(graph, id);
            let bytes = |(output, dims): (usize, &Vec<usize>)| {
                let element = if is_rounded(graph, id, output as u8) {
                    Element::Bf16
                } else {
                    Element::F32
                };
                (dims.iter().product::<usize>() * element.bytes()) as u64
            };
            let before = sources.iter().map(|&source| forward.nodes[source].stage);
            forward.at.insert(id, forward.nodes.len());
            forward.nodes.push(Node {
                id,
                bytes: of.dims.iter().enumerate().map(bytes).sum(),
                is_free: work == Work::Leaf || roots.contains(&id),
                is_cheap: work == Work::Cheap,
                is_stored: false,
                stage: before.max().unwrap_or(0) + usize::from(work == Work::Heavy),
                sources,
                reader: None,
            });
        }
        forward.connect();
        forward
    }

    /// Of each stage what is read, and the cheap nodes that it could be computed from, ascending. A stage comes after those before it.
    pub fn stages(&self) -> Vec<Vec<usize>> {
        let mut wanted: Vec<bool> = self.nodes.iter().map(Node::is_read).collect();
        let mut stages: Vec<Vec<usize>> = Vec::new();
        for (at, node) in self.nodes.iter().enumerate().rev() {
            if node.is_free || !wanted[at] {
                continue;
            }
            stages.resize_with(stages.len().max(node.stage + 1), Vec::new);
            stages[node.stage].push(at);
            for &source in node.sources.iter().filter(|_| node.is_cheap) {
                wanted[source] |= self.nodes[source].stage == node.stage;
            }
        }
        for stage in &mut stages {
            stage.reverse();
        }
        stages
    }

    fn read(&mut self, sources: impl Iterator<Item = NodeIndex>, reader: Reader) {
        for source in sources {
            if let Some(&at) = self.at.get(&source) {
                let first = &mut self.nodes[at].reader;
                *first = [*first, Some(reader)].into_iter().flatten().min();
            }
        }
    }

    /// Fills in what is stored. What is made of free nodes alone belongs to the first stage that reads it.
    fn connect(&mut self) {
        let mut made_of_free = vec![false; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            let mut sources = node.sources.iter();
            made_of_free[at] =
                node.is_free || node.is_cheap && sources.all(|&source| made_of_free[source]);
        }
        let mut earliest: Vec<Option<usize>> = vec![None; self.nodes.len()];
        for at in (0..self.nodes.len()).rev() {
            if let (true, Some(stage)) = (made_of_free[at], earliest[at]) {
                self.nodes[at].stage = stage;
            }
            let stage = self.nodes[at].stage;
            for source in self.nodes[at].sources.clone() {
                earliest[source] = [earliest[source], Some(stage)].into_iter().flatten().min();
            }
        }
        for at in 0..self.nodes.len() {
            let stage = self.nodes[at].stage;
            for source in self.nodes[at].sources.clone() {
                self.nodes[source].is_stored |= self.nodes[source].stage != stage;
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Leaf,
    Cheap,
    /// Not cloned, but no stage of its own.
    Reduction,
    Heavy,
}

fn work(graph: &Graph, node: NodeIndex) -> Work {
    match kind(graph, node) {
        Kind::Constant(_) => Work::Leaf,
        Kind::Pointwise(_) if is_outer_product(graph, node) => Work::Heavy,
        Kind::Pointwise(_) | Kind::Copy => Work::Cheap,
        Kind::Reduce(..) => Work::Reduction,
        Kind::Own(own) if own.get::<Input>().is_some() => Work::Leaf,
        Kind::Own(own) if own.get::<Detach>().is_some() => Work::Cheap,
        Kind::Own(_) => Work::Heavy,
    }
}

/// Larger than all that it reads: what a product of matrices sums, or as costly.
fn is_outer_product(graph: &Graph, node: NodeIndex) -> bool {
    let len = |node: NodeIndex, output: usize| -> usize {
        meta(graph).nodes[&node].dims[output].iter().product()
    };
    let edges = rewrite::edges(graph, node);
    let widest = edges.iter().map(|v| len(v.node, v.output as usize)).max();
    widest.is_some_and(|widest| len(node, 0) > widest)
}

//! The side table of a graph: dims and origin of every node, the named roots. It travels inside the graph, under a key no
//! node can have, so that luminal's passes can be given the graph alone.

use super::{Graph, NodeIndex, history::History};
use luminal::prelude::{Data, Tensor};
use rustc_hash::FxHashMap;
use std::{any::Any, sync::Arc};

/// Where a node came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// Instance path: `encoder.layers.0.blocks.1.attn.qkv`.
    pub path: Arc<str>,
    /// Belongs to the gradient of what stands at the path.
    pub backward: bool,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.path, if self.backward { "'" } else { "" })
    }
}

#[derive(Debug, Clone)]
pub struct NodeMeta {
    /// Dims of each output buffer.
    pub dims: Vec<Vec<usize>>,
    pub origin: Origin,
    /// Place in the schedule: among nodes that are ready, the smallest goes first. The second number is unique.
    pub order: (usize, usize),
}

/// A named result that must be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// `loss`, `decoder`, `gradient.<weight>`, `weight.<weight>`, ...
    pub name: String,
    pub node: NodeIndex,
    pub output: u8,
    /// Dims the reader sees (a relabelling of the buffer's).
    pub dims: Vec<usize>,
}

#[derive(Debug, Clone, Default)]
pub struct Meta {
    pub nodes: FxHashMap<NodeIndex, NodeMeta>,
    pub roots: Vec<Root>,
    /// Leaves by name.
    pub(super) leaves: FxHashMap<String, Vec<NodeIndex>>,
    /// Scalar constants by bits.
    pub(super) constants: FxHashMap<u32, NodeIndex>,
    pub(super) created: usize,
    /// Images per run of the graph.
    pub batch: usize,
    /// What became of the nodes that were here.
    pub history: History,
}

impl Meta {
    /// The number of the next node.
    pub fn created(&self) -> usize {
        self.created + 1
    }
}

impl NodeMeta {
    /// Of its creation: no two nodes of a graph ever share one.
    pub fn number(&self) -> usize {
        self.order.1
    }
}

impl Data for Meta {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

const KEY: u8 = 255;

/// The side table of a graph made by [`super::Rewriter`].
///
/// # Panics
/// If the graph was made otherwise.
pub fn meta(graph: &Graph) -> &Meta {
    let tensor = graph
        .get_tensor_ref(NodeIndex::end(), KEY)
        .expect("every graph of ours is made by `ir::new_graph`");
    tensor
        .data
        .as_any()
        .downcast_ref()
        .expect("only the side table is kept under its key")
}

pub(super) fn meta_mut(graph: &mut Graph) -> &mut Meta {
    graph.no_delete.insert(NodeIndex::end());
    let tensor = graph
        .tensors
        .entry((NodeIndex::end(), KEY))
        .or_insert_with(|| Tensor::new(Meta::default()));
    tensor
        .data
        .as_any_mut()
        .downcast_mut()
        .expect("only the side table is kept under its key")
}

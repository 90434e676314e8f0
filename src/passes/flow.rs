//! What fusion sees of a graph: views as walks, copies looked through, chains of reductions as one.

use super::walk::{Digit, Walk, common, digits, to_view, weights};
use crate::{
    ir::{
        Graph, Kind, NodeIndex, kind, meta,
        ops::Detach,
        program::RowOp,
        rewrite,
        view::{self, MAX_RANK},
    },
    plan::kernel::Rows,
};
use luminal::prelude::{ShapeTracker, petgraph};
use petgraph::Direction;
use rustc_hash::{FxHashMap, FxHashSet};

/// The nodes of a graph in schedule order.
#[derive(Debug)]
pub struct Flow {
    pub nodes: Vec<Node>,
}

/// A node, or a chain of reductions under its last node's name.
#[derive(Debug)]
pub struct Node {
    pub id: NodeIndex,
    pub work: Work,
    /// Through copies wherever that is a walk.
    pub inputs: Vec<Input>,
    /// As the edges have it.
    pub direct: Vec<Input>,
    /// Sizes that refine what it computes over, so that every input has one stride along each. At most [`MAX_RANK`].
    pub atoms: Vec<usize>,
    /// Elements of each output.
    pub lens: Vec<usize>,
    pub root: bool,
    /// A root, or read by a live node.
    pub live: bool,
    /// The live nodes that read it, ascending.
    pub readers: Vec<usize>,
    pub backward: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    Constant(f32),
    Pointwise(RowOp),
    Reduce(Reduce),
    /// The identity on a view.
    Copy,
    /// Anything else. Walks of its inputs mean nothing.
    Other,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Reduce {
    /// [`RowOp::RowSum`] or [`RowOp::RowMax`].
    pub op: RowOp,
    /// From what the input shows to the element of the result it goes into.
    pub result: Walk,
    /// Runs over the innermost axes of what it reads, and over few enough for a row.
    pub along_rows: bool,
}

#[derive(Debug, Clone)]
pub struct Input {
    /// Index into [`Flow::nodes`].
    pub source: usize,
    pub output: u8,
    pub walk: Walk,
}

impl Flow {
    pub fn of(graph: &Graph) -> Flow {
        let schedule = rewrite::schedule(graph);
        let at: FxHashMap<NodeIndex, usize> =
            schedule.iter().enumerate().map(|(i, &n)| (n, i)).collect();
        let roots: FxHashSet<NodeIndex> = meta(graph).roots.iter().map(|r| r.node).collect();
        let mut flow = Flow {
            nodes: Vec::with_capacity(schedule.len()),
        };
        for &id in &schedule {
            let node = flow.read(graph, id, &at, roots.contains(&id));
            flow.nodes.push(node);
        }
        flow.connect();
        flow
    }

    fn read(
        &self,
        graph: &Graph,
        id: NodeIndex,
        at: &FxHashMap<NodeIndex, usize>,
        root: bool,
    ) -> Node {
        let of = &meta(graph).nodes[&id];
        let edges = rewrite::edges(graph, id);
        let mut node = Node {
            id,
            work: Work::Other,
            inputs: Vec::new(),
            direct: Vec::with_capacity(edges.len()),
            atoms: Vec::new(),
            lens: of.dims.iter().map(|d| d.iter().product()).collect(),
            root,
            live: root,
            readers: Vec::new(),
            backward: of.origin.backward,
        };
        let work = match kind(graph, id) {
            Kind::Constant(x) => Work::Constant(x),
            Kind::Pointwise(op) => Work::Pointwise(op),
            Kind::Copy => Work::Copy,
            Kind::Own(own) if own.get::<Detach>().is_some() => Work::Copy,
            Kind::Reduce(op, axis) => Work::Reduce(Reduce {
                op,
                result: result(edges[0].view, axis),
                along_rows: false,
            }),
            Kind::Own(_) => Work::Other,
        };
        let walks: Option<Vec<Walk>> = match work {
            Work::Other | Work::Constant(_) => None,
            _ => edges.iter().map(|edge| Walk::of(edge.view)).collect(),
        };
        let known = walks.is_some();
        let walks = walks.unwrap_or_else(|| vec![Walk::default(); edges.len()]);
        for (edge, walk) in edges.iter().zip(walks) {
            node.direct.push(Input {
                source: at[&edge.node],
                output: edge.output,
                walk,
            });
        }
        match work {
            Work::Constant(x) => node.work = Work::Constant(x),
            // A pad is no walk.
            _ if !known => node.inputs = node.direct.clone(),
            _ => {
                node.work = work;
                self.join_reductions(graph, &mut node);
                self.look_through(&mut node);
            }
        }
        node
    }

    /// A reduction of a reduction that nothing else reads takes its place.
    fn join_reductions(&self, graph: &Graph, node: &mut Node) {
        let Work::Reduce(reduce) = &mut node.work else {
            return;
        };
        let input = &node.direct[0];
        let source = &self.nodes[input.source];
        if let Work::Reduce(first) = &source.work
            && first.op == reduce.op
            && !source.root
            && graph
                .graph
                .edges_directed(source.id, Direction::Outgoing)
                .count()
                == 1
            && let Some(back) = input.walk.inverse(source.lens[0])
            && let Some(between) = first.result.through(&back)
            && let Some(result) = between.through(&reduce.result)
            && self.atoms(&source.direct, Some(&result)).is_some()
        {
            reduce.result = result;
            node.direct = source.direct.clone();
        }
        reduce.along_rows = along_rows(&node.direct[0].walk, &reduce.result);
    }

    fn look_through(&self, node: &mut Node) {
        let far: Vec<Input> = node
            .direct
            .iter()
            .map(|input| self.behind_copies(input))
            .collect();
        let result = match &node.work {
            Work::Reduce(reduce) => Some(&reduce.result),
            _ => None,
        };
        let near = &node.direct;
        if let Some(atoms) = self.atoms(&far, result) {
            (node.inputs, node.atoms) = (far, atoms);
        } else {
            node.atoms = self
                .atoms(near, result)
                .expect("the axes of a legal node refine the walks of its own edges");
            node.inputs = near.clone();
        }
    }

    fn behind_copies(&self, input: &Input) -> Input {
        let copy = &self.nodes[input.source];
        if copy.work == Work::Copy {
            for behind in copy.inputs.iter().chain(&copy.direct) {
                if let Some(walk) = input.walk.through(&behind.walk) {
                    return Input {
                        walk,
                        ..behind.clone()
                    };
                }
            }
        }
        input.clone()
    }

    /// Sizes along each of which all walks have one stride.
    fn atoms(&self, inputs: &[Input], result: Option<&Walk>) -> Option<Vec<usize>> {
        let walks = inputs.iter().map(|input| &input.walk).chain(result);
        let atoms = common(&walks.map(Walk::sizes).collect::<Vec<_>>())?;
        let seen = |input: &Input| {
            let strides = input.walk.over(&atoms)?;
            let len = self.nodes[input.source].lens[input.output as usize];
            expressible(&atoms, &strides, input.walk.offset, len).then_some(())
        };
        let all: Option<()> = inputs.iter().map(seen).collect();
        all.filter(|()| atoms.len() <= MAX_RANK).map(|()| atoms)
    }

    /// Fills in what is live and who reads whom.
    fn connect(&mut self) {
        for i in (0..self.nodes.len()).rev() {
            if self.nodes[i].live {
                let sources: Vec<usize> = self.nodes[i].inputs.iter().map(|s| s.source).collect();
                for source in sources {
                    self.nodes[source].live = true;
                    if self.nodes[source].readers.last() != Some(&i) {
                        self.nodes[source].readers.push(i);
                    }
                }
            }
        }
        for node in &mut self.nodes {
            node.readers.reverse();
        }
    }
}

impl Node {
    /// What a region may compute.
    pub fn is_fusable(&self) -> bool {
        self.live && matches!(self.work, Work::Pointwise(_) | Work::Reduce(_) | Work::Copy)
    }
}

/// Whether a view over axes of these sizes, or one with a further axis of size 1, can walk a buffer of `len` so.
pub fn expressible(sizes: &[usize], strides: &[usize], offset: usize, len: usize) -> bool {
    let product = |steps: usize, (&size, &stride): (&usize, &usize)| {
        if stride > 0 { steps * size } else { steps }
    };
    let covered = sizes.iter().zip(strides).fold(1, product);
    if offset == 0 && covered == len {
        return sizes.len() <= MAX_RANK;
    }
    to_view(sizes, strides, offset, len).is_some()
        || to_view(
            &[&[1], sizes].concat(),
            &[&[0], strides].concat(),
            offset,
            len,
        )
        .is_some()
}

/// Where each element that a reduction sees goes: it stands still along the axis.
fn result(seen: &ShapeTracker, axis: usize) -> Walk {
    let sizes = view::dims(seen);
    let mut kept = sizes.clone();
    kept.remove(axis);
    let mut strides = weights(&kept);
    strides.insert(axis, 0);
    Walk::new(0, digits(&sizes, &strides))
}

fn along_rows(seen: &Walk, result: &Walk) -> bool {
    let Some(atoms) = common(&[seen.sizes(), result.sizes()]) else {
        return false;
    };
    let (Some(seen), Some(result)) = (seen.over(&atoms), result.over(&atoms)) else {
        return false;
    };
    let of = |reduced: bool| {
        let strides = digits(&atoms, &seen).zip(&result);
        strides.filter_map(move |(digit, &to)| ((to == 0) == reduced).then_some(digit))
    };
    let row: usize = of(true).map(|d: Digit| d.size).product();
    let outermost = of(true).map(|d| d.stride).max().unwrap_or(0);
    let innermost = of(false).map(|d| d.stride).filter(|&s| s > 0).min();
    row <= Rows::MAX_ROW && innermost.is_none_or(|stride| stride > outermost)
}

//! Folds: sums and maxima over other axes than those of a row, with the pointwise nodes that only they read. Folds over the same
//! nest that read the same become one [`Folded`] node: the gradients of a layer norm's weight and bias.

use super::{
    emit::Emitter,
    flow::{Flow, Work},
    regions::{Groups, Layout, Read, Region},
    rows::fuse,
    sums::Sum,
    walk::Walk,
};
use crate::ir::{
    Graph,
    ops::{Folded, Reduction},
    program::RowOp,
};
use rustc_hash::{FxHashMap, FxHashSet};

/// Folds that are tried for the next one to join.
const NEIGHBOURS: usize = 4;

/// Makes a node of every fold, and of every primitive that is left.
pub fn run(graph: &mut Graph) {
    let flow = Flow::of(graph);
    let folds = Folds::of(graph, &flow);
    let wanted = |n: usize| flow.nodes[n].is_fusable() && !folds.adds.contains(&n);
    let mut groups = Groups::new(&flow, wanted);
    for node in (0..flow.nodes.len()).rev() {
        if folds.feeds(node) {
            groups.join_source(flow.nodes[node].readers[0], node);
        }
    }
    folds.join_neighbours(&mut groups, &flow);
    let regions = groups.finish();
    let mut emitter = Emitter::new(graph, &flow);
    for (region, layout) in &regions {
        match layout.folds {
            true => fold(&mut emitter, region, layout, &folds),
            false => fuse(&mut emitter, region, layout),
        }
    }
    emitter.finish();
}

/// The folds of a graph, and what flows into each.
pub struct Folds {
    /// Node -> the fold that alone it is for.
    of: Vec<Option<usize>>,
    /// Fold -> where its result is added.
    sums: FxHashMap<usize, Sum>,
    adds: FxHashSet<usize>,
}

impl Folds {
    pub fn of(graph: &Graph, flow: &Flow) -> Folds {
        let mut folds = Folds {
            of: vec![None; flow.nodes.len()],
            sums: FxHashMap::default(),
            adds: FxHashSet::default(),
        };
        for (i, node) in flow.nodes.iter().enumerate().rev() {
            folds.of[i] = match &node.work {
                Work::Reduce(reduce) if node.live && !reduce.along_rows => Some(i),
                Work::Pointwise(_) if !node.root => {
                    let mut fed = node.readers.iter().map(|&reader| folds.of[reader]);
                    let first = fed.next().flatten();
                    first.filter(|_| fed.all(|other| other == first))
                }
                _ => None,
            };
            if folds.of[i] == Some(i)
                && let Some(sum) = Sum::of(graph, flow, i)
                && flow.nodes[sum.add].inputs[sum.input].walk == Walk::plain(node.lens[0])
            {
                folds.sums.insert(i, sum);
                folds.adds.insert(sum.add);
            }
        }
        folds
    }

    /// Whether a node is for a fold to compute, or a fold's result.
    pub fn holds(&self, node: usize) -> bool {
        self.of[node].is_some() || self.adds.contains(&node)
    }

    fn feeds(&self, node: usize) -> bool {
        self.of[node].is_some_and(|fold| fold != node)
    }

    /// Joins folds that read the same elements.
    fn join_neighbours(&self, groups: &mut Groups, flow: &Flow) {
        let mut readers: FxHashMap<(usize, u8), Vec<usize>> = FxHashMap::default();
        for (fold, node) in flow.nodes.iter().enumerate() {
            if self.of[fold] != Some(fold) {
                continue;
            }
            for read in wide_reads(groups, fold, flow) {
                let others = readers.entry((read.source, read.output)).or_default();
                for &other in others.iter().rev().take(NEIGHBOURS) {
                    let alike = self.sums.contains_key(&other) == self.sums.contains_key(&fold)
                        && flow.nodes[other].backward == node.backward;
                    if alike {
                        join_along(groups, flow, [other, fold], (read.source, read.output));
                    }
                }
                others.push(fold);
            }
        }
    }
}

/// Joins two folds along a buffer that both read.
fn join_along(groups: &mut Groups, flow: &Flow, folds: [usize; 2], buffer: (usize, u8)) {
    let read = |fold: usize| {
        let mut reads = wide_reads(groups, fold, flow).into_iter();
        reads.find(|r| (r.source, r.output) == buffer)
    };
    if let [Some(a), Some(b)] = folds.map(read) {
        groups.join_readers((folds[0], &a), (folds[1], &b));
    }
}

/// What a fold's region reads from outside at every point of its nest.
fn wide_reads(groups: &Groups, fold: usize, flow: &Flow) -> Vec<Read> {
    let Some(region) = groups.region(fold) else {
        return Vec::new();
    };
    let constant = |read: &Read| matches!(flow.nodes[read.source].work, Work::Constant(_));
    let reads = region.members.iter().flat_map(|m| &m.reads);
    reads
        .filter(|r| region.member(r.source).is_none() && !constant(r))
        .filter(|r| region.spans(&r.strides).all(|moves| moves))
        .copied()
        .collect()
}

/// Puts a node in the place of a region that folds.
fn fold(emitter: &mut Emitter, region: &Region, layout: &Layout, folds: &Folds) {
    let flow = emitter.flow();
    let last = region.members.last().expect("a region has members");
    emitter.stand_in_for(last.node);
    let body = emitter.body(region, layout);
    let reduction = |node: &usize| match &flow.nodes[*node].work {
        Work::Reduce(reduce) if reduce.op == RowOp::RowMax => Reduction::Max,
        _ => Reduction::Sum,
    };
    let results = layout.stores.iter().map(|n| (body.values[n], reduction(n)));
    let sums: Vec<Sum> = layout
        .stores
        .iter()
        .filter_map(|n| folds.sums.get(n).copied())
        .collect();
    let op = Folded {
        over: (0..body.reduced).collect(),
        operands: body.operands.len(),
        code: body.code,
        results: results.collect(),
        accumulate: !sums.is_empty(),
        axes: body.axes,
    };
    let mut inputs = body.operands;
    inputs.extend(
        sums.iter()
            .map(|sum| emitter.buffer(sum.accumulator, &op.kept())),
    );
    let adds: Vec<usize> = sums.iter().map(|sum| sum.add).collect();
    let replaced = if adds.is_empty() {
        &layout.stores
    } else {
        &adds
    };
    emitter.put(op, &inputs, replaced);
}

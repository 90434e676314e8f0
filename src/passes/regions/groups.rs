//! Regions grown by joining.

use super::{Layout, Member, Read, Region, Strides, order::Order};
use crate::passes::flow::{Flow, Work};

/// Buffers one region may read: luminal numbers a node's inputs by a byte, and a kernel walks all of them at once.
const MAX_OPERANDS: usize = 64;

/// A partition of the nodes. Nodes that are no region's are on their own.
#[derive(Debug)]
pub struct Groups<'f> {
    flow: &'f Flow,
    order: Order,
    regions: Vec<Option<Region>>,
}

impl<'f> Groups<'f> {
    /// A region for each node that `wanted` says.
    pub fn new(flow: &'f Flow, wanted: impl Fn(usize) -> bool) -> Groups<'f> {
        let single = |node| wanted(node).then(|| Region::single(flow, node));
        Groups {
            flow,
            order: Order::new(flow),
            regions: (0..flow.nodes.len()).map(single).collect(),
        }
    }

    pub fn region(&self, node: usize) -> Option<&Region> {
        self.regions[self.order.group(node)].as_ref()
    }

    /// Joins the region of a node with those of what it reads, the latest first: what comes back through another region then
    /// already has that region inside.
    pub fn join_sources(&mut self, node: usize) {
        let mut reads: Vec<Read> = self
            .region(node)
            .and_then(|region| region.member(node))
            .map(|member| member.reads.clone())
            .unwrap_or_default();
        reads
            .sort_by_key(|read| std::cmp::Reverse(self.order.place(self.order.group(read.source))));
        for read in reads {
            self.join_source(node, read.source);
        }
    }

    /// Joins the region that makes `source` with that of `reader`, which reads it. Whether they are one afterwards.
    pub fn join_source(&mut self, reader: usize, source: usize) -> bool {
        let (made, read) = (self.region(source), self.region(reader));
        let strides = made.zip(read).and_then(|(made, read)| {
            let out = made.member(source)?.out;
            let reads = &read.member(reader)?.reads;
            let read = reads.iter().find(|r| r.source == source && r.offset == 0)?;
            Some((out, read.strides))
        });
        let Some((here, there)) = strides else {
            return false;
        };
        // A forward region that waits for the backward part would keep what it reads alive.
        if self.flow.nodes[source].backward != self.flow.nodes[reader].backward {
            return false;
        }
        self.join((source, here), (reader, there))
    }

    /// Joins two regions that read the same elements of a buffer.
    pub fn join_readers(&mut self, a: (usize, &Read), b: (usize, &Read)) -> bool {
        let same = (a.1.source, a.1.output, a.1.offset) == (b.1.source, b.1.output, b.1.offset);
        same && self.join((a.0, a.1.strides), (b.0, b.1.strides))
    }

    /// The regions in an order in which each can run, with what each stores.
    pub fn finish(self) -> Vec<(Region, Layout)> {
        let mut groups: Vec<usize> = (0..self.regions.len())
            .filter(|&group| self.regions[group].is_some())
            .collect();
        groups.sort_by_key(|&group| self.order.place(group));
        let done = |group: usize| {
            let region = self.regions[group].clone()?;
            let layout = self.layout(&region, [group, group])?;
            Some((region, layout))
        };
        let all = groups.into_iter().map(done);
        let all: Option<Vec<_>> = all.collect();
        all.expect("a region joins only what leaves it a layout, and one node always has one")
    }

    fn join(&mut self, a: (usize, Strides), b: (usize, Strides)) -> bool {
        let (of_a, of_b) = (self.order.group(a.0), self.order.group(b.0));
        if of_a == of_b {
            return true;
        }
        let joint = self.joint((of_a, a.1), (of_b, b.1));
        let Some((joint, name)) =
            joint.and_then(|joint| Some((joint, self.order.join(of_a, of_b, self.flow)?)))
        else {
            return false;
        };
        (self.regions[of_a], self.regions[of_b]) = (None, None);
        self.regions[name] = Some(joint);
        true
    }

    fn joint(&self, a: (usize, Strides), b: (usize, Strides)) -> Option<Region> {
        let (of_a, of_b) = (self.regions[a.0].as_ref()?, self.regions[b.0].as_ref()?);
        let joint = of_a.join(&a.1, of_b, &b.1, self.flow)?;
        let layout = self.layout(&joint, [a.0, b.0])?;
        let sound =
            self.operands(&joint) <= MAX_OPERANDS && repeats_along_rows(of_a, &joint, &layout);
        sound.then_some(joint)
    }

    fn layout(&self, region: &Region, groups: [usize; 2]) -> Option<Layout> {
        Layout::of(region, self.flow, |node| {
            let of = &self.flow.nodes[node];
            let outside = |&reader: &usize| !groups.contains(&self.order.group(reader));
            of.root || of.readers.iter().any(outside)
        })
    }

    fn operands(&self, region: &Region) -> usize {
        let mut reads: Vec<&Read> = region.members.iter().flat_map(|m| &m.reads).collect();
        reads.retain(|read| {
            let constant = matches!(self.flow.nodes[read.source].work, Work::Constant(_));
            !constant && region.member(read.source).is_none()
        });
        if reads.len() > MAX_OPERANDS {
            reads.sort_by_key(|r| (r.source, r.output, r.offset, r.strides));
            reads.dedup_by_key(|r| (r.source, r.output, r.offset, r.strides));
        }
        reads.len()
    }
}

/// A region that joins a larger nest runs again at every point of the axes it did not have: only along the innermost, where
/// kernels compute it once.
fn repeats_along_rows(joined: &Region, joint: &Region, layout: &Layout) -> bool {
    let member = |m: &Member| joint.member(m.node).map(|m| m.out);
    let repeats = |&atom: &usize| {
        let mut outs = joined.members.iter().filter_map(member);
        outs.all(|out| out[atom] == 0) && !joint.atoms[atom].reduced
    };
    let first = layout.order.iter().position(repeats);
    first.is_none_or(|first| {
        let behind = &layout.order[first..];
        behind
            .iter()
            .all(|atom| repeats(atom) || joint.atoms[*atom].reduced)
    })
}

//! Regions: nodes that run in one loop nest. Two regions join along a value that one computes and the other reads: their axes
//! are refined until they match, and axes that only one has stay its own.

mod groups;
mod layout;
mod order;
mod pairs;

pub use groups::Groups;
pub use layout::Layout;
pub use order::Order;

use super::{
    flow::{Flow, Input, Work, expressible},
    walk::weights,
};
use crate::ir::{ops::code::Width, view::MAX_RANK};
use pairs::Pairs;

/// Strides over the atoms of a region; 0 beyond them.
pub type Strides = [usize; MAX_RANK];

/// A loop nest and what runs in it, in schedule order.
#[derive(Debug, Clone)]
pub struct Region {
    pub atoms: Vec<Atom>,
    pub members: Vec<Member>,
}

/// One axis of the nest, in no particular order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Atom {
    pub size: usize,
    /// The region's reductions run over it.
    pub reduced: bool,
}

#[derive(Debug, Clone)]
pub struct Member {
    /// Index into [`Flow::nodes`].
    pub node: usize,
    /// Where in its own buffer the value of a point of the nest lies.
    pub out: Strides,
    /// As [`super::flow::Node::inputs`].
    pub reads: Vec<Read>,
    /// Of the value in the region's code.
    pub width: Width,
}

#[derive(Debug, Clone, Copy)]
pub struct Read {
    pub source: usize,
    pub output: u8,
    pub offset: usize,
    pub strides: Strides,
}

impl Region {
    /// The region of one node.
    pub fn single(flow: &Flow, at: usize) -> Region {
        let node = &flow.nodes[at];
        let out = match &node.work {
            Work::Reduce(reduce) => over(&reduce.result.over(&node.atoms)),
            _ => over(&Some(weights(&node.atoms))),
        };
        let reduces = matches!(node.work, Work::Reduce(_));
        let atom = |(&size, &stride): (&usize, &usize)| Atom {
            size,
            reduced: reduces && stride == 0,
        };
        let atoms = node.atoms.iter().zip(&out).map(atom).collect();
        let read = |input: &Input| Read {
            source: input.source,
            output: input.output,
            offset: input.walk.offset,
            strides: over(&input.walk.over(&node.atoms)),
        };
        let member = Member {
            node: at,
            out,
            reads: node.inputs.iter().map(read).collect(),
            width: Width::Wide,
        };
        let mut region = Region {
            atoms,
            members: vec![member],
        };
        region.measure(flow);
        region
    }

    pub fn member(&self, node: usize) -> Option<&Member> {
        let at = self.members.binary_search_by_key(&node, |m| m.node);
        at.ok().map(|at| &self.members[at])
    }

    pub fn reduces(&self) -> bool {
        self.atoms.iter().any(|a| a.reduced)
    }

    /// Along which atoms a value differs.
    pub fn spans<'a>(&self, strides: &'a Strides) -> impl Iterator<Item = bool> + use<'a> {
        strides[..self.atoms.len()].iter().map(|&stride| stride > 0)
    }

    /// A number for each point of the nest.
    pub fn is_wide(&self, member: &Member) -> bool {
        self.spans(&member.out).all(|moves| moves)
    }

    /// A number for each row.
    pub fn is_per_row(&self, member: &Member) -> bool {
        let mut axes = self.spans(&member.out).zip(&self.atoms);
        axes.all(|(moves, atom)| moves != atom.reduced)
    }

    /// The nest that computes both. In `self` and in `other` the elements of one buffer are met with these strides: they tell
    /// which points of the two nests are the same. `None` where they do not fit together.
    pub fn join(
        &self,
        here: &Strides,
        other: &Region,
        there: &Strides,
        flow: &Flow,
    ) -> Option<Region> {
        let mut joint = Pairs::of(self, here, other, there)?.region(self, other)?;
        joint.measure(flow);
        joint.is_sound(flow).then_some(joint)
    }

    /// What an orphan is computed by, in the nest of the axes along which it differs: the rest is read from where `layout`
    /// stores it.
    pub fn part(&self, orphan: usize, layout: &Layout, flow: &Flow) -> (Region, Layout) {
        let mut nodes = vec![orphan];
        let mut at = 0;
        while let Some(member) = nodes.get(at).and_then(|&node| self.member(node)) {
            for source in member.reads.iter().map(|read| read.source) {
                let inside = self.member(source).is_some() && !layout.stores.contains(&source);
                if inside && !nodes.contains(&source) {
                    nodes.push(source);
                }
            }
            at += 1;
        }
        let spans: Vec<bool> = self
            .member(orphan)
            .map_or(vec![], |m| self.spans(&m.out).collect());
        let kept: Vec<usize> = (0..spans.len()).filter(|&atom| spans[atom]).collect();
        let strides = |old: &Strides| {
            let mut new = [0; MAX_RANK];
            for (to, &from) in kept.iter().enumerate() {
                new[to] = old[from];
            }
            new
        };
        let mut region = self.clone();
        let grid = |&atom: &usize| Atom {
            reduced: false,
            ..self.atoms[atom]
        };
        region.atoms = kept.iter().map(grid).collect();
        region.members.retain(|m| nodes.contains(&m.node));
        for member in &mut region.members {
            member.out = strides(&member.out);
            for read in &mut member.reads {
                read.strides = strides(&read.strides);
            }
        }
        region.measure(flow);
        let layout = Layout::of(&region, flow, |node| node == orphan);
        let layout = layout.expect("an orphan differs along every axis of its own nest");
        (region, layout)
    }

    /// Fills in the widths.
    fn measure(&mut self, flow: &Flow) {
        for i in 0..self.members.len() {
            let (before, rest) = self.members.split_at_mut(i);
            let width = |read: &Read| match before.binary_search_by_key(&read.source, |m| m.node) {
                Ok(at) => before[at].width,
                Err(_) => match flow.nodes[read.source].work {
                    Work::Constant(_) => Width::Any,
                    _ => Width::Wide,
                },
            };
            let widths = rest[0].reads.iter().map(width);
            rest[0].width = match &flow.nodes[rest[0].node].work {
                Work::Reduce(reduce) => Width::of(reduce.op, widths),
                Work::Pointwise(op) => Width::of(*op, widths),
                _ => rest[0].reads.first().map_or(Width::Wide, width),
            };
        }
    }

    /// Values read inside are read where they are made, and the rest can be seen by views.
    fn is_sound(&self, flow: &Flow) -> bool {
        let sizes: Vec<usize> = self.atoms.iter().map(|a| a.size).collect();
        self.members
            .iter()
            .flat_map(|m| &m.reads)
            .all(|read| match self.member(read.source) {
                Some(made) => read.offset == 0 && made.out == read.strides,
                None => {
                    let len = flow.nodes[read.source].lens[read.output as usize];
                    expressible(&sizes, &read.strides[..sizes.len()], read.offset, len)
                }
            })
            && self.is_complete(flow)
            && self.reductions_agree(flow)
    }

    /// Every value keeps all of its elements: a reader of the first row of a tensor must not shrink the nest that makes the
    /// others.
    fn is_complete(&self, flow: &Flow) -> bool {
        self.members.iter().all(|m| {
            let made = self.spans(&m.out).zip(&self.atoms);
            let made = made.filter(|(moves, _)| *moves).map(|(_, atom)| atom.size);
            made.product::<usize>() == flow.nodes[m.node].lens[0]
        })
    }

    /// All reductions run over exactly the reduced atoms.
    fn reductions_agree(&self, flow: &Flow) -> bool {
        let mut reducing = self
            .members
            .iter()
            .filter(|m| matches!(flow.nodes[m.node].work, Work::Reduce(_)));
        reducing.all(|m| self.is_per_row(m))
    }
}

fn over(strides: &Option<Vec<usize>>) -> Strides {
    let strides = strides
        .as_ref()
        .expect("the atoms of a node refine its walks");
    let mut over = [0; MAX_RANK];
    over[..strides.len()].copy_from_slice(strides);
    over
}

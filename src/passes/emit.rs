//! Regions as nodes: the loop nest, operands as views over it, code; then the node in the place of what it computes.

use super::{
    flow::{Flow, Work},
    regions::{Layout, Read, Region},
    walk::{common, to_view},
};
use crate::ir::{
    Graph, NodeIndex, Op, Rewriter, Value, meta,
    program::{Instr, RowOp, ValueId},
    view::{MAX_RANK, plain},
};
use rustc_hash::FxHashMap;

/// Puts nodes in the place of others, of which a [`Flow`] tells as they were before.
pub struct Emitter<'g, 'f> {
    r: Rewriter<'g>,
    flow: &'f Flow,
    /// Where the results of replaced nodes are found.
    made: FxHashMap<usize, (NodeIndex, u8)>,
}

/// What a region is as code. The axes that reductions run over stand at one end.
pub struct Body {
    pub axes: Vec<usize>,
    /// How many of the axes are reduced.
    pub reduced: usize,
    pub operands: Vec<Value>,
    pub code: Vec<Instr>,
    /// Node -> its value; of a reduction in a fold the value that it sums.
    pub values: FxHashMap<usize, ValueId>,
}

/// Elements of a buffer as a region reads them.
type Key = (usize, u8, usize, [usize; MAX_RANK]);

/// A loop nest to see a region's operands over: per axis its size and which piece of which atom it is.
struct Nest {
    sizes: Vec<usize>,
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy)]
struct Piece {
    atom: usize,
    /// Size of the atom's pieces inside this one; 0 for an axis of size 1 that is no atom's.
    inner: usize,
}

impl<'g, 'f> Emitter<'g, 'f> {
    pub fn new(graph: &'g mut Graph, flow: &'f Flow) -> Self {
        Emitter {
            r: Rewriter::new(graph),
            flow,
            made: FxHashMap::default(),
        }
    }

    pub fn flow(&self) -> &'f Flow {
        self.flow
    }

    /// Dims of a node's first output.
    pub fn dims(&self, node: usize) -> &[usize] {
        &meta(self.r.graph()).nodes[&self.flow.nodes[node].id].dims[0]
    }

    /// New nodes stand in for this one from now on.
    pub fn stand_in_for(&mut self, node: usize) {
        self.r.stand_in_for(self.flow.nodes[node].id);
    }

    pub fn rewriter(&mut self) -> &mut Rewriter<'g> {
        &mut self.r
    }

    /// An output's buffer, seen with these strides along axes of these sizes. `None` where no view says it.
    pub fn view(
        &self,
        (node, output): (usize, u8),
        sizes: &[usize],
        strides: &[usize],
        offset: usize,
    ) -> Option<Value> {
        let of = &self.flow.nodes[node];
        let view = to_view(sizes, strides, offset, of.lens[output as usize])?;
        let made = self.made.get(&node).filter(|_| output == 0);
        let (node, output) = made.copied().unwrap_or((of.id, output));
        Some(Value { node, output, view })
    }

    /// The whole buffer of a node's first output, under other dims.
    pub fn buffer(&self, node: usize, dims: &[usize]) -> Value {
        let made = self.made.get(&node).copied();
        let (node, output) = made.unwrap_or((self.flow.nodes[node].id, 0));
        Value {
            node,
            output,
            view: plain(dims),
        }
    }

    /// Adds an operator in the place of `nodes`, of whose results the outputs are the buffers.
    pub fn put(&mut self, op: impl Op, inputs: &[Value], nodes: &[usize]) {
        let results = self.r.op(op, &inputs.iter().collect::<Vec<_>>());
        for (&node, result) in nodes.iter().zip(&results) {
            self.replace(node, result);
        }
    }

    /// Readers of a node's result read `by`, which has the same elements in the same order.
    pub fn replace(&mut self, node: usize, by: &Value) {
        self.r.replace(self.flow.nodes[node].id, 0, by);
        self.made.insert(node, (by.node, by.output));
    }

    /// Removes what nothing needs any more.
    pub fn finish(mut self) {
        self.r.remove_dead();
    }

    pub fn body(&self, region: &Region, layout: &Layout) -> Body {
        let keys = self.keys(region);
        let seen = |nest: &Nest| -> Option<Vec<Value>> {
            let operand = |&(source, output, offset, strides): &Key| {
                self.view((source, output), &nest.sizes, &nest.over(&strides), offset)
            };
            keys.iter().map(operand).collect()
        };
        let nests = self.nests(region, layout);
        let mut found = nests
            .into_iter()
            .filter_map(|nest| Some((seen(&nest)?, nest)));
        let (operands, nest) = found
            .next()
            .expect("regions are joined only where all that they read is expressible");
        let reduced = |piece: &&Piece| piece.inner == 0 || region.atoms[piece.atom].reduced;
        let mut body = Body {
            reduced: match (region.reduces(), layout.folds) {
                (false, _) => 0,
                (true, true) => nest.pieces.iter().take_while(reduced).count(),
                (true, false) => nest.pieces.iter().rev().take_while(reduced).count(),
            },
            axes: nest.sizes,
            operands,
            code: Vec::new(),
            values: FxHashMap::default(),
        };
        self.write(region, &keys, &mut body);
        body
    }

    /// What a region reads from outside, each once.
    fn keys(&self, region: &Region) -> Vec<Key> {
        let mut keys = Vec::new();
        for read in region.members.iter().flat_map(|m| &m.reads) {
            let constant = matches!(self.flow.nodes[read.source].work, Work::Constant(_));
            let key = key(read);
            if !constant && region.member(read.source).is_none() && !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// Nests to try, the most readable first: cut like the dims of a result, and with an axis of size 1 for views that need one.
    fn nests(&self, region: &Region, layout: &Layout) -> Vec<Nest> {
        let coarse: Vec<usize> = layout.order.iter().map(|&a| region.atoms[a].size).collect();
        let fine = common(&[coarse.clone(), self.result_dims(region, layout)]);
        let mut nests = Vec::new();
        for sizes in fine.into_iter().chain([coarse]) {
            if sizes.len() > MAX_RANK {
                continue;
            }
            let nest = Nest::cut(region, &layout.order, sizes);
            let spare = (nest.sizes.len() < MAX_RANK).then(|| nest.with_unit());
            nests.push(nest);
            nests.extend(spare);
        }
        nests
    }

    /// Sizes of the nest's axes as the dims of its first result have them.
    fn result_dims(&self, region: &Region, layout: &Layout) -> Vec<usize> {
        let wide = |n: &&usize| region.member(**n).is_some_and(|m| region.is_wide(m));
        let Some(&node) = layout.stores.iter().find(wide).or(layout.stores.first()) else {
            return Vec::new();
        };
        let mut dims = self.dims(node).to_vec();
        if !wide(&&node) {
            let reduced = layout.order.iter().map(|&atom| region.atoms[atom]);
            let reduced = reduced.filter(|a| a.reduced).map(|a| a.size);
            let first = layout
                .order
                .first()
                .is_some_and(|&a| region.atoms[a].reduced);
            match first {
                true => dims = reduced.chain(dims).collect(),
                false => dims.extend(reduced),
            }
        }
        dims.retain(|&n| n > 1);
        dims
    }

    fn write(&self, region: &Region, keys: &[Key], body: &mut Body) {
        let mut constants: FxHashMap<u32, ValueId> = FxHashMap::default();
        for member in &region.members {
            let mut args = Vec::with_capacity(member.reads.len());
            for read in &member.reads {
                args.push(match self.flow.nodes[read.source].work {
                    Work::Constant(x) => *constants
                        .entry(x.to_bits())
                        .or_insert_with(|| body.push(RowOp::Constant(x), Vec::new())),
                    _ if region.member(read.source).is_some() => body.values[&read.source],
                    _ => place(keys, read),
                });
            }
            let value = match &self.flow.nodes[member.node].work {
                Work::Pointwise(op) => body.push(*op, args),
                Work::Reduce(reduce) if reduce.along_rows => body.push(reduce.op, args),
                _ => args[0],
            };
            body.values.insert(member.node, value);
        }
    }
}

impl Body {
    fn push(&mut self, op: RowOp, args: Vec<ValueId>) -> ValueId {
        self.code.push(Instr { op, args });
        self.operands.len() + self.code.len() - 1
    }
}

impl Nest {
    /// Cuts the atoms in their order into axes of these sizes, which refine them.
    fn cut(region: &Region, order: &[usize], sizes: Vec<usize>) -> Nest {
        let mut pieces = Vec::with_capacity(sizes.len());
        let mut left = sizes.iter().rev();
        for &atom in order.iter().rev() {
            let mut inner = 1;
            while inner < region.atoms[atom].size {
                pieces.push(Piece { atom, inner });
                inner *= left.next().expect("sizes refine the atoms");
            }
        }
        pieces.reverse();
        Nest { sizes, pieces }
    }

    fn with_unit(&self) -> Nest {
        let unit = Piece { atom: 0, inner: 0 };
        Nest {
            sizes: [&[1], &self.sizes[..]].concat(),
            pieces: [&[unit], &self.pieces[..]].concat(),
        }
    }

    fn over(&self, strides: &[usize; MAX_RANK]) -> Vec<usize> {
        self.pieces
            .iter()
            .map(|p| strides[p.atom] * p.inner)
            .collect()
    }
}

fn key(read: &Read) -> Key {
    (read.source, read.output, read.offset, read.strides)
}

fn place(keys: &[Key], read: &Read) -> ValueId {
    let key = key(read);
    let found = keys.iter().position(|k| *k == key);
    found.expect("all that is read from outside was listed")
}

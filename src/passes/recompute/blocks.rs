//! The blocks of a model: parts that repeat, told by their numbers.

use crate::{
    ir::{
        Graph, Kind, NodeIndex, kind, meta,
        ops::{Attention, Contraction},
        rewrite, view,
    },
    passes::forward::Forward,
};
use luminal::prelude::petgraph::Direction::Incoming;
use rustc_hash::{FxHashMap, FxHashSet};

/// What it takes to compute a block's inside again.
pub struct Block {
    /// What is computed again: what is wanted and all that leads to it from outside. Indices into [`Forward::nodes`], ascending.
    pub inside: Vec<usize>,
    /// What the block's gradient reads.
    pub wanted: Vec<usize>,
    /// The first node of the gradient that reads any of it.
    pub reader: NodeIndex,
    /// Bytes that are no longer kept, less those that are kept from now on.
    pub saves: u64,
    /// Operations of computing it again.
    work: u64,
}

impl Block {
    /// Bytes for each operation.
    pub fn worth(&self) -> f64 {
        self.saves as f64 / self.work.max(1) as f64
    }
}

/// Operations that an element is worth which is written and read again.
const ELEMENT: u64 = 32;

/// Those for which it saves memory.
pub fn all(graph: &Graph, forward: &Forward) -> Vec<Block> {
    let mut members: Vec<(Numbered, Vec<usize>)> = Vec::new();
    let mut known: FxHashMap<Numbered, usize> = FxHashMap::default();
    for (at, node) in forward.nodes.iter().enumerate() {
        let Some(block) = numbered(path(graph, node.id)).filter(|_| !node.is_free) else {
            continue;
        };
        let place = *known.entry(block).or_insert_with(|| {
            members.push((block, Vec::new()));
            members.len() - 1
        });
        members[place].1.push(at);
    }
    let alone = |row: &str| known.keys().filter(|block| block.row == row).count() == 1;
    members.retain(|(block, _)| !alone(block.row));
    let homes = homes(graph);
    let members = members.into_iter().filter_map(|(block, members)| {
        let is_home = |reader: &NodeIndex| homes.get(reader) == Some(&Some(block));
        inside(graph, forward, &members, is_home)
    });
    members.collect()
}

/// The innermost part of a path that is one of several, and the row that it stands in: `layers.0.blocks.1.attn` is of
/// `layers.0.blocks.1` in `layers.0.blocks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Numbered<'p> {
    row: &'p str,
    path: &'p str,
}

fn path(graph: &Graph, node: NodeIndex) -> &str {
    &meta(graph).nodes[&node].origin.path
}

fn numbered(path: &str) -> Option<Numbered<'_>> {
    let mut end = path.len();
    loop {
        let start = path[..end].rfind('.')?;
        if path[start + 1..end].bytes().all(|b| b.is_ascii_digit()) {
            let (row, path) = (&path[..start], &path[..end]);
            return Some(Numbered { row, path });
        }
        end = start;
    }
}

/// For the gradient of which block each node of the backward part is computed: of its own, but what is only a value of the forward
/// part once more, of those that read it. `None` where there are several, or none.
fn homes(graph: &Graph) -> FxHashMap<NodeIndex, Option<Numbered<'_>>> {
    let table = meta(graph);
    let clones = table.history.all_clones();
    let backward = |node: &NodeIndex| table.nodes[node].origin.backward;
    let schedule: Vec<NodeIndex> = rewrite::schedule(graph)
        .into_iter()
        .filter(backward)
        .collect();
    let mut once_more: FxHashSet<NodeIndex> = FxHashSet::default();
    for &node in &schedule {
        let sources = graph.graph.neighbors_directed(node, Incoming);
        let mut sources = sources.filter(backward).peekable();
        let of_such = sources.peek().is_some() && sources.all(|s| once_more.contains(&s));
        if of_such || clones.contains(&table.nodes[&node].number()) {
            once_more.insert(node);
        }
    }
    let mut homes: FxHashMap<NodeIndex, Option<Numbered>> = FxHashMap::default();
    for &node in schedule.iter().rev() {
        let home = match once_more.contains(&node) {
            false => numbered(path(graph, node)),
            true => {
                let readers = graph.graph.neighbors(node);
                let mut of_readers = readers.map(|r| homes.get(&r).copied().flatten());
                let first = of_readers.next().flatten();
                first.filter(|first| of_readers.all(|other| other == Some(*first)))
            }
        };
        homes.insert(node, home);
    }
    homes
}

/// Of a block with these nodes, with the gradient that `is_home` tells.
fn inside(
    graph: &Graph,
    forward: &Forward,
    members: &[usize],
    is_home: impl Fn(&NodeIndex) -> bool,
) -> Option<Block> {
    let within = |at: &usize| members.binary_search(at).is_ok();
    // What leaves the block, into the next one or its gradient, is kept where it is needed.
    let stays = |&at: &usize| {
        let mut readers = graph.graph.neighbors(forward.nodes[at].id);
        readers.all(|reader| match forward.at.get(&reader) {
            Some(reader) => within(reader),
            None => is_home(&reader),
        })
    };
    let read = members.iter().copied();
    let wanted: Vec<usize> = read
        .filter(|&at| forward.nodes[at].is_read())
        .filter(stays)
        .collect();
    let reader = wanted.iter().filter_map(|&at| forward.nodes[at].reader);
    let reader = reader.min()?.node;

    let kept = |at: usize| forward.nodes[at].is_read() && wanted.binary_search(&at).is_err();
    let mut inside = wanted.clone();
    let mut fed: Vec<usize> = Vec::new();
    let mut seen: FxHashSet<usize> = wanted.iter().copied().collect();
    let mut next = 0;
    while let Some(&at) = inside.get(next) {
        next += 1;
        for &source in &forward.nodes[at].sources {
            if forward.nodes[source].is_free || !seen.insert(source) {
                continue;
            }
            match within(&source) && !kept(source) {
                true => inside.push(source),
                false => fed.push(source),
            }
        }
    }
    inside.sort_unstable();

    let bytes = |at: &usize| forward.nodes[*at].bytes;
    let freed: u64 = wanted.iter().map(bytes).sum();
    let newly = fed.iter().filter(|at| !forward.nodes[**at].is_read());
    let saves = freed.checked_sub(newly.map(bytes).sum())?;
    let work = inside.iter().map(|&at| work(graph, forward, at)).sum();
    (saves > 0).then_some(Block {
        inside,
        wanted,
        reader,
        saves,
        work,
    })
}

/// Operations of a node's products, and what its elements are worth.
fn work(graph: &Graph, forward: &Forward, at: usize) -> u64 {
    let node = &forward.nodes[at];
    let products = match kind(graph, node.id) {
        Kind::Own(own) if own.get::<Contraction>().is_some() => {
            let sizes = own.get::<Contraction>().map(|op| &op.sizes);
            2 * sizes.into_iter().flatten().product::<usize>() as u64
        }
        Kind::Own(own) if own.get::<Attention>().is_some() => {
            // Every query meets every key, and both products are as wide as a head.
            let edges = rewrite::edges(graph, node.id);
            let dims = view::dims(edges[0].view);
            let keys = view::dims(edges[1].view);
            let tokens = keys[keys.len() - 2];
            4 * (dims.iter().product::<usize>() * tokens) as u64
        }
        _ => 0,
    };
    products + ELEMENT * node.bytes / 4
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn the_innermost_number_counts() {
        for (path, expected) in [
            (
                "layers.0.blocks.1.attn",
                Some(("layers.0.blocks", "layers.0.blocks.1")),
            ),
            ("layers.0.merge", Some(("layers", "layers.0"))),
            (
                "encoder.blocks.12",
                Some(("encoder.blocks", "encoder.blocks.12")),
            ),
            ("encoder.norm", None),
            ("encoder", None),
        ] {
            assert_eq!(numbered(path).map(|of| (of.row, of.path)), expected);
        }
    }
}

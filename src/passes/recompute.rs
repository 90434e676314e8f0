//! Recomputation: of a block that repeats, only what flows into it is kept. The backward part computes its inside again, right
//! before the gradient of the block, and lets go of it behind.
//!
//! Rematerialisation, which comes before, keeps what takes work to make; this pass gives some of that up too, a whole block at a
//! time, and as many blocks as it is asked to free bytes. What is computed again are clones of the forward part's own nodes, on
//! the same inputs and the same draws, so no bit of the gradient changes.
//!
//! It runs behind everything that decides what a value is, its precision included, and before what decides with which others it is
//! computed.

mod blocks;

use super::forward::Forward;
use crate::ir::{Graph, NodeIndex, Origin, Rewriter, meta, rewrite};
use blocks::Block;
use rustc_hash::FxHashMap;

/// How much is to be computed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recompute {
    /// As many blocks as free so many bytes.
    Bytes(u64),
    /// So many blocks, or all where there are fewer.
    Blocks(usize),
}

impl Recompute {
    /// Everything is kept that is not cheap.
    pub const NOTHING: Recompute = Recompute::Blocks(0);
    /// Every block is computed again.
    pub const ALL: Recompute = Recompute::Blocks(usize::MAX);

    fn is_reached(self, so_far: Recomputed) -> bool {
        match self {
            Recompute::Bytes(bytes) => so_far.freed >= bytes,
            Recompute::Blocks(blocks) => so_far.blocks >= blocks,
        }
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recomputed {
    /// Blocks whose inside is computed again.
    pub blocks: usize,
    /// Blocks that could be.
    pub of: usize,
    /// Bytes that the most that is held at once falls by, as far as the blocks tell.
    pub freed: u64,
}

/// Computes blocks again, those first that free the most for their work.
pub fn run(graph: &mut Graph, much: Recompute) -> Recomputed {
    if much == Recompute::NOTHING {
        return Recomputed::default();
    }
    let forward = Forward::of(graph);
    let blocks = blocks::all(graph, &forward);
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    // Of equals the first: its inside would be kept longest.
    order.sort_by(|&a, &b| blocks[b].worth().total_cmp(&blocks[a].worth()));
    let mut done = Recomputed {
        of: blocks.len(),
        ..Recomputed::default()
    };
    let mut taken = vec![false; blocks.len()];
    let saves = || blocks.iter().map(|block| block.saves);
    for at in order {
        if much.is_reached(done) {
            break;
        }
        taken[at] = true;
        again(graph, &forward, &blocks[at]);
        done.blocks += 1;
        let with = held(saves().zip(taken.iter().copied()));
        done.freed = held(saves().map(|bytes| (bytes, false))) - with;
    }
    Rewriter::new(graph).remove_dead();
    done
}

/// The most that is held at once of the insides of blocks, of each its bytes and whether it is computed again. When the gradient
/// of one is computed, its own inside is there, and those of the blocks before it that are kept.
fn held(blocks: impl Iterator<Item = (u64, bool)>) -> u64 {
    let (mut before, mut most) = (0, 0);
    for (bytes, again) in blocks {
        most = most.max(before + bytes);
        before += if again { 0 } else { bytes };
    }
    most
}

/// Puts clones of a block's inside before the first of its gradient, and has the gradient read them.
fn again(graph: &mut Graph, forward: &Forward, block: &Block) {
    let mut clones: FxHashMap<NodeIndex, NodeIndex> = FxHashMap::default();
    for &at in &block.inside {
        let node = forward.nodes[at].id;
        let mut inputs = rewrite::sources(graph, node);
        for input in &mut inputs {
            if let Some(&clone) = clones.get(&input.node) {
                input.node = clone;
            }
        }
        let path = meta(graph).nodes[&node].origin.path.clone();
        let mut r = Rewriter::new(graph);
        r.stand_in_for(block.reader);
        r.set_origin(Origin {
            path,
            backward: true,
        });
        clones.insert(node, r.again(node, &inputs));
    }
    let mut r = Rewriter::new(graph);
    for &at in &block.wanted {
        let node = forward.nodes[at].id;
        r.hand_over(node, clones[&node], |reader| reader.backward);
    }
}

#[cfg(test)]
mod tests {
    use super::held;

    #[test]
    fn the_inside_of_a_block_is_held_while_its_gradient_is_computed() {
        for (again, expected) in [
            ([false, false, false], 10),
            // Its gradient comes last, when nothing else is left.
            ([true, false, false], 5),
            // Its gradient comes first, when everything is there.
            ([false, false, true], 10),
            ([false, true, true], 8),
            ([true, true, true], 5),
        ] {
            assert_eq!(
                held([5, 3, 2].into_iter().zip(again)),
                expected,
                "{again:?}"
            );
        }
    }
}

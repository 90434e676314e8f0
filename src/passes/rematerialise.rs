//! Rematerialisation: what the backward part can cheaply compute again is not kept for it.
//!
//! The gradient reads whatever the rules of single operators name: of a chain of pointwise nodes often each value, where one
//! would do. Which are kept is decided stage by stage, as a minimum cut between what cannot be computed again and what the
//! backward part reads; it gets clones of the nodes behind the cut. To keep all that is read is one of the cuts, and no other
//! is taken unless it keeps less, so memory never grows.

mod cut;

use super::forward::{Forward, Reader};
use crate::ir::{Graph, NodeIndex, Origin, Rewriter, meta, rewrite};
use cut::{Cut, END, START, WHOLE};

/// What a byte costs: kept for the backward part; written for it alone, where the forward part has no need to store it; computed
/// again. A clone saves at least a thirty-second of its own size.
const KEPT: u64 = 32;
const WRITTEN: u64 = 4;
const COMPUTED: u64 = 1;

/// What the backward part finds of a forward value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Cloned,
    Gone,
}

pub fn run(graph: &mut Graph) {
    let forward = Forward::of(graph);
    let fates = fates(&forward);
    clone(graph, &forward, &fates);
    Rewriter::new(graph).remove_dead();
}

/// Decides for each node. A clone reads clones of its own stage, which are needed at about the same time, but of earlier stages
/// only what is kept: clones of those would live from here to where their own stage needs them.
fn fates(forward: &Forward) -> Vec<Fate> {
    let mut fates: Vec<Fate> = forward
        .nodes
        .iter()
        .map(|node| match node.is_free || node.is_read() {
            true => Fate::Kept,
            false => Fate::Gone,
        })
        .collect();
    for stage in forward.stages() {
        let cut = decide(forward, &stage, &fates);
        let bytes = |fates: &mut dyn Iterator<Item = (usize, Fate)>| -> u64 {
            let kept = fates.filter(|(_, fate)| *fate == Fate::Kept);
            kept.map(|(at, _)| forward.nodes[at].bytes).sum()
        };
        let before = bytes(&mut stage.iter().map(|&at| (at, fates[at])));
        let after = bytes(&mut stage.iter().copied().zip(cut.iter().copied()));
        if after < before {
            for (&at, &fate) in stage.iter().zip(&cut) {
                fates[at] = fate;
            }
        }
    }
    fates
}

/// The cheapest cut of a stage. A node is two vertices, so that what is kept is an edge between them: made, and at hand.
fn decide(forward: &Forward, stage: &[usize], fates: &[Fate]) -> Vec<Fate> {
    let made = |place: usize| 2 * place + 2;
    let at_hand = |place: usize| 2 * place + 3;
    let mut cut = Cut::default();
    for (place, &at) in stage.iter().enumerate() {
        let node = &forward.nodes[at];
        let price = if node.is_stored { KEPT } else { KEPT + WRITTEN };
        cut.edge(made(place), at_hand(place), price * node.bytes);
        if node.is_read() {
            cut.edge(at_hand(place), END, WHOLE);
        }
        if !node.is_cheap {
            cut.edge(START, made(place), WHOLE);
            continue;
        }
        cut.edge(START, made(place), COMPUTED * node.bytes);
        for &source in &node.sources {
            match stage.binary_search(&source) {
                Ok(inside) => cut.edge(at_hand(inside), made(place), WHOLE),
                Err(_) if fates[source] == Fate::Kept => {}
                Err(_) => cut.edge(START, made(place), WHOLE),
            }
        }
    }
    let behind = cut.behind();
    let fate = |place: usize| match (behind[made(place)], behind[at_hand(place)]) {
        (true, _) => Fate::Cloned,
        (false, true) => Fate::Kept,
        (false, false) => Fate::Gone,
    };
    (0..stage.len()).map(fate).collect()
}

/// Puts the clones where the backward part first needs them.
fn clone(graph: &mut Graph, forward: &Forward, fates: &[Fate]) {
    let first = first_readers(forward, fates);
    let mut clones: Vec<Option<NodeIndex>> = vec![None; forward.nodes.len()];
    for (at, node) in forward.nodes.iter().enumerate() {
        let Some(reader) = first[at] else {
            continue;
        };
        let mut inputs = rewrite::sources(graph, node.id);
        for input in &mut inputs {
            let source = forward.at[&input.node];
            if let Some(clone) = clones[source] {
                input.node = clone;
            }
        }
        let path = meta(graph).nodes[&node.id].origin.path.clone();
        let mut r = Rewriter::new(graph);
        r.stand_in_for(reader);
        r.set_origin(Origin {
            path,
            backward: true,
        });
        let clone = r.again(node.id, &inputs);
        r.hand_over(node.id, clone, |reader| reader.backward);
        clones[at] = Some(clone);
    }
}

/// Of each clone the node of the backward part that first needs it.
fn first_readers(forward: &Forward, fates: &[Fate]) -> Vec<Option<NodeIndex>> {
    let mut first: Vec<Option<Reader>> = vec![None; forward.nodes.len()];
    for (at, node) in forward.nodes.iter().enumerate().rev() {
        if fates[at] != Fate::Cloned {
            continue;
        }
        let earliest = [first[at], node.reader].into_iter().flatten().min();
        first[at] = earliest;
        for &source in &node.sources {
            if fates[source] == Fate::Cloned && forward.nodes[source].stage == node.stage {
                first[source] = [first[source], earliest].into_iter().flatten().min();
            }
        }
    }
    first.into_iter().map(|reader| Some(reader?.node)).collect()
}

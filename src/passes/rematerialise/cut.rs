//! Minimum cuts.

use petgraph::{algo::ford_fulkerson, graph::DiGraph, visit::EdgeRef};

pub const START: usize = 0;
pub const END: usize = 1;
/// The capacity of an edge that is never cut.
pub const WHOLE: u64 = u64::MAX / 2;

/// A network between [`START`] and [`END`].
#[derive(Debug, Default)]
pub struct Cut {
    edges: Vec<(u32, u32, u64)>,
}

impl Cut {
    pub fn edge(&mut self, from: usize, to: usize, capacity: u64) {
        self.edges.push((from as u32, to as u32, capacity));
    }

    /// Whether each vertex is on the side of the end, in the minimum cut that leaves the least there.
    pub fn behind(self) -> Vec<bool> {
        let network = DiGraph::<(), u64>::from_edges(self.edges.iter().chain(&[(0, 1, 0)]));
        let [start, end] = [START, END].map(|vertex| (vertex as u32).into());
        let (_, flows) = ford_fulkerson(&network, start, end);
        let mut behind = vec![false; network.node_count()];
        let mut open = vec![end];
        while let Some(vertex) = open.pop() {
            if std::mem::replace(&mut behind[vertex.index()], true) {
                continue;
            }
            let (incoming, outgoing) = (petgraph::Incoming, petgraph::Outgoing);
            let unfilled = network
                .edges_directed(vertex, incoming)
                .filter(|e| flows[e.id().index()] < *e.weight());
            let undone = network
                .edges_directed(vertex, outgoing)
                .filter(|e| flows[e.id().index()] > 0);
            open.extend(unfilled.map(|e| e.source()));
            open.extend(undone.map(|e| e.target()));
        }
        behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_edges_are_cut_and_of_two_cuts_the_later() {
        let mut cut = Cut::default();
        // Two ways that part behind 2, and one of two equal edges.
        for (from, to, capacity) in [
            (START, 2, 9),
            (2, 3, 4),
            (2, 4, 6),
            (3, END, WHOLE),
            (4, END, 7),
            (START, 5, 1),
            (5, END, 1),
        ] {
            cut.edge(from, to, capacity);
        }
        assert_eq!(cut.behind(), [false, true, true, true, true, false]);
    }
}

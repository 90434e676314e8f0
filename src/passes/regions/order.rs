//! Groups of nodes in an order that stays topological while groups are joined: after Pearce & Kelly, "A dynamic topological sort
//! algorithm for directed acyclic graphs" (2006), with joining in place of adding an edge.

use crate::passes::flow::Flow;
use std::collections::VecDeque;

/// Groups that may be visited to find out whether two can be joined; beyond it the answer is no. Regions are local: this bounds
/// the time for nodes far apart.
const BUDGET: usize = 256;

#[derive(Debug)]
pub struct Order {
    /// Node -> group.
    of: Vec<usize>,
    groups: Vec<Vec<usize>>,
    /// Group -> place. A group that another reads from has a smaller one.
    place: Vec<usize>,
}

impl Order {
    /// Every node on its own.
    pub fn new(flow: &Flow) -> Order {
        let all = 0..flow.nodes.len();
        Order {
            of: all.clone().collect(),
            groups: all.clone().map(|node| vec![node]).collect(),
            place: all.collect(),
        }
    }

    pub fn group(&self, node: usize) -> usize {
        self.of[node]
    }

    pub fn place(&self, group: usize) -> usize {
        self.place[group]
    }

    /// Makes two groups one, named as the one that came later. `None`, and nothing changes, where what one makes comes back to
    /// the other through a third, or where finding out takes too long.
    pub fn join(&mut self, a: usize, b: usize, flow: &Flow) -> Option<usize> {
        let (first, last) = match self.place[a] < self.place[b] {
            true => (a, b),
            false => (b, a),
        };
        // What must come behind the joint group, and what before it.
        let behind = self.reach(first, last, |node| flow.nodes[node].readers.clone(), false)?;
        let before = self.reach(last, first, |node| sources(flow, node), true)?;
        let mut places: Vec<usize> = behind
            .iter()
            .chain(&before)
            .map(|&g| self.place[g])
            .collect();
        places.extend([self.place[first], self.place[last]]);
        places.sort_unstable();
        let joint = [last];
        let all = before.iter().chain(&joint).chain(&behind);
        for (&group, place) in all.zip(places) {
            self.place[group] = place;
        }
        let moved = std::mem::take(&mut self.groups[first]);
        for &node in &moved {
            self.of[node] = last;
        }
        self.groups[last].extend(moved);
        Some(last)
    }

    /// The groups reached from `from`, in their order, between the places of both. `None` if `to` is among what they reach.
    fn reach(
        &self,
        from: usize,
        to: usize,
        next: impl Fn(usize) -> Vec<usize>,
        backwards: bool,
    ) -> Option<Vec<usize>> {
        let limit = self.place[to];
        let within = |group: usize| match backwards {
            true => self.place[group] > limit,
            false => self.place[group] < limit,
        };
        let mut found = Vec::new();
        let mut open = VecDeque::from([from]);
        while let Some(group) = open.pop_front() {
            for node in self.groups[group].iter().flat_map(|&node| next(node)) {
                let reached = self.of[node];
                if reached == to && group != from {
                    return None;
                }
                if reached != to && reached != from && within(reached) && !found.contains(&reached)
                {
                    found.push(reached);
                    open.push_back(reached);
                }
            }
            if found.len() > BUDGET {
                return None;
            }
        }
        found.sort_by_key(|&group| self.place[group]);
        Some(found)
    }
}

fn sources(flow: &Flow, node: usize) -> Vec<usize> {
    flow.nodes[node]
        .inputs
        .iter()
        .map(|input| input.source)
        .collect()
}

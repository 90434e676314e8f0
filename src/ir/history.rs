//! What became of each node while passes changed a graph: by it a kernel tells which nodes of the model it computes.
//!
//! Nodes go by the numbers of their creation ([`NodeMeta::number`](super::meta::NodeMeta::number)): luminal gives the index of
//! a removed node to a later one.

use rustc_hash::{FxHashMap, FxHashSet};

/// Kept by the [`Rewriter`](super::Rewriter) in the side table of the graph.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// A node that is gone, and one that stands in its place or computes it on the way to its own result.
    became: FxHashMap<usize, Vec<usize>>,
    /// A node, and another that does the same a second time.
    again: FxHashMap<usize, Vec<usize>>,
}

impl History {
    pub(super) fn replaced(&mut self, node: usize, by: usize) {
        note(&mut self.became, node, by);
    }

    /// `node` dies with a reader that is gone as well; if it was replaced, that says more.
    pub(super) fn died_with(&mut self, node: usize, reader: usize) {
        note(&mut self.became, node, reader);
    }

    pub(super) fn is_replaced(&self, node: usize) -> bool {
        self.became.contains_key(&node)
    }

    pub(super) fn repeated(&mut self, node: usize, clone: usize) {
        note(&mut self.again, node, clone);
    }

    /// The nodes for which `lives` holds that compute a node now, sorted: itself, or what it became.
    pub fn heirs(&self, node: usize, lives: impl Fn(usize) -> bool) -> Vec<usize> {
        let (mut seen, mut open) = (FxHashSet::default(), vec![node]);
        let mut heirs = Vec::new();
        while let Some(node) = open.pop() {
            if !seen.insert(node) {
                continue;
            }
            match self.became.get(&node) {
                _ if lives(node) => heirs.push(node),
                Some(became) => open.extend(became),
                None => {}
            }
        }
        heirs.sort_unstable();
        heirs
    }

    /// All clones.
    pub fn all_clones(&self) -> FxHashSet<usize> {
        self.again.values().flatten().copied().collect()
    }

    /// The clones of a node, and theirs.
    pub fn clones(&self, node: usize) -> Vec<usize> {
        let mut clones = Vec::new();
        let mut open = vec![node];
        while let Some(more) = open.pop().and_then(|node| self.again.get(&node)) {
            clones.extend(more);
            open.extend(more);
        }
        clones
    }
}

fn note(map: &mut FxHashMap<usize, Vec<usize>>, key: usize, value: usize) {
    let values = map.entry(key).or_default();
    if key != value && !values.contains(&value) {
        values.push(value);
    }
}

#[cfg(test)]
mod tests {
    use crate::ir::{NodeIndex, Rewriter, Value, meta, new_graph, ops::InputKind};

    #[test]
    fn what_is_inside_goes_with_its_readers_and_what_is_replaced_with_its_stand_in() {
        let mut graph = new_graph(1);
        let mut r = Rewriter::new(&mut graph);
        let x = r.input("x", &[4], InputKind::Feed);
        let inside = r.sqrt(&x);
        let (sum, product) = (r.add(&inside, &x), r.mul(&inside, &x));
        r.add_root("sum", &sum);
        r.add_root("product", &product);
        let number = |r: &Rewriter, value: &Value| meta(r.graph()).nodes[&value.node].number();
        let [inner, first, second] = [&inside, &sum, &product].map(|value| number(&r, value));

        // Two nodes that stand for whatever computes the two results in one go.
        let (a, b) = (r.exp(&x), r.log(&x));
        let [a_number, b_number] = [&a, &b].map(|value| number(&r, value));
        r.replace(sum.node, 0, &a);
        r.replace(product.node, 0, &b);
        r.remove_dead();

        let table = meta(&graph);
        let alive = |number: usize| {
            let mut numbers = table.nodes.values().map(|node| node.number());
            numbers.any(|alive| alive == number)
        };
        let heirs = |number| table.history.heirs(number, alive);
        assert_eq!(heirs(first), [a_number]);
        assert_eq!(heirs(second), [b_number]);
        assert_eq!(heirs(inner), [a_number, b_number]);
        assert_eq!(heirs(a_number), [a_number], "it lives");
        assert_ne!(graph.graph.node_indices().count(), 0);
    }

    #[test]
    fn a_clone_is_known_by_its_original() {
        let mut graph = new_graph(1);
        let mut r = Rewriter::new(&mut graph);
        let x = r.input("x", &[4], InputKind::Feed);
        let root = r.sqrt(&x);
        let clone = r.again(root.node, &[x]);
        let number = |node: NodeIndex| meta(&graph).nodes[&node].number();
        let history = &meta(&graph).history;
        assert_eq!(history.clones(number(root.node)), [number(clone)]);
        assert!(history.clones(number(clone)).is_empty());
    }
}

//! Steps stand in the order they depend on each other, and none on itself.

use super::GraphFile;
use crate::{
    diagnostic::Diagnostic,
    language::expression::{Expr, ExprKind, Spanned},
};
use std::collections::{HashMap, HashSet, VecDeque};

/// More than this many are not reported, which also bounds the time a hostile file takes.
const ENOUGH: usize = 20;

/// What a `taken` name means is not known, so nothing depends on it.
pub fn check(graph: &GraphFile, taken: &HashSet<&str>) -> Vec<Diagnostic> {
    let nodes = Nodes::new(graph, taken);
    let mut found = Vec::new();
    let mut in_circle = HashSet::new();
    for node in 0..nodes.names.len() {
        if found.len() >= ENOUGH {
            break;
        }
        if in_circle.contains(&node) {
            continue;
        }
        if let Some(circle) = nodes.path(node, node) {
            in_circle.extend(circle.iter().copied());
            found.push(nodes.circle(&circle));
        } else {
            found.extend(nodes.later_steps(node));
        }
    }
    found
}

/// The weights and after them the steps of a file, with what each one names.
struct Nodes<'a> {
    names: Vec<&'a Spanned<String>>,
    weights: usize,
    uses: Vec<Vec<(usize, &'a Expr)>>,
}

impl<'a> Nodes<'a> {
    fn new(graph: &'a GraphFile, taken: &HashSet<&str>) -> Self {
        let weights = graph.weights.iter().map(|weight| &weight.name);
        let names: Vec<_> = weights
            .chain(graph.steps.iter().map(|step| &step.name))
            .collect();
        let places: HashMap<_, _> = names
            .iter()
            .enumerate()
            .map(|(i, name)| (name.value.as_str(), i))
            .filter(|(name, _)| !taken.contains(name))
            .collect();
        let of_weights = graph.weights.iter().map(|weight| weight.exprs().collect());
        let of_steps = graph.steps.iter().map(|step| step.body.exprs());
        let uses = of_weights.chain(of_steps).map(|exprs: Vec<&Expr>| {
            let mut uses = Vec::new();
            for expr in exprs {
                expr.walk(&mut |part| {
                    if let ExprKind::Name(name) = &part.kind {
                        uses.extend(places.get(name.as_str()).map(|&place| (place, part)));
                    }
                });
            }
            uses
        });
        Nodes {
            uses: uses.collect(),
            weights: graph.weights.len(),
            names,
        }
    }

    /// A shortest way along uses, both ends included; from a node to itself one that leaves it.
    fn path(&self, from: usize, to: usize) -> Option<Vec<usize>> {
        let mut came_from = HashMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(node) = queue.pop_front() {
            for &(next, _) in &self.uses[node] {
                if next == to {
                    let mut path = vec![to, node];
                    while let Some(&before) = came_from.get(path.last().unwrap_or(&from)) {
                        path.push(before);
                    }
                    path.reverse();
                    return Some(path);
                }
                if next != from && !came_from.contains_key(&next) {
                    came_from.insert(next, node);
                    queue.push_back(next);
                }
            }
        }
        None
    }

    fn circle(&self, circle: &[usize]) -> Diagnostic {
        let names: Vec<_> = circle
            .iter()
            .map(|&node| format!("`{}`", self.names[node].value))
            .collect();
        let message = format!("a value needs itself: {}", names.join(" needs "));
        Diagnostic::error("circle", message).at(&self.names[circle[0]].span)
    }

    /// The steps that stand below a step that uses them.
    fn later_steps(&self, node: usize) -> Vec<Diagnostic> {
        let later = |&&(used, _): &&(usize, _)| node >= self.weights && used > node;
        let uses = self.uses[node].iter().filter(later);
        let error = |&(used, place): &(usize, &Expr)| {
            let name = &self.names[used];
            let message = format!("`{}` is used before the step that makes it", name.value);
            Diagnostic::error("out-of-order", message)
                .at(&place.span)
                .note_at(format!("the step `{}`", name.value), &name.span)
                .help("steps stand in the order they depend on each other")
        };
        uses.map(error).collect()
    }
}

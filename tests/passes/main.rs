//! Fusion: what it makes of small graphs computes the same by the reference executor, and is as few nodes as can be.

mod cases;
mod contractions;
mod epilogues;
mod models;
mod random;
mod rematerialise;
mod rows;
mod stage;
mod values;

use mimc::{
    backend::reference,
    ir::{
        Graph, Kind, Rewriter, kind, new_graph,
        ops::{Input, InputKind},
        print, rewrite,
        verify::verify,
    },
    passes::{self, PASSES},
    random::Key,
};
use std::collections::BTreeMap;

/// The graph after the passes of these names. Panics unless it is legal after each and every root has the values it had before.
pub fn fused(build: impl Fn(&mut Rewriter), names: &[&str]) -> Graph {
    let graph = || {
        let mut graph = new_graph(2);
        build(&mut Rewriter::new(&mut graph));
        graph
    };
    passed(graph, names)
}

/// As [`fused`], of a whole graph.
pub fn passed(graph: impl Fn() -> Graph, names: &[&str]) -> Graph {
    let before = reference::run(&graph(), &leaf);
    let mut graph = graph();
    verify(&graph).expect("the graph is legal");
    for name in names {
        let pass = PASSES.iter().find(|pass| pass.name == *name);
        let pass = pass.expect("the pass is in the list");
        if let Err(broken) = passes::run(&[*pass], &mut graph) {
            panic!("{broken}\n{}", print::print(&graph));
        }
        let after = reference::run(&graph, &leaf);
        for (name, values) in &before {
            let difference = difference(values, &after[name]);
            assert!(
                difference < 1e-4,
                "{name} differs by {difference}\n{}",
                print::print(&graph)
            );
        }
    }
    graph
}

/// Largest difference, relative to the largest value.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().all(|x| x.is_finite()), "the case itself is sound");
    let largest = a.iter().fold(1e-3, |m: f32, x| m.max(x.abs()));
    let difference = |(x, y): (&f32, &f32)| {
        if y.is_nan() {
            f32::INFINITY
        } else {
            (x - y).abs()
        }
    };
    a.iter().zip(b).map(difference).fold(0.0, f32::max) / largest
}

/// Sixteenths in [-1, 1), or in [0, 1) for draws, so that sums are exact in any order; a function of the name.
pub fn leaf(input: &Input) -> Vec<f32> {
    let key = Key::new(1)
        .with(&input.name)
        .with(&format!("{:?}", input.kind));
    let (scale, shift) = match input.kind {
        InputKind::Draw { .. } => (1.0, 0.0),
        _ => (2.0, -1.0),
    };
    let count: usize = input.dims.iter().product();
    let number = |i| scale * key.uniform_f32(i) + shift;
    (0..count as u64)
        .map(|i| (number(i) * 16.0).floor() / 16.0)
        .collect()
}

/// How many nodes of each kind there are, leaves and constants aside: `{"contract": 1, "fused": 2}`.
pub fn counts(graph: &Graph) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for node in rewrite::schedule(graph) {
        let name = match kind(graph, node) {
            Kind::Constant(_) => continue,
            Kind::Own(own) if own.get::<Input>().is_some() => continue,
            Kind::Own(own) => own
                .0
                .label()
                .split(['[', ' '])
                .next()
                .unwrap_or_default()
                .to_string(),
            other => format!("{other:?}"),
        };
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// Panics with the listing unless there are so many nodes of each kind.
pub fn assert_counts(graph: &Graph, expected: &[(&str, usize)]) {
    let expected: BTreeMap<String, usize> =
        expected.iter().map(|(n, c)| (n.to_string(), *c)).collect();
    assert_eq!(counts(graph), expected, "\n{}", print::print(graph));
}

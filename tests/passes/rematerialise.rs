//! Rematerialisation: what the gradient keeps of the forward part, before and after.

use crate::{assert_counts, models::*, passed};
use mimc::{
    gradient::differentiate,
    ir::{
        Graph, Rewriter, Value, meta, new_graph,
        ops::{Input, InputKind, own},
        print, rewrite,
    },
};
use std::collections::BTreeMap;

const CLEAN: [&str; 3] = ["fold constants", "merge duplicates", "remove dead nodes"];
const DIMS: [usize; 3] = [2, 3, 4];
const WIDE: [usize; 3] = [2, 3, 16];
const ROW: [usize; 2] = [2, 3];

struct Case {
    name: &'static str,
    /// What is multiplied by a feed and summed to be the loss.
    build: fn(&mut Rewriter) -> Value,
    /// Dims of the values that are kept for the backward part, and how many there are of them.
    before: &'static [(&'static [usize], usize)],
    after: &'static [(&'static [usize], usize)],
}

const CASES: [Case; 7] = [
    Case {
        name: "a GELU keeps what it is of",
        build: mlp,
        before: &[(&WIDE, 4)],
        after: &[(&WIDE, 1)],
    },
    Case {
        // The deviation is a number per row, and stays.
        name: "a layer norm keeps one value of each element",
        build: |r| {
            let h = first(r, "h", 4);
            let y = norm(r, &h);
            layer(r, "y", &y, 4)
        },
        before: &[(&ROW, 1), (&DIMS, 3)],
        after: &[(&ROW, 1), (&DIMS, 1)],
    },
    Case {
        name: "masks are drawn again",
        build: |r| {
            let h = first(r, "h", 4);
            let draw = r.input("draw", &DIMS, InputKind::Draw { per_sample: true });
            dropout(r, &h, &draw, 0.3)
        },
        before: &[(&DIMS, 1)],
        after: &[],
    },
    Case {
        name: "one of two wide values would be kept for one",
        build: |r| {
            let (a, b) = (first(r, "a", 4), first(r, "b", 4));
            let sum = r.add(&a, &b);
            r.exp(&sum)
        },
        before: &[(&DIMS, 1)],
        after: &[(&DIMS, 1)],
    },
    Case {
        name: "a wide value would be kept for a narrow one",
        build: |r| {
            let wide = first(r, "wide", 16);
            let narrow = r.slice(&wide, 2, 4, 8);
            let y = r.exp(&narrow);
            r.mul(&y, &narrow)
        },
        before: &[(&DIMS, 2)],
        after: &[(&DIMS, 1)],
    },
    Case {
        // All of them from the first would keep even less, but have each clone live to the end.
        name: "every second sum of a residual chain is computed again",
        build: |r| {
            let mut h = first(r, "h", 4);
            for name in ["a", "b", "c", "d"] {
                let branch = layer(r, name, &h, 4);
                let scale = weight(r, &format!("{name}.scale"), &[4]);
                let branch = r.mul(&branch, &scale);
                h = r.add(&h, &branch);
            }
            h
        },
        before: &[(&DIMS, 8)],
        after: &[(&DIMS, 6)],
    },
    Case {
        name: "results are kept anyway",
        build: |r| {
            let h = first(r, "h", 4);
            let y = gelu(r, &h);
            r.add_root("h", &h);
            layer(r, "y", &y, 4)
        },
        before: &[(&DIMS, 4)],
        after: &[],
    },
];

#[test]
fn the_backward_part_keeps_as_little_as_it_can() {
    for case in &CASES {
        for (names, expected) in [
            (&CLEAN[..], case.before),
            (&[&CLEAN[..], &["rematerialise"]].concat(), case.after),
        ] {
            let graph = passed(|| trained(case.build), names);
            let expected: BTreeMap<Vec<usize>, usize> =
                expected.iter().map(|(d, n)| (d.to_vec(), *n)).collect();
            assert_eq!(
                kept(&graph),
                expected,
                "{}\n{}",
                case.name,
                print::print(&graph)
            );
        }
    }
}

#[test]
fn merging_does_not_come_behind() {
    let names = [&CLEAN[..], &["rematerialise", "rematerialise"]].concat();
    let once = passed(|| trained(mlp), &names[..4]);
    let twice = passed(|| trained(mlp), &names);
    assert_eq!(print::print(&once), print::print(&twice));
    let all = mimc::passes::PASSES.iter().map(|pass| pass.name);
    let last = |name: &str| all.clone().position(|n| n == name);
    assert!(last("merge duplicates") < last("rematerialise"));
}

#[test]
fn clones_join_the_kernels_of_the_backward_part() {
    let all: Vec<&str> = mimc::passes::PASSES.iter().map(|pass| pass.name).collect();
    // Two products and the gradients of two weights and of what is between them, sums for two biases, the loss.
    let graph = passed(|| trained(mlp), &all);
    assert_counts(&graph, &[("contract", 5), ("fold", 2), ("fused", 1)]);
}

/// A model with a loss and the gradients of its weights.
fn trained(build: fn(&mut Rewriter) -> Value) -> Graph {
    let mut graph = new_graph(2);
    let mut r = Rewriter::new(&mut graph);
    let y = build(&mut r);
    let slope = feed(&mut r, "slope", &y.dims());
    let loss = r.mul(&y, &slope);
    let loss = sum_over(&mut r, &loss, 3);
    r.add_root("loss", &loss);
    differentiate(&mut graph, 1).expect("the loss is a number");
    graph
}

/// A layer on what is fed.
fn first(r: &mut Rewriter, name: &str, out: usize) -> Value {
    let x = feed(r, "x", &DIMS);
    layer(r, name, &x, out)
}

fn layer(r: &mut Rewriter, name: &str, x: &Value, out: usize) -> Value {
    let width = x.dims()[x.rank() - 1];
    let w = weight(r, &format!("{name}.weight"), &[out, width]);
    let b = weight(r, &format!("{name}.bias"), &[out]);
    let product = linear(r, x, &w);
    r.add(&product, &b)
}

fn norm(r: &mut Rewriter, x: &Value) -> Value {
    let (w, b) = (weight(r, "norm.weight", &[4]), weight(r, "norm.bias", &[4]));
    layer_norm(r, x, &w, &b).y
}

fn mlp(r: &mut Rewriter) -> Value {
    let hidden = first(r, "fc1", 16);
    let hidden = gelu(r, &hidden);
    layer(r, "fc2", &hidden, 4)
}

/// Dims, without those of 1, of what the backward part reads of the forward part, leaves and results aside.
fn kept(graph: &Graph) -> BTreeMap<Vec<usize>, usize> {
    let table = meta(graph);
    let backward = |node| table.nodes[&node].origin.backward;
    let free = |node| {
        own::<Input>(graph, node).is_some()
            || rewrite::sources(graph, node).is_empty()
            || table.roots.iter().any(|r| r.node == node)
    };
    let mut kept = BTreeMap::new();
    for node in rewrite::schedule(graph) {
        let mut readers = rewrite::readers(graph, node).into_iter();
        if !backward(node) && !free(node) && readers.any(|(reader, ..)| backward(reader)) {
            let mut dims = table.nodes[&node].dims[0].clone();
            dims.retain(|&n| n > 1);
            *kept.entry(dims).or_default() += 1;
        }
    }
    kept
}

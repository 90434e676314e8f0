//! Contractions.

use crate::{assert_counts, fused, models::*};
use mimc::ir::{
    Graph, NodeIndex, Value,
    ops::{Contraction, Role, own},
    rewrite, view,
};

/// The contractions of a graph in schedule order.
fn found(graph: &Graph) -> Vec<(NodeIndex, Contraction)> {
    let nodes = rewrite::schedule(graph).into_iter();
    nodes
        .filter_map(|n| Some((n, own::<Contraction>(graph, n)?.clone())))
        .collect()
}

#[test]
fn a_linear_layer_and_its_gradients_are_three_contractions() {
    let graph = fused(
        |r| {
            let (x, dy) = (feed(r, "x", &[2, 3, 4]), feed(r, "dy", &[2, 3, 6]));
            let w = weight(r, "w", &[6, 4]);
            let y = linear(r, &x, &w);
            r.add_root("y", &y);
            let dx = linear(r, &dy, &w.permute(&[1, 0]));
            r.add_root("dx", &dx);
            // Over both token axes, as the product has them.
            let product = r.mul(&dy.expand(3, 4), &x.expand(2, 6));
            let dw = sum_over(r, &product, 2);
            gradient(r, "w", &dw);
        },
        &["contractions"],
    );
    assert_counts(&graph, &[("contract", 3)]);
    let ops = found(&graph);
    assert!(ops.iter().all(|(_, op)| !op.roles.contains(&Role::Batch)));
    let added: Vec<_> = ops.iter().filter(|(_, op)| op.accumulate).collect();
    assert_eq!(added.len(), 1);
    assert_eq!(added[0].1.product_dims(), [6, 4]);
}

#[test]
fn attention_scores_are_batched_and_read_slices() {
    let graph = fused(
        |r| {
            // [batch, token, 3, head, width]
            let qkv = feed(r, "qkv", &[2, 5, 3, 2, 4]);
            let part = |r: &mut mimc::ir::Rewriter, i: usize| {
                let part = r.slice(&qkv, 2, i, i + 1).squeeze(2);
                r.contiguous(&part.permute(&[0, 2, 1, 3]))
            };
            let (q, k, v) = (part(r, 0), part(r, 1), part(r, 2));
            let scores = r.mul(&q.expand(3, 5), &k.expand(2, 5));
            let scores = r.sum(&scores, 4);
            r.add_root("scores", &scores);
            let mixed = r.mul(&scores.expand(4, 4), &v.expand(2, 5));
            let mixed = r.sum(&mixed, 3).permute(&[0, 2, 1, 3]);
            let mixed = r.contiguous(&mixed);
            r.add_root("mixed", &mixed);
        },
        &["contractions"],
    );
    // The heads go back to their places with the product.
    assert_counts(&graph, &[("contract", 2)]);
    for (node, op) in found(&graph) {
        assert_eq!(op.roles.iter().filter(|r| **r == Role::Batch).count(), 2);
        let from: Vec<Value> = rewrite::sources(&graph, node);
        assert!(view::is_sliced(&from[1].view));
    }
}

#[test]
fn a_weight_stored_the_other_way_round_still_accumulates() {
    let graph = fused(
        |r| {
            let (x, dy) = (feed(r, "x", &[7, 4]), feed(r, "dy", &[7, 6]));
            let product = r.mul(&dy.expand(2, 4), &x.expand(1, 6));
            let dw = r.sum(&product, 0);
            gradient(r, "w", &dw.permute(&[1, 0]));
        },
        &["contractions"],
    );
    assert_counts(&graph, &[("contract", 1)]);
    assert_eq!(found(&graph)[0].1.product_dims(), [4, 6]);
}

#[test]
fn axes_that_are_no_single_loop_are_copied() {
    let graph = fused(
        |r| {
            // Rows of which every second is left out; columns in another order than the other operand's.
            let x = feed(r, "x", &[4, 2, 3, 5]);
            let x = r.slice(&x, 1, 0, 1).squeeze(1);
            let w = weight(r, "w", &[5, 3, 6]);
            let a = x.expand(3, 6);
            let b = w.permute(&[1, 0, 2]).expand(0, 4);
            let product = r.mul(&a, &b);
            let y = r.sum(&product, 2);
            let y = r.sum(&y, 1);
            r.add_root("y", &y);
        },
        &["contractions"],
    );
    assert_counts(&graph, &[("contract", 1), ("Copy", 1)]);
}

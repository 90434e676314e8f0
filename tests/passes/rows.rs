//! Row programs and folds.

use crate::{assert_counts, fused, models::*};
use mimc::ir::{ops::InputKind, view};

const DIMS: [usize; 3] = [2, 5, 8];

#[test]
fn layer_norm_backward_is_one_row_program_and_one_fold() {
    let graph = fused(
        |r| {
            let (x, dy) = (feed(r, "x", &DIMS), feed(r, "dy", &DIMS));
            let (w, b) = (weight(r, "w", &[8]), weight(r, "b", &[8]));
            let norm = layer_norm(r, &x, &w, &b);
            r.add_root("y", &norm.y);
            let origin = mimc::ir::Origin {
                path: "".into(),
                backward: true,
            };
            r.set_origin(origin);
            let [dx, dw, db] = layer_norm_backward(r, &norm, &w, &dy);
            r.add_root("dx", &dx);
            gradient(r, "w", &dw);
            gradient(r, "b", &db);
        },
        &["rows", "folds"],
    );
    assert_counts(&graph, &[("fold", 1), ("fused", 2)]);
}

#[test]
fn softmax_is_one_node() {
    let graph = fused(
        |r| {
            let x = feed(r, "x", &[2, 3, 4, 6]);
            let y = softmax(r, &x);
            r.add_root("y", &y);
        },
        &["rows"],
    );
    assert_counts(&graph, &[("fused", 1)]);
}

#[test]
fn residual_drop_path_and_the_next_norm_share_a_node() {
    let graph = fused(
        |r| {
            let (x, branch) = (feed(r, "x", &DIMS), feed(r, "branch", &DIMS));
            let (w, b) = (weight(r, "w", &[8]), weight(r, "b", &[8]));
            let draw = r.input("draw", &[2], InputKind::Draw { per_sample: true });
            let draw = draw.expand(1, 1).expand(2, 1);
            let branch = dropout(r, &branch, &draw, 0.3);
            let h = r.add(&x, &branch);
            let y = layer_norm(r, &h, &w, &b).y;
            r.add_root("h", &h);
            r.add_root("y", &y);
        },
        &["rows"],
    );
    assert_counts(&graph, &[("fused", 1)]);
}

#[test]
fn window_partitions_are_views() {
    let graph = fused(
        |r| {
            // Four windows of 2 x 3 of a 4 x 6 grid; the reverse way reads them.
            let x = feed(r, "x", &[2, 4, 6, 8]);
            let cut = |v: &mimc::ir::Value| {
                let seen =
                    view::split(&v.view, 1, &[2, 2]).and_then(|s| view::split(&s, 3, &[2, 3]));
                v.through(view::permute(&seen.expect("rank 6"), &[0, 1, 3, 2, 4, 5]))
            };
            let windows = r.reshape(&cut(&x), &[2, 4, 6, 8]);
            let y = r.exp(&windows);
            let back = y
                .through(view::plain(&[2, 2, 2, 2, 3, 8]))
                .permute(&[0, 1, 3, 2, 4, 5]);
            let back = r.reshape(&back, &[2, 4, 6, 8]);
            let h = r.add(&x, &back);
            r.add_root("h", &h);
        },
        &["rows"],
    );
    assert_counts(&graph, &[("fused", 1)]);
}

#[test]
fn copies_and_slices_feed_without_a_copy() {
    let graph = fused(
        |r| {
            let x = feed(r, "x", &[2, 3, 4]);
            let (a, b) = (r.slice(&x, 1, 0, 1), r.slice(&x, 1, 2, 3));
            let y = r.mul(&a, &b);
            r.add_root("y", &y);
            let column = r.slice(&x, 2, 1, 2);
            let column = r.exp(&column);
            r.add_root("column", &column);
            let turned = r.contiguous(&x.permute(&[2, 0, 1]));
            r.add_root("turned", &turned);
        },
        &["rows"],
    );
    assert_counts(&graph, &[("fused", 3)]);
}

#[test]
fn sums_of_a_loss_fold() {
    let graph = fused(
        |r| {
            // More elements than a row may have.
            let (x, y) = (feed(r, "x", &[3, 4, 2048]), feed(r, "y", &[3, 4, 2048]));
            let hidden = feed(r, "mask", &[3]).expand(1, 4).expand(2, 2048);
            let error = r.sub(&x, &y);
            let square = r.mul(&error, &error);
            let masked = r.mul(&square, &hidden);
            let total = sum_over(r, &masked, 3);
            let count = sum_over(r, &hidden, 3);
            let loss = r.div(&total, &count);
            r.add_root("loss", &loss);
        },
        &["rows", "folds"],
    );
    assert_counts(&graph, &[("fold", 2), ("fused", 1)]);
}

#[test]
fn the_mask_token_learns_from_one_fold() {
    let graph = fused(
        |r| {
            let (dy, mask) = (feed(r, "dy", &[2, 4, 6, 8]), feed(r, "mask", &[2, 2, 3]));
            // Each unit of the mask covers 2 x 2 tokens.
            let hidden = mask.expand(2, 2).expand(4, 2);
            let hidden = r.reshape(&hidden, &[2, 4, 6, 1]);
            let hidden = wide(&hidden, &[2, 4, 6, 8]);
            let by_token = r.mul(&dy, &hidden);
            let token = sum_over(r, &by_token, 3);
            let token = token.through(view::plain(&[1, 1, 8]));
            gradient(r, "token", &token);
            let visible = r.neg(&hidden);
            let visible = r.offset(&visible, 1.0);
            let dx = r.mul(&dy, &visible);
            r.add_root("dx", &dx);
        },
        &["rows", "folds"],
    );
    assert_counts(&graph, &[("fold", 1), ("fused", 1)]);
}

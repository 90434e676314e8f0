//! Epilogues, and everything together.

use crate::{assert_counts, fused, models::*};
use mimc::ir::{Origin, Rewriter, Value, ops::InputKind};

const ALL: [&str; 4] = ["contractions", "rows", "folds", "epilogues"];
const DIMS: [usize; 3] = [2, 3, 4];

fn layer(r: &mut Rewriter, name: &str, x: &Value, out: usize) -> Value {
    let width = x.dims()[x.rank() - 1];
    let w = weight(r, &format!("{name}.weight"), &[out, width]);
    let b = weight(r, &format!("{name}.bias"), &[out]);
    let product = linear(r, x, &w);
    r.add(&product, &b)
}

#[test]
fn a_block_of_an_mlp_is_three_nodes() {
    let graph = fused(
        |r| {
            let x = feed(r, "x", &DIMS);
            let (w, b) = (weight(r, "w", &[4]), weight(r, "b", &[4]));
            let norm = layer_norm(r, &x, &w, &b).y;
            let hidden = layer(r, "fc1", &norm, 16);
            let act = gelu(r, &hidden);
            let branch = layer(r, "fc2", &act, 4);
            let draw = r.input("draw", &[2], InputKind::Draw { per_sample: true });
            let draw = draw.expand(1, 1).expand(2, 1);
            let branch = dropout(r, &branch, &draw, 0.3);
            let h = r.add(&x, &branch);
            r.add_root("h", &h);
            let (w, b) = (weight(r, "w2", &[4]), weight(r, "b2", &[4]));
            let next = layer_norm(r, &h, &w, &b).y;
            r.add_root("next", &next);
        },
        &ALL,
    );
    assert_counts(&graph, &[("contract", 2), ("fused", 1)]);
}

#[test]
fn the_gradient_of_an_mlp_stores_no_copies() {
    let graph = fused(
        |r| {
            let (x, dy) = (feed(r, "x", &DIMS), feed(r, "dy", &DIMS));
            let hidden = layer(r, "fc1", &x, 8);
            let y = gelu(r, &hidden);
            let y = layer(r, "fc2", &y, 4);
            r.add_root("y", &y);
            r.set_origin(Origin {
                path: "".into(),
                backward: true,
            });
            // d gelu = Φ(x) + x φ(x), of which the tests need no more than the shape.
            let w2 = weight(r, "fc2.weight", &[4, 8]);
            let d_act = linear(r, &dy, &w2.permute(&[1, 0]));
            let slope = r.exp(&hidden);
            let d_hidden = r.mul(&d_act, &slope);
            let product = r.mul(&d_hidden.expand(3, 4), &x.expand(2, 8));
            let dw = sum_over(r, &product, 2);
            gradient(r, "fc1.weight", &dw);
            let db = sum_over(r, &d_hidden, 2);
            gradient(r, "fc1.bias", &db);
            let w1 = weight(r, "fc1.weight", &[8, 4]);
            let dx = linear(r, &d_hidden, &w1.permute(&[1, 0]));
            r.add_root("dx", &dx);
        },
        &ALL,
    );
    assert_counts(&graph, &[("contract", 5), ("fold", 1)]);
}

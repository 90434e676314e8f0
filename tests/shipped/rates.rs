//! Stochastic depth, as the blocks of the elaborated graphs have it.

use super::{elaborated, loaded};
use mimc::ir::{
    Kind, kind,
    ops::{Input, InputKind, own},
    program::RowOp,
    rewrite::{readers, schedule, sources},
};

/// Where one number is drawn per image, and the rate below which it skips, in the order of the blocks.
fn rates(recipe: &str, sets: &[&str]) -> Vec<(String, f32)> {
    let graph = elaborated(&loaded(recipe, sets)).graph;
    let mut found = Vec::new();
    for node in schedule(&graph) {
        let Some(draw) = own::<Input>(&graph, node) else {
            continue;
        };
        if draw.kind != (InputKind::Draw { per_sample: true }) || draw.dims.len() != 1 {
            continue;
        }
        let [(less, ..)] = readers(&graph, node)[..] else {
            panic!("{} is read once", draw.name);
        };
        assert!(matches!(kind(&graph, less), Kind::Pointwise(RowOp::Less)));
        let Kind::Constant(rate) = kind(&graph, sources(&graph, less)[1].node) else {
            panic!("{} is compared with a number", draw.name);
        };
        found.push((draw.name.clone(), rate));
    }
    found
}

/// Two branches a block, and none in the first, whose rate is 0.
fn assert_rising(found: &[(String, f32)], blocks: &[String], rate: f64) {
    let last = blocks.len() - 1;
    assert_eq!(found.len(), 2 * last, "{found:?}");
    for (at, block) in blocks.iter().enumerate().skip(1) {
        let want = rate * at as f64 / last as f64;
        for ((name, got), branch) in found[2 * (at - 1)..][..2].iter().zip(["h", "y"]) {
            assert_eq!(*name, format!("{block}.{branch}"));
            assert!(
                (*got as f64 - want).abs() < 1e-7,
                "{name}: {got}, wanted {want}"
            );
        }
    }
}

#[test]
fn rates_of_tokens_rise_linearly_over_the_blocks() {
    // The official run: twelve blocks, up to 0.1.
    let blocks: Vec<_> = (0..12).map(|i| format!("encoder.blocks.{i}")).collect();
    assert_rising(&rates("vit_b", &[]), &blocks, 0.1);
    let sets = ["model.encoder.depth=4", "model.encoder.drop_path=0.45"];
    assert_rising(&rates("vit_s", &sets), &blocks[..4], 0.45);
    let sets = ["model.encoder.depth=1"];
    assert_eq!(rates("vit_s", &sets), [], "a single block is the first");
}

#[test]
fn rates_of_windows_rise_linearly_over_the_blocks_of_all_stages() {
    let blocks = |depths: &[usize]| -> Vec<String> {
        let stage = |(stage, &depth): (usize, &usize)| {
            (0..depth).map(move |i| format!("encoder.layers.{stage}.blocks.{i}"))
        };
        depths.iter().enumerate().flat_map(stage).collect()
    };
    let sets = ["model.encoder.drop_path=0.2"];
    assert_rising(&rates("swin_b", &sets), &blocks(&[2, 2, 18, 2]), 0.2);
    let sets = [
        "model.encoder.drop_path=0.5",
        "model.encoder.depths=[1, 3, 2]",
        "model.encoder.heads=[2, 4, 8]",
    ];
    assert_rising(&rates("quickstart", &sets), &blocks(&[1, 3, 2]), 0.5);
    assert_eq!(rates("swin_b", &[]), [], "the official run has none");
}

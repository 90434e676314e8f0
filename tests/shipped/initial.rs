//! How every weight of the shipped models starts, read from a program that is ready to train.

use super::loaded;
use mimc::{
    backend::BACKENDS,
    compile::{Options, compile},
    language::library::Library,
    train::step::Part,
};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Start {
    Fill(f64),
    /// By standard deviation.
    Normal(f64),
    /// A normal of this deviation, cut there.
    CutAtOne(f64),
    /// A [`Start::CutAtOne`] over √(2 layer), layers counted from 1.
    Deeper(f64),
    /// On both sides of 0, within one over the root of how many inputs an output has.
    FanIn(usize),
}
use Start::*;

/// What is left of the deviation of a normal that is cut at one: √(1 - 2 φ(1) / (2 Φ(1) - 1)).
const CUT: f64 = 0.539_560;

/// Weights, the numbers in their paths as `N`.
type Table = &'static [(&'static str, Start)];

const WINDOWS: Table = &[
    ("encoder.mask_token", Normal(0.02)),
    ("encoder.patch_embed.proj.weight", FanIn(3 * 4 * 4)),
    ("encoder.patch_embed.proj.bias", FanIn(3 * 4 * 4)),
    ("encoder.patch_embed.norm.weight", Fill(1.0)),
    ("encoder.patch_embed.norm.bias", Fill(0.0)),
    ("encoder.layers.N.blocks.N.norm1.weight", Fill(1.0)),
    ("encoder.layers.N.blocks.N.norm1.bias", Fill(0.0)),
    (
        "encoder.layers.N.blocks.N.attn.relative_position_bias_table",
        Normal(0.02),
    ),
    ("encoder.layers.N.blocks.N.attn.qkv.weight", Normal(0.02)),
    ("encoder.layers.N.blocks.N.attn.qkv.bias", Fill(0.0)),
    ("encoder.layers.N.blocks.N.attn.proj.weight", Normal(0.02)),
    ("encoder.layers.N.blocks.N.attn.proj.bias", Fill(0.0)),
    ("encoder.layers.N.blocks.N.norm2.weight", Fill(1.0)),
    ("encoder.layers.N.blocks.N.norm2.bias", Fill(0.0)),
    ("encoder.layers.N.blocks.N.mlp.fc1.weight", Normal(0.02)),
    ("encoder.layers.N.blocks.N.mlp.fc1.bias", Fill(0.0)),
    ("encoder.layers.N.blocks.N.mlp.fc2.weight", Normal(0.02)),
    ("encoder.layers.N.blocks.N.mlp.fc2.bias", Fill(0.0)),
    ("encoder.layers.N.downsample.norm.weight", Fill(1.0)),
    ("encoder.layers.N.downsample.norm.bias", Fill(0.0)),
    ("encoder.layers.N.downsample.reduction.weight", Normal(0.02)),
    ("encoder.norm.weight", Fill(1.0)),
    ("encoder.norm.bias", Fill(0.0)),
    ("decoder.N.weight", FanIn(192)),
    ("decoder.N.bias", FanIn(192)),
];

const TOKENS: Table = &[
    ("encoder.cls_token", CutAtOne(0.02)),
    ("encoder.mask_token", CutAtOne(0.02)),
    ("encoder.patch_embed.proj.weight", CutAtOne(0.02)),
    ("encoder.patch_embed.proj.bias", Fill(0.0)),
    (
        "encoder.rel_pos_bias.relative_position_bias_table",
        Fill(0.0),
    ),
    ("encoder.blocks.N.gamma_1", Fill(0.1)),
    ("encoder.blocks.N.gamma_2", Fill(0.1)),
    ("encoder.blocks.N.norm1.weight", Fill(1.0)),
    ("encoder.blocks.N.norm1.bias", Fill(0.0)),
    ("encoder.blocks.N.attn.q_bias", Fill(0.0)),
    ("encoder.blocks.N.attn.v_bias", Fill(0.0)),
    ("encoder.blocks.N.attn.qkv.weight", CutAtOne(0.02)),
    ("encoder.blocks.N.attn.proj.weight", Deeper(0.02)),
    ("encoder.blocks.N.attn.proj.bias", Fill(0.0)),
    ("encoder.blocks.N.norm2.weight", Fill(1.0)),
    ("encoder.blocks.N.norm2.bias", Fill(0.0)),
    ("encoder.blocks.N.mlp.fc1.weight", CutAtOne(0.02)),
    ("encoder.blocks.N.mlp.fc1.bias", Fill(0.0)),
    ("encoder.blocks.N.mlp.fc2.weight", Deeper(0.02)),
    ("encoder.blocks.N.mlp.fc2.bias", Fill(0.0)),
    ("encoder.norm.weight", Fill(1.0)),
    ("encoder.norm.bias", Fill(0.0)),
    ("decoder.N.weight", FanIn(384)),
    ("decoder.N.bias", FanIn(384)),
];

/// Mean, deviation and largest value without its sign.
fn moments(values: &[f32]) -> (f64, f64, f64) {
    let n = values.len() as f64;
    let wide = || values.iter().map(|&x| x as f64);
    let mean = wide().sum::<f64>() / n;
    let spread = wide().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    (
        mean,
        spread.sqrt(),
        wide().fold(0.0, |most, x| x.abs().max(most)),
    )
}

fn assert_starts(name: &str, values: &[f32], start: Start) {
    let n = values.len() as f64;
    let (mean, spread, most) = moments(values);
    let (expected, bound) = match start {
        Fill(value) => {
            return assert!(
                values.iter().all(|&x| x == value as f32),
                "{name}: {mean} ± {spread}"
            );
        }
        Normal(std) => (std, f64::INFINITY),
        CutAtOne(std) => (CUT * std, std),
        Deeper(_) => unreachable!("resolved by layer"),
        FanIn(inputs) => {
            let bound = 1.0 / (inputs as f64).sqrt();
            (bound / 3f64.sqrt(), bound)
        }
    };
    // Five standard errors; those of the deviation are a normal's, the largest of the three.
    assert!(
        mean.abs() <= 5.0 * expected / n.sqrt(),
        "{name}: mean {mean}"
    );
    let off = (spread / expected - 1.0).abs();
    assert!(
        off <= 5.0 / (2.0 * n).sqrt(),
        "{name}: deviation {spread}, wanted {expected}"
    );
    assert!(
        most <= bound * (1.0 + 1e-6),
        "{name}: up to {most}, wanted {bound}"
    );
    if bound.is_finite() {
        assert!(most > 0.9 * bound, "{name}: never beyond {most} of {bound}");
    } else if n >= 1000.0 {
        assert!(most > 2.5 * expected, "{name}: cut at {most}");
    }
}

fn assert_model_starts(recipe: &str, sets: &[&str], table: Table) {
    let recipe = loaded(recipe, sets);
    let program = compile(&recipe, &Library::new(&[]), &Options::default());
    let program = program.unwrap_or_else(|error| panic!("{error}"));
    let step = program
        .prepare(BACKENDS[0], recipe.train.seed)
        .expect("a small plan fits any machine");
    let mut seen = vec![false; table.len()];
    for (index, weight) in step.weights().iter().enumerate() {
        let mut layer = None;
        let part = |part: &str| match part.parse::<u32>() {
            Ok(number) => {
                layer.get_or_insert(number + 1);
                "N".to_owned()
            }
            Err(_) => part.to_owned(),
        };
        let pattern = weight
            .name
            .split('.')
            .map(part)
            .collect::<Vec<_>>()
            .join(".");
        let row = table.iter().position(|(name, _)| *name == pattern);
        let row = row.unwrap_or_else(|| panic!("{} is in no row", weight.name));
        seen[row] = true;
        let start = match (table[row].1, layer) {
            (Deeper(std), Some(layer)) => CutAtOne(std / f64::from(2 * layer).sqrt()),
            (start, _) => start,
        };
        let mut values = vec![0.0; weight.len()];
        step.read(Part::Value, index, &mut values).expect("held");
        assert_starts(&weight.name, &values, start);
    }
    let missing: Vec<_> = table.iter().zip(seen).filter(|(_, seen)| !seen).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn weights_of_windowed_models_start_as_the_official_ones() {
    let sets = [
        "model.encoder.depths=[2, 2]",
        "model.encoder.heads=[3, 6]",
        "model.masking.unit=16",
        "data.size=48",
        "train.batch=1",
    ];
    assert_model_starts("swin_t", &sets, WINDOWS);
}

#[test]
fn weights_of_token_models_start_as_the_official_ones() {
    let sets = ["model.encoder.depth=3", "data.size=64", "train.batch=1"];
    assert_model_starts("vit_s", &sets, TOKENS);
}

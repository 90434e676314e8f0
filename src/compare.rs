//! Two recipes side by side: what really differs once both are compiled.

use crate::{
    compile::Program,
    elaborate::Weight,
    recipe::Recipe,
    train::changes::{Settings, settings},
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What differs between two compiled recipes, `a` and `b`.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// Whether both elaborate to the same graph, name for name and size for size, whatever their texts say. The number of
    /// images computed at once does not count.
    pub same_graph: bool,
    /// Whether both train to the same bits.
    pub same_run: bool,
    /// Keys of the resolved recipes with different values; `null` where one has no such key.
    pub settings: Vec<Setting>,
    /// Sizes that differ or not, in the order they are told.
    pub measures: Vec<Measure>,
    /// By name and shape.
    pub weights: Weights,
}

/// A key of the recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Dotted: `model.encoder.depth`.
    pub key: String,
    /// Its value in the first recipe, as YAML.
    pub a: Option<String>,
    /// Its value in the second.
    pub b: Option<String>,
}

/// A number of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Measure {
    /// `parameters`
    pub name: &'static str,
    /// What it is counted in.
    pub unit: Unit,
    /// Of the first.
    pub a: u64,
    /// Of the second.
    pub b: u64,
}

/// How a number is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// As it is.
    Count,
    /// Of memory.
    Bytes,
    /// Floating-point operations.
    Flops,
}

/// What a checkpoint of the first is to the second. Alike weights of repeated blocks are one entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Weights {
    /// Of both, with one shape: they can be loaded.
    pub kept: usize,
    /// Parameters of those.
    pub kept_parameters: usize,
    /// Of both, with another shape: they start fresh, or have to be interpolated.
    pub reshaped: Vec<Entry>,
    /// Of the first alone.
    pub removed: Vec<Entry>,
    /// Of the second alone: they start fresh.
    pub added: Vec<Entry>,
    /// Of both, decaying in one of them alone.
    pub decay: Vec<Entry>,
}

/// Weights of one name but for the numbers in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// `encoder.blocks.*.attn.qkv.weight`
    pub name: String,
    /// How many there are.
    pub count: usize,
    /// The shape in the first, of the first of them; `null` where it has none.
    pub a: Option<Vec<usize>>,
    /// In the second.
    pub b: Option<Vec<usize>>,
    /// Whether others of them have other shapes.
    pub other_shapes: bool,
}

/// Compares two recipes and their programs, both compiled with listings and for one image at a time.
///
/// # Panics
/// If a program has no listings.
pub fn compare(a: (&Recipe, &Program), b: (&Recipe, &Program)) -> Comparison {
    let graph = |program: &Program| {
        program
            .listings
            .as_ref()
            .expect("whoever compares compiles with listings")
            .graph
            .clone()
    };
    let settings = differing(&settings(&a.0.to_yaml()), &settings(&b.0.to_yaml()));
    let weights = weights(&a.1.weights, &b.1.weights);
    let same_graph = graph(a.1) == graph(b.1) && weights.decay.is_empty();
    // The name of an experiment trains nothing.
    let counts = |setting: &&Setting| {
        !IDLE.contains(&setting.key.as_str()) && !setting.key.starts_with("model.")
    };
    Comparison {
        same_run: same_graph && settings.iter().filter(counts).count() == 0,
        same_graph,
        settings,
        measures: measures(a, b),
        weights,
    }
}

/// Keys that change no bit of what is trained.
const IDLE: &[&str] = &[
    "doc",
    "data.workers",
    "train.recompute",
    "train.checkpoint_every",
    "train.keep",
    "train.picture_every",
    "train.validate_every",
    "data.validation",
    "data.validation_count",
    "train.log_every",
];

fn differing(a: &Settings, b: &Settings) -> Vec<Setting> {
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let setting = |key: &String| Setting {
        key: key.clone(),
        a: a.get(key).cloned(),
        b: b.get(key).cloned(),
    };
    keys.into_iter()
        .filter(|key| a.get(*key) != b.get(*key))
        .map(setting)
        .collect()
}

fn measures((a, of_a): (&Recipe, &Program), (b, of_b): (&Recipe, &Program)) -> Vec<Measure> {
    let measure = |name, unit, of: &dyn Fn(&Recipe, &Program) -> u64| Measure {
        name,
        unit,
        a: of(a, of_a),
        b: of(b, of_b),
    };
    use Unit::{Bytes, Count, Flops};
    vec![
        measure("parameters", Count, &|_, p| parameters(&p.weights) as u64),
        measure("weights", Count, &|_, p| p.weights.len() as u64),
        measure("forward, per image", Flops, &|_, p| p.cost.forward_flops),
        measure("backward, per image", Flops, &|_, p| p.cost.backward_flops),
        measure("memory of one image", Bytes, &|_, p| p.cost.arena),
        measure("memory of the weights", Bytes, &|_, p| p.cost.state),
        measure("kernels", Count, &|_, p| p.cost.kernels as u64),
        measure("image side", Count, &|r, _| r.data.size as u64),
        measure("batch", Count, &|r, _| r.train.batch as u64),
    ]
}

fn parameters(weights: &[Weight]) -> usize {
    weights.iter().map(Weight::len).sum()
}

fn weights(a: &[Weight], b: &[Weight]) -> Weights {
    let by_name = |weights: &[Weight]| -> BTreeMap<String, Weight> {
        weights
            .iter()
            .map(|w| (w.name.clone(), w.clone()))
            .collect()
    };
    let (of_a, of_b) = (by_name(a), by_name(b));
    let mut found = Weights::default();
    let mut both = Vec::new();
    for old in a {
        match of_b.get(&old.name) {
            None => found.removed.push(entry(Some(old), None)),
            Some(new) => both.push((old, new)),
        }
    }
    for (old, new) in both {
        if old.dims == new.dims {
            found.kept += 1;
            found.kept_parameters += old.len();
        } else {
            found.reshaped.push(entry(Some(old), Some(new)));
        }
        if old.decay != new.decay {
            found.decay.push(entry(Some(old), Some(new)));
        }
    }
    let fresh = b.iter().filter(|new| !of_a.contains_key(&new.name));
    found.added = fresh.map(|new| entry(None, Some(new))).collect();
    for list in [
        &mut found.reshaped,
        &mut found.removed,
        &mut found.added,
        &mut found.decay,
    ] {
        *list = alike(std::mem::take(list));
    }
    found
}

fn entry(a: Option<&Weight>, b: Option<&Weight>) -> Entry {
    let name = a.or(b).map_or("", |weight| &weight.name);
    let words = name
        .split('.')
        .map(|word| match word.bytes().all(|c| c.is_ascii_digit()) {
            true => "*",
            false => word,
        });
    Entry {
        name: words.collect::<Vec<_>>().join("."),
        count: 1,
        a: a.map(|weight| weight.dims.clone()),
        b: b.map(|weight| weight.dims.clone()),
        other_shapes: false,
    }
}

/// Entries of one name together, where the first of them stands.
fn alike(entries: Vec<Entry>) -> Vec<Entry> {
    let mut joined: Vec<Entry> = Vec::new();
    for entry in entries {
        match joined.iter_mut().find(|known| known.name == entry.name) {
            Some(known) => {
                known.count += 1;
                known.other_shapes |= (&known.a, &known.b) != (&entry.a, &entry.b);
            }
            None => joined.push(entry),
        }
    }
    joined
}

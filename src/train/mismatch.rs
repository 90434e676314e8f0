//! How the tensors of a file differ from those of a model.

use std::{collections::BTreeMap, fmt};

/// Tensors that stand in the way of loading a file into a model. At least one of the lists holds something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Wanted but not found.
    pub missing: Vec<String>,
    /// Found but not wanted.
    pub unexpected: Vec<String>,
    /// Found in another shape.
    pub reshaped: Vec<Reshaped>,
}

/// One tensor that is not of the wanted shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reshaped {
    /// Of the tensor.
    pub name: String,
    /// The model's shape.
    pub wanted: String,
    /// The file's shape.
    pub found: String,
}

/// So many tensors of each kind are told.
const TOLD: usize = 3;
/// Names less alike than this are no misspellings of each other, by Jaro and Winkler.
const ALIKE: f64 = 0.9;

impl Mismatch {
    /// Compares names and described shapes; `None` if they agree.
    pub fn between(wanted: BTreeMap<&str, String>, found: BTreeMap<&str, String>) -> Option<Self> {
        let absent = |from: &BTreeMap<&str, String>, names: &BTreeMap<&str, String>| {
            let absent = names.keys().filter(|name| !from.contains_key(**name));
            absent.map(|name| (*name).to_owned()).collect::<Vec<_>>()
        };
        let reshaped = wanted.iter().filter_map(|(name, wanted)| {
            let found = found.get(name).filter(|found| *found != wanted)?;
            Some(Reshaped {
                name: (*name).to_owned(),
                wanted: wanted.clone(),
                found: found.clone(),
            })
        });
        let mismatch = Self {
            missing: absent(&found, &wanted),
            unexpected: absent(&wanted, &found),
            reshaped: reshaped.collect(),
        };
        (!mismatch.is_empty()).then_some(mismatch)
    }

    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.reshaped.is_empty()
    }
}

impl fmt::Display for Mismatch {
    /// `1 tensor is missing: a.weight (nearest: a.wieght); 1 is of another shape: b [3], wanted [2]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = |name: &String| match nearest(name, &self.unexpected) {
            Some(nearest) => format!("{name} (nearest: {nearest})"),
            None => name.clone(),
        };
        let reshaped = |r: &Reshaped| format!("{} {}, wanted {}", r.name, r.found, r.wanted);
        let kinds = [
            tell("missing", &self.missing, missing),
            tell("not the model's", &self.unexpected, String::clone),
            tell("of another shape", &self.reshaped, reshaped),
        ];
        let told: Vec<_> = kinds.into_iter().flatten().collect();
        f.write_str(&told.join("; "))
    }
}

fn tell<T>(kind: &str, tensors: &[T], describe: impl Fn(&T) -> String) -> Option<String> {
    let count = match tensors.len() {
        0 => return None,
        1 => "1 tensor is".to_owned(),
        n => format!("{n} tensors are"),
    };
    let first: Vec<_> = tensors.iter().take(TOLD).map(describe).collect();
    let more = if tensors.len() > TOLD { ", …" } else { "" };
    Some(format!("{count} {kind}: {}{more}", first.join(", ")))
}

fn nearest(name: &str, among: &[String]) -> Option<String> {
    let alike = |other: &String| strsim::jaro_winkler(name, other);
    let best = among.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
    (alike(best) >= ALIKE).then(|| best.clone())
}

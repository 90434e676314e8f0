//! Leaves of the graph: weights, what the caller feeds, random draws, the optimizer's state, constant tables.

use super::Op;
use crate::ir::{Rewriter, Value};
use std::sync::Arc;

/// A named leaf. Its name is an instance path for draws, the checkpoint's name for weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    pub name: String,
    pub dims: Vec<usize>,
    pub kind: InputKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum InputKind {
    Weight {
        decay: bool,
        init: Init,
    },
    /// State that training keeps beside a weight (the name is the weight's).
    State(Part),
    /// Written by the caller before each run: `image`, `mask`, `lr`.
    Feed,
    /// Uniform in [0, 1): a pure function of (seed, name, step, position in the effective batch). `per_sample`: the first axis is
    /// the image.
    Draw {
        per_sample: bool,
    },
    /// Constant numbers, row-major.
    Table(Arc<[f32]>),
}

/// What is kept of a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    Value,
    Gradient,
    FirstMoment,
    SecondMoment,
}

/// How a weight starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    Fill(f64),
    Normal {
        std: f64,
    },
    /// Normal of mean 0, redrawn outside ±`bound` (an absolute value, as timm has it).
    TruncNormal {
        std: f64,
        bound: f64,
    },
    /// U(-bound, bound).
    Uniform {
        bound: f64,
    },
}

impl Op for Input {
    fn label(&self) -> String {
        match &self.kind {
            InputKind::Weight { decay: true, .. } => "weight".into(),
            InputKind::Weight { decay: false, .. } => "weight, no decay".into(),
            InputKind::State(part) => format!("{} of {}", part.label(), self.name),
            InputKind::Feed => "input".into(),
            InputKind::Draw { .. } => "uniform".into(),
            InputKind::Table(_) => "table".into(),
        }
    }

    fn outputs(&self, _: &[Vec<usize>]) -> Vec<Vec<usize>> {
        vec![self.dims.clone()]
    }

    fn decompose(&self, _: &mut Rewriter, _: &[Value]) -> Option<Vec<Value>> {
        None
    }
}

impl Part {
    pub fn label(self) -> &'static str {
        match self {
            Part::Value => "value",
            Part::Gradient => "gradient",
            Part::FirstMoment => "first moment",
            Part::SecondMoment => "second moment",
        }
    }
}

/// A table as listings name it: `arange(48)` for 0, 1, …, 47, else by its contents.
pub fn table_name(values: &[f32]) -> String {
    if is_arange(values) {
        return format!("arange({})", values.len());
    }
    format!("tables.{:08x}", fingerprint(values))
}

/// Whether a table holds 0, 1, 2, …
pub fn is_arange(values: &[f32]) -> bool {
    (0..).zip(values).all(|(i, &x)| x == i as f32)
}

fn fingerprint(values: &[f32]) -> u32 {
    values.iter().fold(0x811c_9dc5, |h: u32, x| {
        (h ^ x.to_bits()).wrapping_mul(0x0100_0193)
    })
}

//! A graph file: nine keys, `doc params presets inputs require advise weights steps outputs`.

mod check;
mod order;
mod params;
mod reader;

use super::{
    expression::{Expr, Spanned},
    yaml,
};
use crate::diagnostic::{Diagnostic, Diagnostics, Result, SourceFile, Span};
use std::sync::Arc;

/// Parses and checks a graph file by all rules that need neither another file nor values. The mistakes of a file are
/// reported together, in its order; what a broken part would make look unused is not held against it.
///
/// # Errors
/// Text that is no YAML, or every mistake in it.
pub fn parse(file: &Arc<SourceFile>, name: &str) -> Result<GraphFile> {
    parse_with(file, name, |_| Vec::new())
}

/// As [`parse`], and reports what `check` has against the file together with the other mistakes.
///
/// # Errors
/// As [`parse`], and what `check` returns.
pub fn parse_with(
    file: &Arc<SourceFile>,
    name: &str,
    check: impl FnOnce(&GraphFile) -> Vec<Diagnostic>,
) -> Result<GraphFile> {
    let root = yaml::parse(&Span::new(file, 0..file.text.len()))?;
    let (graph, mut found) = reader::read(&root, name);
    // A section under a wrong key takes its names with it.
    let whole = |one: &Diagnostic| !matches!(one.code, "unknown-key" | "wrong-kind");
    if found.iter().all(whole) {
        found.extend(check::check(&graph, found.is_empty()));
    }
    found.extend(check(&graph));
    if found.is_empty() {
        return Ok(graph);
    }
    Err(Diagnostics(found).in_order())
}

#[derive(Debug, Clone)]
pub struct GraphFile {
    /// `swin.block` for `graphs/swin/block.yaml`.
    pub name: String,
    /// The name of the file as a place to point at (its first line).
    pub span: Span,
    pub doc: String,
    pub params: Vec<Param>,
    /// Values of some params that go together, by name: `small`.
    pub presets: Vec<Preset>,
    pub inputs: Vec<TensorDecl>,
    pub require: Vec<Expr>,
    pub advise: Vec<Advice>,
    pub weights: Vec<WeightDecl>,
    pub steps: Vec<Step>,
    pub outputs: Vec<TensorDecl>,
}

#[derive(Debug, Clone)]
pub struct Param {
    pub name: Spanned<String>,
    pub kind: ParamKind,
    /// `null` is a value too: `type: float?`, or a default of null.
    pub nullable: bool,
    /// An expression over the params before it.
    pub default: Option<Expr>,
    /// Inclusive; `None` is open.
    pub range: Option<[Option<f64>; 2]>,
    pub doc: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Preset {
    pub name: Spanned<String>,
    /// A param, and its value as a recipe writes it.
    pub values: Vec<(Spanned<String>, Span)>,
}

/// What a param's values are, null aside.
#[derive(Debug, Clone, PartialEq)]
pub enum ParamKind {
    Int,
    Float,
    Bool,
    Text,
    Init,
    Graph,
    Ints,
    Floats,
    OneOf(Vec<String>),
}

/// A condition that should hold, though the graph works without it.
#[derive(Debug, Clone)]
pub struct Advice {
    pub should: Expr,
    /// Why, in one sentence.
    pub since: String,
}

/// A tensor among `inputs` or `outputs` with its dimensions.
#[derive(Debug, Clone)]
pub struct TensorDecl {
    pub name: Spanned<String>,
    pub dims: Vec<Dim>,
}

#[derive(Debug, Clone)]
pub enum Dim {
    /// `...`: any number of leading axes.
    Rest(Span),
    /// A name to bind (if unknown) or any expression to check.
    Size(Expr),
}

#[derive(Debug, Clone)]
pub struct WeightDecl {
    pub name: Spanned<String>,
    pub shape: Vec<Expr>,
    pub init: Expr,
    /// Whether weight decay applies; rank > 1 where absent.
    pub decay: Option<Expr>,
    pub when: Option<Expr>,
}

#[derive(Debug, Clone)]
pub struct Step {
    pub name: Spanned<String>,
    /// What prefixes the weights created under this step; the step's name where absent.
    pub scope: Option<String>,
    pub body: StepBody,
}

#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "a file has few steps, and a box would show in every match"
)]
pub enum StepBody {
    Value(Expr),
    /// A fold: `prev` is the last value, `i` the index, the scope is `name.i`.
    Repeat {
        count: Expr,
        from: Expr,
        each: Expr,
    },
}

impl GraphFile {
    /// Every expression of the file, in its order.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let defaults = self
            .params
            .iter()
            .filter_map(|param| param.default.as_ref());
        let weights = self.weights.iter().flat_map(WeightDecl::exprs);
        let steps = self.steps.iter().flat_map(|step| step.body.exprs());
        defaults
            .chain(self.inputs.iter().flat_map(TensorDecl::exprs))
            .chain(&self.require)
            .chain(self.advise.iter().map(|advice| &advice.should))
            .chain(weights)
            .chain(steps)
            .chain(self.outputs.iter().flat_map(TensorDecl::exprs))
    }

    pub fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|param| param.name.value == name)
    }
}

impl TensorDecl {
    /// The dimensions without `...`.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.dims.iter().filter_map(|dim| match dim {
            Dim::Size(expr) => Some(expr),
            Dim::Rest(_) => None,
        })
    }
}

impl WeightDecl {
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let switches = self.decay.iter().chain(&self.when);
        self.shape.iter().chain([&self.init]).chain(switches)
    }
}

impl StepBody {
    pub fn exprs(&self) -> Vec<&Expr> {
        match self {
            StepBody::Value(expr) => vec![expr],
            StepBody::Repeat { count, from, each } => vec![count, from, each],
        }
    }
}

/// As graph files spell it: `int`, `[float]`, `one of shared, none`.
impl std::fmt::Display for ParamKind {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            ParamKind::OneOf(values) => write!(f, "one of {}", values.join(", ")),
            kind => f.write_str(params::type_name(kind)),
        }
    }
}

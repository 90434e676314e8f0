//! A graph file: seven keys, `doc params inputs require weights steps outputs`.

use super::expression::{Expr, Spanned};
use crate::diagnostic::Span;

#[derive(Debug, Clone)]
pub struct GraphFile {
    /// `swin.block` for `graphs/swin/block.yaml`.
    pub name: String,
    /// The name of the file as a place to point at (its first line).
    pub span: Span,
    pub doc: String,
    pub params: Vec<Param>,
    pub inputs: Vec<TensorDecl>,
    pub require: Vec<Expr>,
    pub weights: Vec<WeightDecl>,
    pub steps: Vec<Step>,
    pub outputs: Vec<TensorDecl>,
}

#[derive(Debug, Clone)]
pub struct Param {
    pub name: Spanned<String>,
    pub kind: ParamKind,
    /// An expression over the params before it.
    pub default: Option<Expr>,
    /// Inclusive; `None` is open.
    pub range: Option<[Option<f64>; 2]>,
    pub doc: Option<String>,
}

/// What a param's values are. `null` is also accepted where the default is null.
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
pub enum StepBody {
    Value(Expr),
    /// A fold: `prev` is the last value, `i` the index, the scope is `name.i`.
    Repeat {
        count: Expr,
        from: Expr,
        each: Expr,
    },
}

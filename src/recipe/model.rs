//! The `model` part of a recipe: graphs, their parameters, and the graphs that fill graph-typed parameters.

use crate::{diagnostic::Span, language::expression::Spanned};

/// A graph with the values of some of its params: `{ graph: mask.random, unit: 32, ratio: 0.6 }`.
#[derive(Debug, Clone)]
pub struct GraphRef {
    pub graph: Spanned<String>,
    /// In the order written.
    pub params: Vec<(Spanned<String>, Spanned<Value>)>,
    /// The whole mapping.
    pub span: Span,
}

/// What a recipe can write for a param.
#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Also an initialiser, `normal(0.02)`: its span is what stands inside quotes, ready for the expression parser.
    Text(String),
    List(Vec<Spanned<Value>>),
    Graph(GraphRef),
}

impl GraphRef {
    pub fn param(&self, name: &str) -> Option<&Spanned<Value>> {
        let found = self.params.iter().find(|(key, _)| key.value == name);
        found.map(|(_, value)| value)
    }
}

//! The `model` part of a recipe: graphs, their parameters, and the graphs that fill graph-typed parameters.

use crate::{
    diagnostic::{Diagnostic, Span},
    language::{
        expression::Spanned,
        yaml::{Literal, Node, NodeKind},
    },
};
use serde_yaml::{Mapping, Value as Yaml};

/// A graph with the values of some of its params: `{ graph: mask.random, unit: 32, ratio: 0.6 }`. Two are equal if they
/// say the same, wherever they stand.
#[derive(Debug, Clone)]
pub struct GraphRef {
    /// `mask.random`
    pub graph: Spanned<String>,
    /// In the order written.
    pub params: Vec<(Spanned<String>, Spanned<Value>)>,
    /// The whole mapping.
    pub span: Span,
}

/// What a recipe can write for a param. Equality is that of what is said, as for [`GraphRef`].
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Also an initialiser, `normal(0.02)`: its span is what stands inside quotes, ready for the expression parser.
    Text(String),
    /// Of any kinds.
    List(Vec<Spanned<Value>>),
    /// A graph that fills a graph-typed param.
    Graph(GraphRef),
}

impl GraphRef {
    /// The value that is written for a param.
    pub fn param(&self, name: &str) -> Option<&Spanned<Value>> {
        let found = self.params.iter().find(|(key, _)| key.value == name);
        found.map(|(_, value)| value)
    }

    /// Reads a mapping with the key `graph`; `what` names it in messages. Params that are no values are left out.
    pub(super) fn read(node: &Node, what: &str, found: &mut Vec<Diagnostic>) -> Option<Self> {
        let entries = node.entries(what, found);
        let graph = entries.iter().find(|entry| entry.key.value == "graph");
        let mut params = Vec::new();
        for entry in entries.iter().filter(|entry| entry.key.value != "graph") {
            let value = Value::read(&entry.value, &format!("`{}`", entry.key.value), found);
            params.extend(value.map(|value| (entry.key.clone(), value)));
        }
        let Some(graph) = graph else {
            if let NodeKind::Map(_) = node.kind {
                let message = format!("{what} is a mapping that names no graph");
                let error = Diagnostic::error("missing-key", message).at(&node.span);
                found.push(error.help("a graph is written { graph: NAME, PARAM: VALUE, … }"));
            }
            return None;
        };
        let name = graph.value.scalar("`graph`", found)?;
        if !matches!(name.literal(), Literal::Text(_)) {
            let message = format!(
                "`graph` is {}, wanted the name of a graph",
                graph.value.describe()
            );
            found.push(Diagnostic::error("wrong-type", message).at(&graph.value.span));
            return None;
        }
        Some(GraphRef {
            graph: Spanned {
                value: name.text.clone(),
                span: name.content.clone(),
            },
            params,
            span: node.span.clone(),
        })
    }

    /// As a recipe writes it.
    pub(super) fn to_yaml(&self) -> Yaml {
        let mut mapping = Mapping::new();
        mapping.insert("graph".into(), self.graph.value.clone().into());
        for (key, value) in &self.params {
            mapping.insert(key.value.clone().into(), value.value.to_yaml());
        }
        Yaml::Mapping(mapping)
    }
}

impl PartialEq for GraphRef {
    fn eq(&self, other: &Self) -> bool {
        self.to_yaml() == other.to_yaml()
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.to_yaml() == other.to_yaml()
    }
}

impl Value {
    fn read(node: &Node, what: &str, found: &mut Vec<Diagnostic>) -> Option<Spanned<Value>> {
        let mut span = node.span.clone();
        let value = match &node.kind {
            NodeKind::Map(_) => Value::Graph(GraphRef::read(node, what, found)?),
            NodeKind::List(items) => {
                let items = items.iter().map(|item| Value::read(item, what, found));
                Value::List(items.collect::<Option<_>>()?)
            }
            NodeKind::Scalar(scalar) => match scalar.literal() {
                Literal::Null => Value::Null,
                Literal::Bool(value) => Value::Bool(value),
                Literal::Int(value) => Value::Int(value),
                Literal::Float(value) => Value::Float(value),
                Literal::Text(text) => {
                    span = scalar.content.clone();
                    Value::Text(text)
                }
            },
        };
        Some(Spanned { value, span })
    }

    pub(super) fn to_yaml(&self) -> Yaml {
        match self {
            Value::Null => Yaml::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Text(text) => text.clone().into(),
            Value::List(items) => items.iter().map(|item| item.value.to_yaml()).collect(),
            Value::Graph(graph) => graph.to_yaml(),
        }
    }
}

//! What an expression can be worth.

use super::{builtins::Initialiser, source::Source};
use crate::{diagnostic::Span, ir, language::expression::Spanned};
use std::{
    fmt::{self, Display, Formatter},
    rc::Rc,
};

#[derive(Debug, Clone)]
pub struct Value {
    pub data: Data,
    pub source: Source,
}

#[derive(Debug, Clone)]
pub enum Data {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    List(Rc<[Value]>),
    Initialiser(Initialiser),
    Graph(Rc<Partial>),
    Tensor(Rc<Tensor>),
}

/// A graph with some of its params, to call later.
#[derive(Debug)]
pub struct Partial {
    pub graph: Spanned<String>,
    pub params: Vec<(Spanned<String>, Value)>,
}

/// A node of the graph seen through a view.
#[derive(Debug)]
pub struct Tensor {
    pub value: ir::Value,
    /// Where the size of each axis came from.
    pub axes: Vec<Source>,
}

impl Tensor {
    pub fn dims(&self) -> Vec<usize> {
        self.value.dims()
    }
}

/// The size of an axis, with where it came from.
pub fn size(n: usize, source: &Source) -> Value {
    Value {
        // No axis is larger than an i32.
        data: Data::Int(n as i64),
        source: source.clone(),
    }
}

impl Value {
    pub fn written(data: Data, span: &Span) -> Self {
        Value {
            data,
            source: Source::written(span),
        }
    }

    pub fn tensor(&self) -> Option<&Rc<Tensor>> {
        match &self.data {
            Data::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// A number, with Python's `true` = 1.
    pub fn number(&self) -> Option<super::number::Number> {
        use super::number::Number;
        match self.data {
            Data::Bool(value) => Some(Number::Int(value.into())),
            Data::Int(value) => Some(Number::Int(value)),
            Data::Float(value) => Some(Number::Float(value)),
            _ => None,
        }
    }

    /// What a message calls it: `7`, `a tensor [2, 49, 96]`, `the graph swin.encoder`.
    pub fn describe(&self) -> String {
        match &self.data {
            Data::Text(_) => format!("the text {self}"),
            Data::List(_) => format!("the list {self}"),
            Data::Initialiser(_) => format!("the initialiser {self}"),
            Data::Graph(_) => format!("the graph {self}"),
            Data::Tensor(_) => format!("a tensor {self}"),
            _ => self.to_string(),
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match &self.data {
            Data::Null => f.write_str("null"),
            Data::Bool(value) => write!(f, "{value}"),
            Data::Int(value) => write!(f, "{value}"),
            Data::Float(value) => write!(f, "{value:?}"),
            Data::Text(text) => write!(f, "{text:?}"),
            Data::List(items) => {
                let items: Vec<_> = items.iter().map(Value::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Data::Initialiser(initialiser) => write!(f, "{initialiser}"),
            Data::Graph(partial) => f.write_str(&partial.graph.value),
            Data::Tensor(tensor) => write!(f, "{:?}", tensor.dims()),
        }
    }
}

//! The types of keys, and YAML nodes read as them.

use super::fields::Field;
use crate::{
    diagnostic::Diagnostic,
    language::yaml::{Literal, Node, NodeKind, number_help},
};
use serde_yaml::Value;
use std::fmt;

/// What can be written for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Bool,
    /// So many numbers.
    Floats(usize),
    /// Any number of numbers.
    FloatList,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Or `null`.
    Maybe(&'static Kind),
    /// Graphs and their params, checked when they are elaborated.
    Model,
}

impl Kind {
    /// In a sentence: `a whole number`, `one of cosine, linear`.
    pub fn told(self) -> String {
        match self {
            Kind::OneOf(_) => format!("one of {self}"),
            Kind::Bool => self.to_string(),
            Kind::Maybe(kind) => format!("{} or null", kind.told()),
            kind => format!("a {kind}"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Kind::Text => f.write_str("text"),
            Kind::Int => f.write_str("whole number"),
            Kind::Float => f.write_str("number"),
            Kind::Bool => f.write_str("true or false"),
            Kind::Floats(n) => write!(f, "list of {n} numbers"),
            Kind::FloatList => f.write_str("list of numbers"),
            Kind::OneOf(choices) => f.write_str(&choices.join(", ")),
            Kind::Maybe(kind) => write!(f, "{kind} or null"),
            Kind::Model => f.write_str("mapping"),
        }
    }
}

/// The value of a key, of its type and within its range.
pub fn read(field: &Field, node: &Node, found: &mut Vec<Diagnostic>) -> Option<Value> {
    let value = of_kind(field.kind, node);
    let Some(value) = value else {
        let wanted = field.kind.told();
        let message = format!("`{}` is {}, wanted {wanted}", field.path, node.describe());
        let error = Diagnostic::error("wrong-type", message).at(&node.span);
        let help = || format!("`{}`: {}", field.path, field.doc);
        found.push(match (field.kind, &node.kind) {
            (Kind::OneOf(choices), NodeKind::Scalar(scalar)) => {
                error.suggest(&scalar.text, choices.iter().copied())
            }
            (Kind::Text | Kind::Bool, _) => error.help(help()),
            (_, NodeKind::Scalar(scalar)) => {
                error.help(number_help(&scalar.text).unwrap_or_else(help))
            }
            _ => error.help(help()),
        });
        return None;
    };
    let numbers = value
        .as_sequence()
        .map_or(std::slice::from_ref(&value), Vec::as_slice);
    let outside = numbers
        .iter()
        .filter_map(Value::as_f64)
        .find(|number| !field.range.contains(*number));
    if let Some(number) = outside {
        let message = format!("`{}` is {number}, wanted {}", field.path, field.range);
        let error = Diagnostic::error("out-of-range", message).at(&node.span);
        found.push(error.help(format!("`{}`: {}", field.path, field.doc)));
        return None;
    }
    Some(value)
}

fn of_kind(kind: Kind, node: &Node) -> Option<Value> {
    let scalar = match &node.kind {
        NodeKind::Scalar(scalar) => Some((scalar, scalar.literal())),
        _ => None,
    };
    match (kind, scalar) {
        (Kind::Maybe(_), Some((_, Literal::Null))) => Some(Value::Null),
        (Kind::Maybe(kind), _) => of_kind(*kind, node),
        (_, Some((_, Literal::Null))) => None,
        (Kind::Text, Some((scalar, _))) => Some(scalar.text.clone().into()),
        (Kind::Int, Some((_, Literal::Int(value)))) => Some(value.into()),
        (Kind::Float, Some((_, Literal::Int(value)))) => Some((value as f64).into()),
        (Kind::Float, Some((_, Literal::Float(value)))) => Some(value.into()),
        (Kind::Bool, Some((_, Literal::Bool(value)))) => Some(value.into()),
        (Kind::OneOf(choices), Some((scalar, _))) => {
            let known = choices.contains(&scalar.text.as_str());
            known.then(|| scalar.text.clone().into())
        }
        (Kind::Floats(_) | Kind::FloatList, None) => {
            let NodeKind::List(items) = &node.kind else {
                return None;
            };
            let numbers: Option<Vec<_>> = items
                .iter()
                .map(|item| of_kind(Kind::Float, item))
                .collect();
            let right_count = |numbers: &Vec<Value>| match kind {
                Kind::Floats(n) => numbers.len() == n,
                _ => true,
            };
            numbers.filter(right_count).map(Value::Sequence)
        }
        _ => None,
    }
}

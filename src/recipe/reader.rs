//! The tree of a recipe, read by the table: what is written, and defaults for what is not.

use super::{
    fields::{self, FIELDS, Fallback, Field},
    kind::{self, Kind},
    model::GraphRef,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Result, Span},
    language::yaml::{Node, NodeKind},
};
use serde::de::DeserializeOwned;
use serde_yaml::{Mapping, Value as Yaml};
use std::collections::HashMap;

/// Every key of the table with a value of its type and within its range.
pub struct Values {
    pub model: GraphRef,
    /// Nested as the recipe is.
    nested: Mapping,
    /// Where the keys stand that were written.
    pub spans: HashMap<&'static str, Span>,
}

/// Reads a recipe; `found` is what was found against it before.
pub fn read(root: &Node, found: Vec<Diagnostic>) -> Result<Values> {
    let mut reader = Reader {
        nested: Mapping::new(),
        spans: HashMap::new(),
        model: None,
        found,
    };
    reader.section(root, "");
    reader.derived_defaults();
    match reader.model {
        Some(model) if reader.found.is_empty() => Ok(Values {
            model,
            nested: reader.nested,
            spans: reader.spans,
        }),
        _ => Err(Diagnostics(reader.found)),
    }
}

impl Values {
    /// Takes a section, or a key at the top, out as its type.
    pub fn take<T: DeserializeOwned>(&mut self, key: &str) -> T {
        let part = self.nested.remove(key).unwrap_or(Yaml::Null);
        serde_yaml::from_value(part).expect("the table has checked every key and type")
    }
}

struct Reader {
    nested: Mapping,
    spans: HashMap<&'static str, Span>,
    model: Option<GraphRef>,
    found: Vec<Diagnostic>,
}

impl Reader {
    /// Reads the keys of a section; what it leaves out takes its default.
    fn section(&mut self, node: &Node, section: &str) {
        let what = match section {
            "" => "a recipe".to_owned(),
            _ => format!("`{section}`"),
        };
        let keys = fields::keys_under(section);
        let given = node.fields(&what, &keys, &mut self.found);
        for key in keys {
            let path = match section {
                "" => key.to_owned(),
                _ => format!("{section}.{key}"),
            };
            match (fields::field(&path), given.get(key)) {
                (Some(field), Some(node)) => self.value(field, node),
                (Some(field), None) => self.default(field, &node.span),
                (None, Some(node)) => self.section(node, &path),
                (None, None) => self.section(&empty(&node.span), &path),
            }
        }
    }

    fn value(&mut self, field: &'static Field, node: &Node) {
        self.spans.insert(field.path, node.span.clone());
        if field.kind == Kind::Model {
            self.model = GraphRef::read(node, "`model`", &mut self.found);
        } else if let Some(value) = kind::read(field, node, &mut self.found) {
            insert(&mut self.nested, field.path, value);
        }
    }

    fn default(&mut self, field: &'static Field, section: &Span) {
        match field.default {
            Fallback::Required => {
                let message = format!("`{}` is missing", field.path);
                let error = Diagnostic::error("missing-key", message).at(section);
                self.found
                    .push(error.help(format!("`{}`: {}", field.path, field.doc)));
            }
            Fallback::Is(text) => {
                let value = serde_yaml::from_str(text).expect("the table's defaults are YAML");
                insert(&mut self.nested, field.path, value);
            }
            // Once all that is written has been read.
            Fallback::TenthOf(_) => {}
        }
    }

    fn derived_defaults(&mut self) {
        for field in FIELDS {
            if let Fallback::TenthOf(of) = field.default
                && !self.spans.contains_key(field.path)
                && let Some(whole) = lookup(&self.nested, of).and_then(Yaml::as_f64)
            {
                insert(&mut self.nested, field.path, (whole / 10.0).into());
            }
        }
    }
}

/// A section that is not written.
fn empty(span: &Span) -> Node {
    Node {
        kind: NodeKind::Map(Vec::new()),
        span: span.clone(),
    }
}

fn insert(values: &mut Mapping, path: &str, value: Yaml) {
    match path.split_once('.') {
        None => {
            values.insert(path.into(), value);
        }
        Some((section, rest)) => {
            let entry = values.entry(section.into());
            let section = entry.or_insert_with(|| Yaml::Mapping(Mapping::new()));
            if let Yaml::Mapping(section) = section {
                insert(section, rest, value);
            }
        }
    }
}

fn lookup<'a>(values: &'a Mapping, path: &str) -> Option<&'a Yaml> {
    match path.split_once('.') {
        None => values.get(path),
        Some((section, rest)) => lookup(values.get(section)?.as_mapping()?, rest),
    }
}

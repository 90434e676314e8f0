//! The tree of a recipe, read by the table: what is written, and defaults for what is not.

use super::{
    fields::{self, FIELDS, Fallback, Field},
    kind::{self, Kind},
    model::GraphRef,
};
use crate::{
    diagnostic::{Diagnostic, Span},
    language::yaml::{Node, NodeKind},
};
use serde::de::DeserializeOwned;
use serde_yaml::{Mapping, Value as Yaml};
use std::collections::{HashMap, HashSet};

/// Every key of the table with a value of its type and within its range; one that was refused has a stand-in.
pub struct Values {
    /// As far as it could be read.
    pub model: Option<GraphRef>,
    /// Nested as the recipe is.
    nested: Mapping,
    /// Where the keys stand that were written.
    pub spans: HashMap<&'static str, Span>,
    /// The keys with a stand-in.
    pub broken: HashSet<&'static str>,
}

/// Reads a recipe, and adds what is wrong with it to `found`.
pub fn read(root: &Node, found: &mut Vec<Diagnostic>) -> Values {
    let mut reader = Reader {
        values: Values {
            model: None,
            nested: Mapping::new(),
            spans: HashMap::new(),
            broken: HashSet::new(),
        },
        found,
    };
    reader.section(root, "");
    reader.derived_defaults();
    reader.values
}

impl Values {
    /// Takes a section, or a key at the top, out as its type.
    pub fn take<T: DeserializeOwned>(&mut self, key: &str) -> T {
        let part = self.nested.remove(key).unwrap_or(Yaml::Null);
        serde_yaml::from_value(part).expect("the table has checked every key and type")
    }
}

struct Reader<'a> {
    values: Values,
    found: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    /// Reads the keys of a section; what it leaves out takes its default.
    fn section(&mut self, node: &Node, section: &str) {
        let what = match section {
            "" => "a recipe".to_owned(),
            _ => format!("`{section}`"),
        };
        let keys = fields::keys_under(section);
        if !matches!(node.kind, NodeKind::Map(_)) {
            node.entries(&what, self.found);
            let prefix = format!("{section}.");
            let own = |field: &&Field| section.is_empty() || field.path.starts_with(&prefix);
            FIELDS
                .iter()
                .filter(own)
                .for_each(|field| self.stand_in(field));
            return;
        }
        let given = node.fields(&what, &keys, self.found);
        for key in keys {
            let path = match section {
                "" => key.to_owned(),
                _ => format!("{section}.{key}"),
            };
            match (fields::field(&path), given.get(key)) {
                (Some(field), Some(node)) => self.value(field, node),
                (Some(field), None) if given.is_misspelt(key) => self.stand_in(field),
                (Some(field), None) => self.default(field, &node.span),
                (None, Some(node)) => self.section(node, &path),
                (None, None) => self.section(&empty(&node.span), &path),
            }
        }
    }

    fn value(&mut self, field: &'static Field, node: &Node) {
        self.values.spans.insert(field.path, node.span.clone());
        if field.kind == Kind::Model {
            self.values.model = GraphRef::read(node, "`model`", self.found);
            return;
        }
        match kind::read(field, node, self.found) {
            Some(value) => insert(&mut self.values.nested, field.path, value),
            None => self.stand_in(field),
        }
    }

    /// A value for a key that was refused, so that the others can be looked at.
    fn stand_in(&mut self, field: &'static Field) {
        self.values.broken.insert(field.path);
        if field.kind == Kind::Model {
            return;
        }
        match (field.default, field.kind) {
            (Fallback::Is(text), _) => self.insert_default(field, text),
            (Fallback::TenthOf(_), _) => insert(&mut self.values.nested, field.path, 0.into()),
            (Fallback::Required, Kind::Int) => {
                insert(&mut self.values.nested, field.path, 1.into())
            }
            (Fallback::Required, _) => insert(&mut self.values.nested, field.path, "".into()),
        }
    }

    fn insert_default(&mut self, field: &Field, text: &str) {
        let value = serde_yaml::from_str(text).expect("the table's defaults are YAML");
        insert(&mut self.values.nested, field.path, value);
    }

    fn default(&mut self, field: &'static Field, section: &Span) {
        match field.default {
            Fallback::Required => {
                let message = format!("`{}` is missing", field.path);
                let error = Diagnostic::error("missing-key", message).at(section);
                self.found
                    .push(error.help(format!("`{}`: {}", field.path, field.doc)));
                self.stand_in(field);
            }
            Fallback::Is(text) => self.insert_default(field, text),
            // Once all that is written has been read.
            Fallback::TenthOf(_) => {}
        }
    }

    fn derived_defaults(&mut self) {
        for field in FIELDS {
            if let Fallback::TenthOf(of) = field.default
                && !self.values.spans.contains_key(field.path)
                && let Some(whole) = lookup(&self.values.nested, of).and_then(Yaml::as_f64)
            {
                insert(&mut self.values.nested, field.path, (whole / 10.0).into());
                if self.values.broken.contains(of) {
                    self.values.broken.insert(field.path);
                }
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

//! Mappings with known keys.

use super::{Entry, Node, NodeKind, Scalar};
use crate::diagnostic::{Diagnostic, Span};

/// A mapping all of whose keys are known.
pub struct Fields<'a> {
    what: &'a str,
    span: &'a Span,
    entries: Vec<&'a Entry>,
}

impl Node {
    /// The entries of a mapping; anything else is reported as a wrong `what`.
    pub fn entries(&self, what: &str, found: &mut Vec<Diagnostic>) -> &[Entry] {
        match &self.kind {
            NodeKind::Map(entries) => entries,
            _ => {
                found.push(self.wrong_kind(what, "a mapping"));
                &[]
            }
        }
    }

    /// The items of a list; anything else is reported as a wrong `what`.
    pub fn items(&self, what: &str, found: &mut Vec<Diagnostic>) -> &[Node] {
        match &self.kind {
            NodeKind::List(items) => items,
            _ => {
                found.push(self.wrong_kind(what, "a list"));
                &[]
            }
        }
    }

    /// A single value; anything else is reported as a wrong `what`.
    pub fn scalar(&self, what: &str, found: &mut Vec<Diagnostic>) -> Option<&Scalar> {
        match &self.kind {
            NodeKind::Scalar(scalar) => Some(scalar),
            _ => {
                found.push(self.wrong_kind(what, "a single value"));
                None
            }
        }
    }

    /// The mapping as fields; keys that are not `known` are reported.
    pub fn fields<'a>(
        &'a self,
        what: &'a str,
        known: &[&str],
        found: &mut Vec<Diagnostic>,
    ) -> Fields<'a> {
        let (entries, unknown): (Vec<_>, Vec<_>) = self
            .entries(what, found)
            .iter()
            .partition(|entry| known.contains(&entry.key.value.as_str()));
        found.extend(unknown.into_iter().map(|entry| {
            let key = &entry.key.value;
            Diagnostic::error("unknown-key", format!("{what} has no key `{key}`"))
                .at(&entry.key.span)
                .help(format!("its keys are {}", known.join(", ")))
                .suggest(key, known.iter().copied())
        }));
        Fields {
            what,
            span: &self.span,
            entries,
        }
    }

    fn wrong_kind(&self, what: &str, wanted: &str) -> Diagnostic {
        let message = format!("{what} is {wanted}, not {}", self.describe());
        Diagnostic::error("wrong-kind", message).at(&self.span)
    }
}

impl<'a> Fields<'a> {
    pub fn get(&self, key: &str) -> Option<&'a Node> {
        let found = self.entries.iter().find(|entry| entry.key.value == key);
        found.map(|entry| &entry.value)
    }

    /// The whole mapping.
    pub fn span(&self) -> &'a Span {
        self.span
    }

    /// As [`Fields::get`], reporting a key that is not there.
    pub fn require(&self, key: &str, found: &mut Vec<Diagnostic>) -> Option<&'a Node> {
        let value = self.get(key);
        if value.is_none() {
            let message = format!("{} needs `{key}`", self.what);
            found.push(Diagnostic::error("missing-key", message).at(self.span));
        }
        value
    }
}

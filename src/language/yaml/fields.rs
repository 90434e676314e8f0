//! Mappings with known keys.

use super::{Entry, Node, NodeKind, Scalar};
use crate::diagnostic::{Diagnostic, Span, nearest};
use saphyr_parser::ScalarStyle;

/// A mapping all of whose keys are known.
pub struct Fields<'a> {
    what: &'a str,
    span: &'a Span,
    entries: Vec<&'a Entry>,
    /// Known keys that unknown ones are slips of.
    misspelt: Vec<&'static str>,
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
        known: &[&'static str],
        found: &mut Vec<Diagnostic>,
    ) -> Fields<'a> {
        let mut fields = Fields {
            what,
            span: &self.span,
            entries: Vec::new(),
            misspelt: Vec::new(),
        };
        let mut before = None;
        for entry in self.entries(what, found) {
            let key = &entry.key.value;
            if known.contains(&key.as_str()) {
                fields.entries.push(entry);
            } else if !before.is_some_and(is_open) {
                fields.misspelt.extend(nearest(key, known.iter().copied()));
                let error = Diagnostic::error("unknown-key", format!("{what} has no key `{key}`"))
                    .at(&entry.key.span)
                    .help(format!("its keys are {}", known.join(", ")));
                found.push(error.suggest(key, known.iter().copied()));
            }
            before = Some(entry);
        }
        fields
    }

    fn wrong_kind(&self, what: &str, wanted: &str) -> Diagnostic {
        let message = format!("{what} is {wanted}, not {}", self.describe());
        Diagnostic::error("wrong-kind", message).at(&self.span)
    }
}

/// Whether a bracket of the value is closed behind it: a comma has cut the value in two, and the next key is its rest.
fn is_open(entry: &Entry) -> bool {
    let NodeKind::Scalar(scalar) = &entry.value.kind else {
        return false;
    };
    scalar.style == ScalarStyle::Plain
        && scalar.text.matches(['(', '[']).count() > scalar.text.matches([')', ']']).count()
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

    /// Whether the key stands there under a name that is a slip of it.
    pub fn is_misspelt(&self, key: &str) -> bool {
        self.misspelt.contains(&key)
    }

    /// As [`Fields::get`], reporting a key that is not there.
    pub fn require(&self, key: &str, found: &mut Vec<Diagnostic>) -> Option<&'a Node> {
        let value = self.get(key);
        if value.is_none() && !self.is_misspelt(key) {
            let message = format!("{} needs `{key}`", self.what);
            found.push(Diagnostic::error("missing-key", message).at(self.span));
        }
        value
    }
}

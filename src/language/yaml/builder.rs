//! The tree of nodes, built from the scanner's events.

use super::{Entry, Node, NodeKind, Scalar};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Result, Span},
    language::expression::Spanned,
};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};
use std::collections::{HashMap, hash_map};

const MAX_DEPTH: usize = 64;

/// Builds the tree from events, with a stack of its own: nesting cannot exhaust the program's.
pub struct Builder<'a> {
    source: &'a Span,
    /// Byte offset of each character where the text is not ASCII; the scanner counts characters.
    offsets: Option<Vec<usize>>,
    open: Vec<Open>,
    found: Vec<Diagnostic>,
}

/// A list or a mapping whose end has not come yet.
struct Open {
    start: usize,
    flow: bool,
    contents: Contents,
}

enum Contents {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        seen: HashMap<String, Span>,
        key: Option<Spanned<String>>,
    },
}

impl<'a> Builder<'a> {
    pub fn new(source: &'a Span) -> Self {
        let text = source.text();
        let offsets = (!text.is_ascii()).then(|| {
            let starts = text.char_indices().map(|(at, _)| at);
            starts.chain([text.len()]).collect()
        });
        Builder {
            source,
            offsets,
            open: Vec::new(),
            found: Vec::new(),
        }
    }

    pub fn build(mut self) -> Result<Node> {
        let mut root = None;
        let mut documents = 0;
        for event in Parser::new_from_str(self.source.text()) {
            let (event, mark) = event.map_err(|error| self.syntax_error(&error))?;
            let span = self.span(mark);
            self.refuse_references(&event, &span)?;
            let finished = match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        let message = "a second YAML document starts here; one is wanted";
                        return Diagnostic::error("yaml-syntax", message).at(span).fail();
                    }
                    continue;
                }
                Event::Scalar(text, style, ..) => Some(scalar(text.into_owned(), style, span)),
                Event::SequenceStart(..) => self.start(&span, Contents::List(Vec::new()))?,
                Event::MappingStart(..) => {
                    let contents = Contents::Map {
                        entries: Vec::new(),
                        seen: HashMap::new(),
                        key: None,
                    };
                    self.start(&span, contents)?
                }
                Event::SequenceEnd | Event::MappingEnd => self.finish(&span),
                _ => continue,
            };
            if let Some(node) = finished {
                match self.open.last_mut() {
                    Some(open) => open.contents.add(node, &mut self.found),
                    None => root = Some(node),
                }
            }
        }
        let start = self.source.part(0..0);
        let empty = || scalar(String::new(), ScalarStyle::Plain, start);
        Diagnostics::unless(self.found, root.unwrap_or_else(empty))
    }

    fn start(&mut self, span: &Span, contents: Contents) -> Result<Option<Node>> {
        if self.open.len() == MAX_DEPTH {
            return Err(too_deep(span).into());
        }
        self.open.push(Open {
            start: span.range.start,
            flow: span.text().starts_with(['[', '{']),
            contents,
        });
        Ok(None)
    }

    fn finish(&mut self, end: &Span) -> Option<Node> {
        let Open {
            start,
            flow,
            contents,
        } = self.open.pop()?;
        let (kind, last) = match contents {
            Contents::List(items) => {
                let last = items.last().map(|item| item.span.range.end);
                (NodeKind::List(items), last)
            }
            Contents::Map { entries, .. } => {
                let last = entries.last().map(|entry| entry.value.span.range.end);
                (NodeKind::Map(entries), last)
            }
        };
        // A block ends with its last entry; its end event stands at whatever comes next.
        // A flow ends with its bracket; its end event reaches over the comment behind.
        let end = if flow {
            end.range.start + 1
        } else {
            last.unwrap_or(start)
        };
        let span = Span::new(&self.source.file, start..end.max(start));
        Some(Node { kind, span })
    }

    fn refuse_references(&self, event: &Event, span: &Span) -> Result<()> {
        let (anchor, tag) = match event {
            Event::Alias(_) => (true, false),
            Event::Scalar(_, _, anchor, tag) => (*anchor > 0, tag.is_some()),
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                (*anchor > 0, tag.is_some())
            }
            _ => (false, false),
        };
        let (message, help) = match (anchor, tag) {
            (true, _) => (
                "anchors and aliases are not understood",
                "write the value out",
            ),
            (_, true) => (
                "tags are not understood",
                "leave it out; quotes make a text",
            ),
            _ => return Ok(()),
        };
        reference(message, help).at(span).fail()
    }

    fn span(&self, mark: saphyr_parser::Span) -> Span {
        let byte = |index: usize| match &self.offsets {
            Some(offsets) => offsets[index.min(offsets.len() - 1)],
            None => index,
        };
        self.source
            .part(byte(mark.start.index())..byte(mark.end.index()))
    }

    fn syntax_error(&self, error: &ScanError) -> Diagnostic {
        let at = *error.marker();
        if error.info().contains("recursion limit") {
            let here = self.span(saphyr_parser::Span::empty(at));
            return too_deep(&here);
        }
        if error.info().contains("anchor") {
            return reference(
                "anchors and aliases are not understood",
                "write the value out",
            )
            .at(self.span(saphyr_parser::Span::empty(at)));
        }
        let diagnostic = Diagnostic::error("yaml-syntax", error.info())
            .at(self.span(saphyr_parser::Span::empty(at)));
        match SYNTAX_HELP
            .iter()
            .find(|(part, _)| error.info().contains(part))
        {
            Some((_, help)) => diagnostic.help(*help),
            None => diagnostic,
        }
    }
}

fn reference(message: &str, help: &str) -> Diagnostic {
    Diagnostic::error("yaml-reference", message).help(help)
}

fn too_deep(at: &Span) -> Diagnostic {
    Diagnostic::error("too-deep", format!("nested more than {MAX_DEPTH} deep")).at(at)
}

/// The mistakes people make, by what the scanner says of them.
const SYNTAX_HELP: &[(&str, &str)] = &[
    (
        "mapping values are not allowed",
        "put quotes around a value that contains `: `",
    ),
    (
        "expected ',' or",
        "close the bracket or brace above, or put quotes around a value that contains one, a comma or `: `",
    ),
    (
        "did not find expected key",
        "is the line indented like the keys above it?",
    ),
    (
        "simple key",
        "is the line indented like the keys above it, and does the key end with a colon?",
    ),
];

impl Contents {
    fn add(&mut self, node: Node, found: &mut Vec<Diagnostic>) {
        let (entries, seen, key) = match self {
            Contents::List(items) => return items.push(node),
            Contents::Map { entries, seen, key } => (entries, seen, key),
        };
        let Some(key) = key.take() else {
            *key = Some(name_of_key(node, found));
            return;
        };
        match seen.entry(key.value.clone()) {
            hash_map::Entry::Occupied(first) => found.push(
                Diagnostic::error(
                    "duplicate-key",
                    format!("`{}` stands here twice", key.value),
                )
                .at(&key.span)
                .note_at("the first one is", first.get()),
            ),
            hash_map::Entry::Vacant(place) => {
                place.insert(key.span.clone());
                entries.push(Entry { key, value: node });
            }
        }
    }
}

fn name_of_key(node: Node, found: &mut Vec<Diagnostic>) -> Spanned<String> {
    let value = match node.kind {
        NodeKind::Scalar(scalar) => scalar.text,
        _ => {
            let message = "a key is a name, not a list or a mapping";
            found.push(Diagnostic::error("yaml-key", message).at(&node.span));
            String::new()
        }
    };
    let span = node.span;
    Spanned { value, span }
}

fn scalar(text: String, style: ScalarStyle, span: Span) -> Node {
    let (whole, content) = match style {
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
            let end = closing_quote(span.text());
            (0..end + 1, 1..end)
        }
        // The scanner's span of a block scalar starts after its header.
        ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => {
            (0..span.range.len(), 0..span.range.len())
        }
    };
    Node {
        kind: NodeKind::Scalar(Scalar {
            text,
            style,
            content: span.part(content),
        }),
        span: span.part(whole),
    }
}

/// Where the quote that `quoted` starts with is closed; the scanner's span reaches over the spaces behind it.
fn closing_quote(quoted: &str) -> usize {
    let bytes = quoted.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if bytes[0] == b'"' => at += 2,
            b'\'' if bytes[0] == b'\'' && bytes.get(at + 1) == Some(&b'\'') => at += 2,
            byte if byte == bytes[0] => return at,
            _ => at += 1,
        }
    }
    quoted.len().max(2) - 1
}

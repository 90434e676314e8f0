//! YAML with positions: every key and value knows the bytes it stands at.
//!
//! Accepted is what a recipe or a graph file needs: one document of mappings, lists and scalars. Anchors, aliases, tags
//! and non-scalar keys are refused, as are texts that are too large or too deep to be either.

use super::expression::Spanned;
use crate::diagnostic::{Diagnostic, Diagnostics, Result, SourceFile, Span};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};
use std::{
    collections::{HashMap, hash_map},
    fs::File,
    io::Read,
    path::Path,
    sync::Arc,
};

const MAX_BYTES: usize = 1 << 20;
const MAX_DEPTH: usize = 64;

#[derive(Debug, Clone)]
pub struct Node {
    pub kind: NodeKind,
    pub span: Span,
}

#[derive(Debug, Clone)]
pub enum NodeKind {
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order written, each key once.
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub key: Spanned<String>,
    pub value: Node,
}

#[derive(Debug, Clone)]
pub struct Scalar {
    /// As YAML reads it: folded, unescaped.
    pub text: String,
    pub style: ScalarStyle,
    /// The source slice without quotes or block header, so that a caret can point into it.
    pub content: Span,
}

/// A scalar by the core schema of YAML 1.2; quoted scalars are always text.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

/// Reads a file of at most 1 MiB of UTF-8. `shown` is its path in messages.
pub fn read(path: &Path, shown: &str) -> Result<Arc<SourceFile>> {
    let failed = |error: std::io::Error| {
        Diagnostic::error("unreadable", format!("cannot read {shown}: {error}"))
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    // One byte more than allowed is enough to see that a file is too large, however large it is.
    file.take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > MAX_BYTES {
        return Err(too_large(shown).into());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Diagnostic::error("not-utf8", format!("{shown} is not UTF-8 at byte {at}"))
            .help("save it as UTF-8 text")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(SourceFile::new(shown, text))
}

fn too_large(shown: &str) -> Diagnostic {
    Diagnostic::error("too-large", format!("{shown} is larger than 1 MiB"))
        .help("is it a recipe or a graph file at all?")
}

/// Parses the text under `source`, one document; no text at all is an empty scalar.
pub fn parse(source: &Span) -> Result<Node> {
    if source.range.len() > MAX_BYTES {
        return Err(too_large(&source.file.path).into());
    }
    refuse_odd_characters(source)?;
    Builder::new(source).build()
}

/// A NUL would end the scanner's input early, and a tab looks like any number of spaces.
fn refuse_odd_characters(source: &Span) -> Result<()> {
    let mut indenting = true;
    for (at, c) in source.text().char_indices() {
        let here = || source.part(at..at + c.len_utf8());
        if c == '\t' && indenting {
            return Err(Diagnostic::error("tab", "a tab indents this line")
                .at(here())
                .help("YAML indents with spaces")
                .into());
        }
        if c.is_control() && !matches!(c, '\t' | '\n' | '\r') {
            let message = format!("the control character U+{:04X} is not text", c as u32);
            return Err(Diagnostic::error("control-character", message)
                .at(here())
                .into());
        }
        indenting = c == '\n' || (indenting && c == ' ');
    }
    Ok(())
}

/// Builds the tree from events, with a stack of its own: nesting cannot exhaust the program's.
struct Builder<'a> {
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
    fn new(source: &'a Span) -> Self {
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

    fn build(mut self) -> Result<Node> {
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
                        return Err(Diagnostic::error("yaml-syntax", message).at(span).into());
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
            let message = format!("nested more than {MAX_DEPTH} deep");
            return Err(Diagnostic::error("too-deep", message).at(span).into());
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
        Err(Diagnostic::error("yaml-reference", message)
            .at(span)
            .help(help)
            .into())
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

/// The mistakes people make, by what the scanner says of them.
const SYNTAX_HELP: &[(&str, &str)] = &[
    (
        "anchor",
        "anchors and aliases are not understood: write the value out",
    ),
    (
        "mapping values are not allowed",
        "put quotes around a value that contains `: `",
    ),
    (
        "expected ',' or",
        "put quotes around a value that contains a comma, a bracket or a brace",
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
    let length = span.range.len();
    let content = match style {
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 1..length.max(2) - 1,
        // The scanner's span of a block scalar starts after its header.
        ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => 0..length,
    };
    let content = span.part(content);
    Node {
        kind: NodeKind::Scalar(Scalar {
            text,
            style,
            content,
        }),
        span,
    }
}

impl Node {
    /// What a message calls it: `a list`, `the text abc`.
    pub fn describe(&self) -> String {
        match &self.kind {
            NodeKind::List(_) => "a list".to_owned(),
            NodeKind::Map(_) => "a mapping".to_owned(),
            NodeKind::Scalar(scalar) => match scalar.literal() {
                Literal::Null => "nothing".to_owned(),
                Literal::Text(text) => format!("the text {text:?}"),
                Literal::Bool(_) | Literal::Int(_) | Literal::Float(_) => scalar.text.clone(),
            },
        }
    }
}

impl Scalar {
    pub fn literal(&self) -> Literal {
        let text = self.text.as_str();
        if self.style != ScalarStyle::Plain {
            return Literal::Text(text.to_owned());
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Literal::Null,
            "true" | "True" | "TRUE" => return Literal::Bool(true),
            "false" | "False" | "FALSE" => return Literal::Bool(false),
            _ => {}
        }
        // `inf`, `nan` and `infinity` parse as Rust floats, but are words here.
        let numeric = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            && text.contains(|c: char| c.is_ascii_digit());
        if numeric && let Ok(value) = text.parse() {
            return Literal::Int(value);
        }
        match text.parse() {
            Ok(value) if numeric && f64::is_finite(value) => Literal::Float(value),
            _ => Literal::Text(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;

//! Diagnostics: what was got, what was wanted, where each number came from, and the nearest fix.

mod codes;
mod render;

pub use codes::{CODES, Code, FAILURES};

use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::{collections::HashSet, fmt, ops::Range, sync::Arc};

/// One source text: a recipe, a graph file or a `--set` argument.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SourceFile {
    /// As shown to the user: `recipes/swin_b.yaml`, `graphs/nn/mlp.yaml`, `--set`.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl SourceFile {
    /// A text under the path that is shown for it.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(SourceFile {
            path: path.into(),
            text: text.into(),
        })
    }
}

/// A piece of a source text, in bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Span {
    /// The text it is a piece of.
    pub file: Arc<SourceFile>,
    /// Where in it.
    pub range: Range<usize>,
}

/// A line and a column, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl Span {
    /// A piece of a text; pointing outside of it does no harm.
    pub fn new(file: &Arc<SourceFile>, range: Range<usize>) -> Self {
        Span {
            file: file.clone(),
            range,
        }
    }

    /// The whole of a text that was made up on the spot, for example in a test.
    pub fn of_text(path: &str, text: &str) -> Self {
        Span::new(&SourceFile::new(path, text), 0..text.len())
    }

    /// The text under the span.
    pub fn text(&self) -> &str {
        &self.file.text[self.clamped()]
    }

    /// A part of this span; `range` counts bytes from its start.
    pub fn part(&self, range: Range<usize>) -> Self {
        let start = self.range.start;
        Span::new(&self.file, start + range.start..start + range.end)
    }

    /// Where the span starts.
    pub fn position(&self) -> Position {
        let before = &self.file.text[..self.clamped().start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The range, moved inside the text and onto character boundaries, so that pointing can never fail.
    fn clamped(&self) -> Range<usize> {
        let text = &self.file.text;
        let floor = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(self.range.start);
        start..floor(self.range.end).max(start)
    }
}

/// `recipes/swin_b.yaml:5:104`
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Position { line, column } = self.position();
        write!(f, "{}:{line}:{column}", self.file.path)
    }
}

/// As `Display`: the text of a file has no place in a debug print of its tree.
impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<&Span> for Span {
    fn from(span: &Span) -> Self {
        span.clone()
    }
}

/// Whether anything can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing comes of it.
    Error,
    /// Legal and doubtful.
    Warning,
}

/// One message about one mistake.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Stable, kebab-case, documented: `unknown-key`, `does-not-hold`.
    pub code: &'static str,
    /// Whether anything can go on.
    pub severity: Severity,
    /// What was got and what was wanted, one sentence without a full stop.
    pub message: String,
    /// Where the caret points.
    pub span: Option<Span>,
    /// The instance of a graph the mistake was met in: `encoder.layers.0.blocks.0.attn`.
    pub instance: Option<String>,
    /// Where each number came from.
    pub notes: Vec<Note>,
    /// The nearest fix.
    pub help: Option<String>,
}

/// A fact behind a diagnostic. With a span it reads `text from path:line:column`, so `window = 7` or `the first one`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is the case.
    pub text: String,
    /// Where that was written.
    pub span: Option<Span>,
}

impl Diagnostic {
    /// A mistake; `code` is one of [`CODES`].
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message.into())
    }

    /// What is legal and doubtful; `code` is one of [`CODES`].
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message.into())
    }

    fn new(severity: Severity, code: &'static str, message: String) -> Self {
        Diagnostic {
            code,
            severity,
            message,
            span: None,
            instance: None,
            notes: Vec::new(),
            help: None,
        }
    }

    /// Where the caret points.
    pub fn at(mut self, span: impl Into<Span>) -> Self {
        self.span = Some(span.into());
        self
    }

    /// The instance path; an empty one is the top graph, which needs no naming.
    pub fn within(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into()).filter(|path| !path.is_empty());
        self
    }

    /// A fact that stands nowhere.
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(Note {
            text: text.into(),
            span: None,
        });
        self
    }

    /// A note with the place it speaks of.
    pub fn note_at(mut self, text: impl Into<String>, span: impl Into<Span>) -> Self {
        self.notes.push(Note {
            text: text.into(),
            span: Some(span.into()),
        });
        self
    }

    /// The nearest fix.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The only thing found: `return Diagnostic::error(…).at(…).fail()`.
    ///
    /// # Errors
    /// Always: this one.
    pub fn fail<T>(self) -> Result<T> {
        Err(self.into())
    }

    /// Asks whether the nearest of the candidates was meant; without a near one the help stays as it is.
    pub fn suggest<'a>(self, name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(name, candidates) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        }
    }
}

/// For machines: code, severity, message, file, line, column, instance, notes and help; `null` for what is not there.
impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let place = self.span.as_ref().map(|span| (span, span.position()));
        let notes: Vec<String> = self.notes.iter().map(Note::to_string).collect();
        let mut fields = serializer.serialize_struct("Diagnostic", 9)?;
        fields.serialize_field("code", self.code)?;
        fields.serialize_field("severity", &self.severity)?;
        fields.serialize_field("message", &self.message)?;
        fields.serialize_field("file", &place.as_ref().map(|(span, _)| &span.file.path))?;
        fields.serialize_field("line", &place.as_ref().map(|(_, at)| at.line))?;
        fields.serialize_field("column", &place.as_ref().map(|(_, at)| at.column))?;
        fields.serialize_field("instance", &self.instance)?;
        fields.serialize_field("notes", &notes)?;
        fields.serialize_field("help", &self.help)?;
        fields.end()
    }
}

/// At least one error, perhaps with warnings. None at all says that a mistake only follows from one already told.
#[derive(Debug, Clone)]
pub struct Diagnostics(pub Vec<Diagnostic>);

/// A value, or what was found against it.
pub type Result<T> = std::result::Result<T, Diagnostics>;

impl Diagnostics {
    /// The value, unless anything was found against it.
    ///
    /// # Errors
    /// All that was found, if anything was.
    pub fn unless<T>(found: Vec<Diagnostic>, value: T) -> Result<T> {
        if found.is_empty() {
            Ok(value)
        } else {
            Err(Diagnostics(found))
        }
    }

    /// What is wrong only because something else is, which has been told.
    pub fn follows() -> Self {
        Diagnostics(Vec::new())
    }

    /// By position, the files in the order they were met, and none twice, whichever instance it was met in.
    pub fn in_order(self) -> Self {
        let mut files: Vec<Arc<SourceFile>> = Vec::new();
        let mut place = |one: &Diagnostic| {
            let span = one.span.as_ref()?;
            let known = files.iter().position(|file| *file == span.file);
            let file = known.unwrap_or_else(|| {
                files.push(span.file.clone());
                files.len() - 1
            });
            Some((file, span.range.start, span.range.end))
        };
        let placed = self.0.into_iter().map(|one| (place(&one), one));
        let mut placed: Vec<_> = placed.collect();
        placed.sort_by_key(|(place, _)| *place);
        let mut seen = HashSet::new();
        placed.retain(|(place, one)| seen.insert((*place, one.code, one.message.clone())));
        Diagnostics(placed.into_iter().map(|(_, one)| one).collect())
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Diagnostics(vec![diagnostic])
    }
}

impl std::error::Error for Diagnostics {}

/// The candidate that `name` is most likely a slip of, if any is near: at most one slip in three characters of the longer.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|&(distance, candidate)| {
            // A one-letter name is one slip away from every other.
            let longer = length.max(candidate.chars().count());
            distance <= (longer / 3).max(1) && distance < candidate.chars().count()
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let file = SourceFile::new("a.yaml", "x: 1\né: ü\r\nz");
        let position = |at| Span::new(&file, at..at).position();
        let at = |line, column| Position { line, column };
        assert_eq!(position(0), at(1, 1));
        assert_eq!(position(4), at(1, 5));
        assert_eq!(position(5), at(2, 1));
        assert_eq!(position(9), at(2, 4), "two bytes before it make one column");
        assert_eq!(position(13), at(3, 1));
        assert_eq!(position(14), at(3, 2));
    }

    #[test]
    fn a_span_outside_its_text_still_renders() {
        let file = SourceFile::new("a.yaml", "é");
        for range in [0..99, 1..1, 1..2, 50..60] {
            let diagnostic = Diagnostic::error("lost", "lost").at(Span::new(&file, range));
            assert!(
                Diagnostics::from(diagnostic)
                    .render(false)
                    .contains("a.yaml:1:")
            );
        }
    }

    #[test]
    fn nearest_forgives_one_slip_in_three_characters() {
        let names = ["depth", "depths", "heads", "x"];
        assert_eq!(nearest("dpeth", names), Some("depth"));
        assert_eq!(nearest("dpeths", ["depths"]), Some("depths"));
        assert_eq!(nearest("depht", ["depths", "dim"]), Some("depths"));
        assert_eq!(nearest("deepths", names), Some("depths"));
        assert_eq!(nearest("head", names), Some("heads"));
        assert_eq!(nearest("width", names), None);
        assert_eq!(nearest("y", names), None);
    }
}

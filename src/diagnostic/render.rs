//! Diagnostics as text: the message, the source line with carets, the notes with their places, the help.

use super::{Diagnostic, Diagnostics, Note, Severity, Span};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::{fmt, ops::Range};

/// More than these nobody reads, and a hostile file can have a hundred thousand.
const MOST: usize = 30;

impl Diagnostics {
    /// Each diagnostic with its source line, one blank line between two; of very many the first. `colour` adds terminal
    /// colours.
    pub fn render(&self, colour: bool) -> String {
        let told = self.0.iter().take(MOST);
        let mut rendered: Vec<_> = told.map(|one| one.render(colour)).collect();
        if self.0.len() > MOST {
            rendered.push(format!("and {} more", self.0.len() - MOST));
        }
        rendered.join("\n\n") + "\n"
    }
}

impl Diagnostic {
    /// Without a newline at the end.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.message.as_str()).id(self.code);
        let mut group = Group::with_title(title);
        let inside = self.instance.as_ref().map(|path| format!("in {path}"));
        match (&self.span, inside) {
            (Some(span), label) => {
                let caret = AnnotationKind::Primary.span(caret(span)).label(label);
                let snippet = Snippet::source(span.file.text.as_str())
                    .path(span.file.path.as_str())
                    .annotation(caret);
                group = group.element(snippet);
            }
            (None, Some(label)) => group = group.element(Level::NOTE.no_name().message(label)),
            (None, None) => {}
        }
        for note in &self.notes {
            group = group.element(Level::NOTE.no_name().message(note.to_string()));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

/// What is underlined: of a span over several lines only the first, which is enough to find it.
fn caret(span: &Span) -> Range<usize> {
    let Range { start, end } = span.clamped();
    let line = span.file.text[start..end].lines().next().unwrap_or("");
    start..start + line.trim_end().len()
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.span {
            Some(span) => write!(f, "{} from {span}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// As [`Diagnostics::render`], without colours.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

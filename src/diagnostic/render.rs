//! Diagnostics as text: the message, the source line with carets, the notes with their places, the help.

use super::{Diagnostic, Diagnostics, Note, Severity, Span};
use crate::text::columns::{WIDTH, broken};
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
    /// Without a newline at the end, and on [`WIDTH`] columns: sentences are broken between words, and of a longer line of a
    /// source the part around the caret is shown.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        }
        .term_width(WIDTH);
        let (level, name) = match self.severity {
            Severity::Error => (Level::ERROR, "error"),
            Severity::Warning => (Level::WARNING, "warning"),
        };
        let before = format!("{name}[{}]: ", self.code);
        let title = level
            .primary_title(folded(&self.message, &before))
            .id(self.code);
        // What is told below begins behind the number of the line.
        let number = self.span.as_ref().map_or(1, |span| span.position().line);
        let margin = format!("{number} = ");
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
            let text = folded(&note.to_string(), &margin);
            group = group.element(Level::NOTE.no_name().message(text));
        }
        if let Some(help) = &self.help {
            let text = folded(help, &format!("{margin}help: "));
            group = group.element(Level::HELP.message(text));
        }
        renderer.render(&[group])
    }
}

/// A sentence in lines that leave room for what stands before the first.
fn folded(sentence: &str, before: &str) -> String {
    let room = WIDTH - before.chars().count();
    match sentence.chars().count() <= room {
        true => sentence.to_owned(),
        false => broken(sentence, room).join("\n"),
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

//! Rows as text: neighbouring folds joined, long rows broken.

use super::{
    Piece, Section, Written,
    fold::{Fold, Row, Scope},
    names::{Names, PathId},
};

/// Columns of a row, where its parts allow it.
const WIDTH: usize = 120;
/// In front of what goes on from the row above.
const INDENT: &str = "      ";

pub struct Layout<'a> {
    pub names: &'a Names,
    pub lines: &'a [Written<'a>],
    /// Whether a section has lines at or below a path.
    pub is_scope: &'a dyn Fn(usize, PathId, bool) -> bool,
}

impl Layout<'_> {
    pub fn text(&self, sections: &[Section], rows: impl Fn(usize) -> Vec<Row>) -> String {
        let mut text = String::new();
        for (number, section) in sections.iter().enumerate() {
            if number > 0 {
                text.push('\n');
            }
            text.push_str(&format!("# {}\n", section.heading));
            let rows = rows(number);
            for run in rows.chunk_by(|a, b| self.joins(a, b)) {
                self.run(number, run, &mut text);
            }
        }
        text
    }

    /// Whether a row goes on counting where the one above it stopped.
    fn joins(&self, above: &Row, below: &Row) -> bool {
        let (Row::Fold(a), Row::Fold(b)) = (above, below) else {
            return false;
        };
        let next = match (self.numbered(&a.scope), self.numbered(&b.scope)) {
            (Some((parent, m)), Some((other, n))) => parent == other && m.abs_diff(n) == 1,
            _ => false,
        };
        let plain = a.exceptions.is_empty() && b.exceptions.is_empty();
        next && plain && a.scope.back == b.scope.back && self.map(a) == self.map(b)
    }

    /// The parent and number of `blocks.3`.
    fn numbered(&self, scope: &Scope) -> Option<(PathId, usize)> {
        let word = self.names.words(scope.path).last()?;
        Some((self.names.parent(scope.path), self.names.number(*word)?))
    }

    /// A line, or folds that are joined.
    fn run(&self, section: usize, rows: &[Row], text: &mut String) {
        if let [Row::Line(line)] = rows {
            return wrap(&self.line(*line), text);
        }
        let folds: Vec<&Fold> = rows.iter().filter_map(Row::fold).collect();
        wrap(&self.folds(section, &folds), text);
        for &line in folds.iter().flat_map(|fold| &fold.exceptions) {
            wrap(&self.line(line), text);
        }
    }

    pub fn line(&self, line: usize) -> String {
        let mut text = format!("{}: ", self.names.own(line));
        for piece in &self.lines[line].pieces {
            match piece {
                Piece::Words(words) => text.push_str(words),
                Piece::Name(read) => text.push_str(&self.names.read_by(line, *read)),
            }
        }
        text
    }

    fn folds(&self, section: usize, folds: &[&Fold]) -> String {
        let (first, last) = (&folds[0], folds[folds.len() - 1]);
        let scope = self.names.text(first.scope.path, false);
        let mark = if first.scope.back { "'" } else { "" };
        let range = match self.numbered(&last.scope) {
            Some((_, number)) if folds.len() > 1 => format!("..{number}"),
            _ => String::new(),
        };
        let models: Vec<String> = folds.iter().map(|f| self.model(section, f)).collect();
        let period = (1..models.len())
            .find(|&period| models.iter().zip(&models[period..]).all(|(a, b)| a == b))
            .unwrap_or(models.len());
        let turns = if period > 1 { " in turn" } else { "" };
        let lines: usize = folds.iter().map(|fold| fold.scope.count).sum();
        let except = if first.exceptions.is_empty() {
            ""
        } else {
            ", except"
        };
        format!(
            "{scope}{range}{mark}.* = {}{turns} ({lines} lines){}{except}",
            models[..period].join(", "),
            self.map(first),
        )
    }

    fn model(&self, section: usize, fold: &Fold) -> String {
        let Scope { path, back, .. } = fold.scope;
        let is_scope = |path| (self.is_scope)(section, path, back);
        let name = self.names.scope_seen_from(path, fold.model.path, is_scope);
        format!("{name}{}.*", if back { "'" } else { "" })
    }

    fn map(&self, fold: &Fold) -> String {
        let sizes = fold.sizes.iter().map(|(a, b)| format!("{a} → {b}"));
        let reads = fold.reads.iter().map(|&(a, b)| {
            let named = |name: fn(&Names, PathId, bool, usize) -> String| {
                let at = |scope: &Scope, line| name(self.names, scope.path, scope.back, line);
                (at(&fold.model, a), at(&fold.scope, b))
            };
            let (mut a, mut b) = named(Names::seen_from);
            if a == b {
                (a, b) = named(Names::seen_in_full);
            }
            format!("{a} → {b}")
        });
        let map: Vec<String> = sizes.chain(reads).collect();
        if map.is_empty() {
            return String::new();
        }
        format!(" with {}", map.join(", "))
    }
}

impl Row {
    fn fold(&self) -> Option<&Fold> {
        match self {
            Row::Fold(fold) => Some(fold),
            Row::Line(_) => None,
        }
    }
}

/// Breaks a row that is too long: behind a comma or a semicolon, in front of what a line does, is kept as, or its code. Views
/// stay whole.
fn wrap(row: &str, text: &mut String) {
    let length = |text: &str| text.trim_end().chars().count();
    let (head, code) = row.split_at(row.find(" {").map_or(row.len(), |at| at + 1));
    let mut column = 0;
    for chunk in chunks(head).into_iter().chain(chunks(code)) {
        // Code that has to be broken begins a row.
        let next = if chunk.starts_with('{') { code } else { chunk };
        if column > 0 && column + length(next) > WIDTH {
            text.truncate(text.trim_end().len());
            text.push('\n');
            text.push_str(INDENT);
            column = INDENT.len();
        }
        text.push_str(chunk);
        column += chunk.chars().count();
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
}

/// What stays on one line each.
fn chunks(text: &str) -> Vec<&str> {
    let mut chunks = Vec::new();
    let (mut start, mut views, mut shapes) = (0, 0, true);
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let behind = &text[at + c.len_utf8()..];
        let ends = ",;".contains(before)
            || shapes && behind.starts_with("= ")
            || before == ')' && behind.starts_with('→');
        match c {
            '[' => views += 1,
            ']' => views -= 1,
            ' ' if views == 0 && ends => {
                chunks.push(&text[start..=at]);
                start = at + 1;
                shapes = false;
            }
            '{' => shapes = false,
            _ => {}
        }
        before = c;
    }
    if start < text.len() {
        chunks.push(&text[start..]);
    }
    chunks
}

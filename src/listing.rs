//! Listings: the text form of graphs and plans. Canonical, one line per node with its shape and origin, repeats folded.
//!
//! A listing is a pure function of what it lists. A scope (the lines of one instance path and everything below it) whose lines
//! equal those of an earlier scope, up to its own path and what it reads from outside, is one line that names the earlier one.

use rustc_hash::{FxHashMap, FxHashSet};
use std::fmt::Write;

/// One node or kernel.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// Instance path; `'` at the end marks a gradient.
    pub origin: String,
    /// Dims of each result, as shown: `[4, 48, 48, 128]`.
    pub shape: String,
    /// What it does, before its arguments.
    pub label: String,
    pub args: Vec<Arg>,
}

#[derive(Debug, Clone)]
pub enum Arg {
    /// The result of an earlier line, with how it is seen where that is not whole: `%12[0:4, ~6]`.
    Line(usize, String),
    Text(String),
}

/// Scopes of fewer lines are written out: a reference would not be shorter.
const SMALLEST_FOLD: usize = 3;

/// Renders lines in order.
pub fn render(lines: &[Line]) -> String {
    let scopes = Scopes::new(lines);
    let names = scopes.names(lines);
    let mut rows: Vec<Row> = Vec::new();
    let mut first_with: FxHashMap<String, String> = FxHashMap::default();
    let mut folded: FxHashSet<String> = FxHashSet::default();
    let mut opened: FxHashSet<String> = FxHashSet::default();
    'lines: for (at, line) in lines.iter().enumerate() {
        for scope in ancestors(&line.origin) {
            if folded.contains(&scope) {
                continue 'lines;
            }
            if opened.contains(&scope) {
                continue;
            }
            let members = &scopes.members[&scope];
            if members.len() >= SMALLEST_FOLD {
                let (body, reads) = scopes.body(lines, &scope);
                match first_with.get(&body) {
                    Some(model) => {
                        let reads = reads
                            .iter()
                            .map(|&r| names[r].clone())
                            .collect::<Vec<_>>()
                            .join(", ");
                        rows.push(Row::Fold {
                            scope: scope.clone(),
                            model: model.clone(),
                            reads,
                            lines: members.len(),
                        });
                        folded.insert(scope);
                        continue 'lines;
                    }
                    None => {
                        first_with.insert(body, scope.clone());
                    }
                }
            }
            opened.insert(scope);
        }
        let mut text = line.label.clone();
        let args: Vec<String> = line
            .args
            .iter()
            .map(|arg| match arg {
                Arg::Line(of, view) => format!("{}{view}", names[*of]),
                Arg::Text(text) => text.clone(),
            })
            .collect();
        if !args.is_empty() {
            let _ = write!(text, "({})", args.join(", "));
        }
        rows.push(Row::Line {
            name: names[at].clone(),
            shape: line.shape.clone(),
            text,
        });
    }
    layout(&join_repeats(rows))
}

enum Row {
    Line {
        name: String,
        shape: String,
        text: String,
    },
    Fold {
        scope: String,
        model: String,
        reads: String,
        lines: usize,
    },
    Repeat {
        scopes: String,
        models: String,
        lines: usize,
    },
}

struct Scopes {
    /// Scope -> its lines.
    members: FxHashMap<String, Vec<usize>>,
    /// Number of each line among those of its exact origin.
    serial: Vec<usize>,
}

impl Scopes {
    fn new(lines: &[Line]) -> Self {
        let mut members: FxHashMap<String, Vec<usize>> = FxHashMap::default();
        let mut counts: FxHashMap<&str, usize> = FxHashMap::default();
        let mut serial = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let count = counts.entry(&line.origin).or_insert(0);
            serial.push(*count);
            *count += 1;
            for scope in ancestors(&line.origin) {
                members.entry(scope).or_default().push(at);
            }
        }
        Scopes { members, serial }
    }

    /// `encoder.norm` for the only or last line of an origin would be ambiguous, so every line but the first is numbered.
    fn names(&self, lines: &[Line]) -> Vec<String> {
        let name = |(at, line): (usize, &Line)| match self.serial[at] {
            0 => line.origin.clone(),
            n => format!("{}#{n}", line.origin),
        };
        lines.iter().enumerate().map(name).collect()
    }

    /// The text of a scope with its path and outside reads taken out, and those reads in order.
    fn body(&self, lines: &[Line], scope: &str) -> (String, Vec<usize>) {
        let path = scope.trim_end_matches('\'');
        let inside: FxHashSet<usize> = self.members[scope].iter().copied().collect();
        let mut reads: Vec<usize> = Vec::new();
        let mut body = String::new();
        for &at in &self.members[scope] {
            let line = &lines[at];
            let local = |text: &str| text.replace(path, "$");
            let _ = write!(
                body,
                "{}|{}|{}",
                local(&line.origin),
                line.shape,
                local(&line.label)
            );
            for arg in &line.args {
                match arg {
                    Arg::Line(of, view) if inside.contains(of) => {
                        let _ = write!(
                            body,
                            "|{}#{}{view}",
                            local(&lines[*of].origin),
                            self.serial[*of]
                        );
                    }
                    Arg::Line(of, view) => {
                        let number = reads.iter().position(|r| r == of).unwrap_or_else(|| {
                            reads.push(*of);
                            reads.len() - 1
                        });
                        let _ = write!(body, "|@{number}{view}");
                    }
                    Arg::Text(text) => {
                        let _ = write!(body, "|{}", local(text));
                    }
                }
            }
            body.push('\n');
        }
        (body, reads)
    }
}

/// `a`, `a.b`, `a.b.c` for `a.b.c`, each with the mark of a gradient.
fn ancestors(origin: &str) -> Vec<String> {
    let path = origin.trim_end_matches('\'');
    let mark = &origin[path.len()..];
    let ends = path
        .match_indices('.')
        .map(|(i, _)| i)
        .chain(std::iter::once(path.len()));
    ends.filter(|&end| end > 0)
        .map(|end| format!("{}{mark}", &path[..end]))
        .collect()
}

/// Neighbouring folds `p.2 = p.0`, `p.3 = p.1`, ... become one row.
fn join_repeats(rows: Vec<Row>) -> Vec<Row> {
    let mut joined = Vec::new();
    let mut rows = rows.into_iter().peekable();
    while let Some(row) = rows.next() {
        let Row::Fold {
            scope,
            model,
            reads,
            lines,
        } = row
        else {
            joined.push(row);
            continue;
        };
        let mut run = vec![(scope, model, reads, lines)];
        while let Some(Row::Fold { scope, .. }) = rows.peek() {
            let (Some((parent, number)), Some((last_parent, last))) =
                (indexed(scope), indexed(&run[run.len() - 1].0))
            else {
                break;
            };
            if parent != last_parent || number.abs_diff(last) != 1 {
                break;
            }
            let Some(Row::Fold {
                scope,
                model,
                reads,
                lines,
            }) = rows.next()
            else {
                break;
            };
            run.push((scope, model, reads, lines));
        }
        if run.len() == 1 {
            let (scope, model, reads, lines) = run.remove(0);
            joined.push(Row::Fold {
                scope,
                model,
                reads,
                lines,
            });
            continue;
        }
        let mut models: Vec<String> = Vec::new();
        for (_, model, _, _) in &run {
            if !models.contains(model) {
                models.push(model.clone());
            }
        }
        let (first, last) = (&run[0].0, &run[run.len() - 1].0);
        let mark = if first.ends_with('\'') { "'" } else { "" };
        let (parent, from) = indexed(first).expect("a run is of numbered scopes");
        let (_, to) = indexed(last).expect("a run is of numbered scopes");
        let lines = run.iter().map(|r| r.3).sum();
        joined.push(Row::Repeat {
            scopes: format!("{parent}.{from}..{to}{mark}"),
            models: models.join(" / "),
            lines,
        });
    }
    joined
}

/// `("encoder.blocks", 3)` for `encoder.blocks.3`, with or without the mark of a gradient.
fn indexed(scope: &str) -> Option<(&str, usize)> {
    let (parent, number) = scope.trim_end_matches('\'').rsplit_once('.')?;
    Some((parent, number.parse().ok()?))
}

fn layout(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let _ = match row {
            Row::Line {
                name,
                shape,
                text: what,
            } => writeln!(text, "{name}: {shape} = {what}"),
            Row::Fold {
                scope,
                model,
                reads,
                lines,
            } => {
                writeln!(
                    text,
                    "{scope}.* = {model}.* ({lines} lines) reading {}",
                    if reads.is_empty() { "nothing" } else { reads }
                )
            }
            Row::Repeat {
                scopes,
                models,
                lines,
            } => writeln!(text, "{scopes}.* = {models} in turn ({lines} lines)"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(lines: &mut Vec<Line>, scope: &str, shape: &str) {
        let previous = lines.len() - 1;
        let line = |step: &str, args| Line {
            origin: format!("{scope}.{step}"),
            shape: shape.into(),
            label: format!("weight {scope}.{step}.w"),
            args,
        };
        let from = lines.len();
        lines.push(line("norm", vec![Arg::Line(previous, String::new())]));
        lines.push(line("mlp", vec![Arg::Line(from, "[~4]".into())]));
        lines.push(line(
            "mlp",
            vec![
                Arg::Line(from + 1, String::new()),
                Arg::Line(previous, String::new()),
            ],
        ));
    }

    #[test]
    fn equal_scopes_fold_and_unequal_ones_do_not() {
        let mut lines = vec![Line {
            origin: "image".into(),
            shape: "[2]".into(),
            label: "input".into(),
            args: vec![],
        }];
        for (i, shape) in ["[8]", "[9]", "[8]", "[9]", "[8]"].iter().enumerate() {
            block(&mut lines, &format!("encoder.blocks.{i}"), shape);
        }
        insta::assert_snapshot!(render(&lines), @r"
        image: [2] = input
        encoder.blocks.0.norm: [8] = weight encoder.blocks.0.norm.w(image)
        encoder.blocks.0.mlp: [8] = weight encoder.blocks.0.mlp.w(encoder.blocks.0.norm[~4])
        encoder.blocks.0.mlp#1: [8] = weight encoder.blocks.0.mlp.w(encoder.blocks.0.mlp, image)
        encoder.blocks.1.norm: [9] = weight encoder.blocks.1.norm.w(encoder.blocks.0.mlp#1)
        encoder.blocks.1.mlp: [9] = weight encoder.blocks.1.mlp.w(encoder.blocks.1.norm[~4])
        encoder.blocks.1.mlp#1: [9] = weight encoder.blocks.1.mlp.w(encoder.blocks.1.mlp, encoder.blocks.0.mlp#1)
        encoder.blocks.2..4.* = encoder.blocks.0 / encoder.blocks.1 in turn (9 lines)
        ");
    }
}

//! Listings: the text form of graphs and plans. Canonical, one line per node with its origin and shape, repeats folded.
//!
//! A listing is a pure function of what it lists. A line reads
//!
//! ```text
//! encoder.layers.0.blocks.0.h: [2, 48, 48, 128] = add(hidden, attn[2, 48, 48, 128])
//! ```
//!
//! **Names.** A line is called by its origin, the instance path of its node; `'` marks a gradient. The lines of one origin are
//! numbered from `#1`, except that the last line at or below a path has the bare path. What a line reads is named as it is seen
//! from there: `#2` is of the line's own origin, and any other name is looked up below the line's origin, then below that
//! path's parent, and so on outwards, as in a program, past itself; `.a.b` starts at the top. A path stands for the last line
//! at or below it: `attn` for `attn.whole`. `^` is the line whose name is the end of the line's own. `:1` is the second result
//! of a line, `:4..7` are several, and `a .. b` are all lines from a to b. What a result is kept as follows `→`.
//!
//! **Views.** `[2, ~8, 0..4, +1+1, 6 order 0213]` says how the reader sees a tensor, axis by axis: in full, repeated (`~`),
//! cut, with zeros around it; `order` gives the tensor's own axes where they are not in order. No brackets: as it is.
//!
//! **Folds.** A scope is all lines at and below one path. Where it equals an earlier one up to names and sizes, it is one row:
//!
//! ```text
//! encoder.layers.1.* = layers.0.* (194 lines) with 48 → 24, 128 → 256, hidden → layers.0
//! ```
//!
//! To read it, take the lines of the scope on the right and replace every size that is listed (a size is any number but those
//! of axes, results and `×`); sizes that are not listed stay. Names move along with the scope: inside it of course, and so does
//! what it reads next to it, at the same distance (`blocks.4` reads `blocks.3` where `blocks.2` reads `blocks.1`). Other names
//! are listed, as seen from each of the two scopes. Rows behind `except` replace the lines of their names. `blocks.2..17.* =
//! blocks.0.*, blocks.1.* in turn` is a row for each number.

mod fold;
mod layout;
mod map;
mod names;
mod numbers;

use fold::{Folder, Row};
use layout::Layout;
use names::Names;

/// A part of a listing under a heading. The lines of all parts are numbered through.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// What stands above the lines; empty for none.
    pub heading: String,
    /// In order.
    pub lines: Vec<Line>,
}

/// One node or kernel.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// Instance path; `'` at the end marks a gradient.
    pub origin: String,
    /// Dims of each result.
    pub shapes: Vec<Vec<usize>>,
    /// What it does, before its arguments.
    pub label: String,
    /// What the operator is applied to.
    pub args: Vec<Arg>,
    /// What is done to each element, where the label does not say it.
    pub code: String,
    /// What its results are kept as.
    pub kept: Vec<Arg>,
}

/// One argument of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// A number, a name.
    Text(String),
    /// A line by its number, in words: `gradient of ` before it, how it is seen behind it.
    Line {
        /// What stands before the number.
        before: String,
        /// The line whose result is meant.
        line: usize,
        /// What stands behind the number: a view.
        after: String,
    },
    /// All lines between two, both included.
    Lines(usize, usize),
}

impl Arg {
    /// The result of a line, seen by a view.
    pub fn line(line: usize, after: String) -> Self {
        let before = String::new();
        Arg::Line {
            before,
            line,
            after,
        }
    }
}

/// Renders sections in order, repeats folded.
pub fn render(sections: &[Section]) -> String {
    let (lines, starts) = joined(sections);
    let names = Names::new(&lines);
    let folder = Folder::new(&names, &lines, &starts);
    let layout = Layout {
        names: &names,
        lines: &lines,
        is_scope: &|section, path, back| folder.has_scope(section, path, back),
    };
    layout.text(sections, |section| folder.rows(section))
}

/// Renders sections in order, every line written out: what a folded listing stands for.
pub fn unfolded(sections: &[Section]) -> String {
    let (lines, starts) = joined(sections);
    let names = Names::new(&lines);
    let layout = Layout {
        names: &names,
        lines: &lines,
        is_scope: &|_, _, _| false,
    };
    let rows = |section: usize| (starts[section]..starts[section + 1]).map(Row::Line);
    layout.text(sections, |section| rows(section).collect())
}

/// The lines of all sections, each written out on one row.
pub fn lines(sections: &[Section]) -> Vec<String> {
    let (lines, _) = joined(sections);
    let names = Names::new(&lines);
    let layout = Layout {
        names: &names,
        lines: &lines,
        is_scope: &|_, _, _| false,
    };
    (0..lines.len()).map(|line| layout.line(line)).collect()
}

/// A line's text: words, and the lines it names.
#[derive(Debug, Clone)]
enum Piece {
    Words(String),
    Name(usize),
}

/// A line as it is compared and written.
#[derive(Debug)]
struct Written<'a> {
    origin: &'a str,
    /// Reads nothing: it does not go by the name of its scope.
    leaf: bool,
    pieces: Vec<Piece>,
}

/// The lines of all sections, and where each section begins (and the last one ends).
fn joined(sections: &[Section]) -> (Vec<Written<'_>>, Vec<usize>) {
    let mut lines = Vec::new();
    let mut starts = vec![0];
    for section in sections {
        lines.extend(section.lines.iter().map(Written::new));
        starts.push(lines.len());
    }
    (lines, starts)
}

impl<'a> Written<'a> {
    fn new(line: &'a Line) -> Self {
        let mut pieces = Pieces(Vec::new());
        if !line.shapes.is_empty() {
            pieces.words(&format!("{} = ", shapes(&line.shapes)));
        }
        pieces.words(&line.label);
        if !line.args.is_empty() {
            pieces.words("(");
            pieces.args(&line.args, ", ");
            pieces.words(")");
        }
        for kept in &line.kept {
            pieces.words(" → ");
            pieces.args(std::slice::from_ref(kept), "");
        }
        if !line.code.is_empty() {
            pieces.words(&format!(" {{{}}}", line.code));
        }
        Written {
            origin: &line.origin,
            leaf: line.args.is_empty(),
            pieces: pieces.0,
        }
    }
}

struct Pieces(Vec<Piece>);

impl Pieces {
    fn words(&mut self, text: &str) {
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Words(last)) => last.push_str(text),
            _ => self.0.push(Piece::Words(text.into())),
        }
    }

    fn args(&mut self, args: &[Arg], between: &str) {
        for (i, arg) in args.iter().enumerate() {
            if i > 0 {
                self.words(between);
            }
            match arg {
                Arg::Text(text) => self.words(text),
                Arg::Line {
                    before,
                    line,
                    after,
                } => {
                    self.words(before);
                    self.0.push(Piece::Name(*line));
                    self.words(after);
                }
                Arg::Lines(first, last) => {
                    self.0.push(Piece::Name(*first));
                    self.words(" .. ");
                    self.0.push(Piece::Name(*last));
                }
            }
        }
    }
}

/// `[8, 48, 48, 128] ×2 [8, 48, 48]`
fn shapes(shapes: &[Vec<usize>]) -> String {
    let runs = shapes.chunk_by(|a, b| a == b);
    let run = |run: &[Vec<usize>]| match run.len() {
        1 => format!("{:?}", run[0]),
        n => format!("{:?} ×{n}", run[0]),
    };
    runs.map(run).collect::<Vec<_>>().join(" ")
}

/// Runs of neighbouring lines among arguments, each in one.
pub fn spans(args: Vec<Arg>) -> Vec<Arg> {
    const SHORTEST: usize = 4;
    let plain = |arg: &Arg| match arg {
        Arg::Line {
            before,
            line,
            after,
        } if before.is_empty() && after.is_empty() => Some(*line),
        _ => None,
    };
    let follows = |a: &Arg, b: &Arg| plain(a).is_some_and(|a| plain(b) == Some(a + 1));
    let joined = args.chunk_by(follows).flat_map(|run| match run {
        [first, .., last] if run.len() >= SHORTEST => {
            let ends = [first, last].map(|arg| plain(arg).expect("a run is of plain lines"));
            vec![Arg::Lines(ends[0], ends[1])]
        }
        _ => run.to_vec(),
    });
    joined.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(lines: &mut Vec<Line>, scope: &str, size: usize) {
        let previous = lines.len() - 1;
        let line = |step: &str, args: Vec<Arg>| Line {
            origin: format!("{scope}.{step}"),
            shapes: vec![vec![2, size]],
            label: "add".into(),
            args,
            ..Line::default()
        };
        let read = |line, view: &str| Arg::line(line, view.into());
        let from = lines.len();
        lines.push(line("norm", vec![read(previous, "")]));
        lines.push(line("mlp", vec![read(from, &format!("[2, ~{size}]"))]));
        lines.push(line("mlp", vec![read(from + 1, ""), read(previous, "")]));
    }

    #[test]
    fn scopes_that_differ_in_sizes_fold_and_neighbours_join() {
        let mut lines = vec![Line {
            origin: "image".into(),
            shapes: vec![vec![2]],
            label: "input".into(),
            ..Line::default()
        }];
        for (i, size) in [8, 8, 9, 9, 9, 9].into_iter().enumerate() {
            block(&mut lines, &format!("encoder.blocks.{i}"), size);
        }
        let heading = "all".into();
        insta::assert_snapshot!(render(&[Section { heading, lines }]), @r"
        # all
        image: [2] = input
        encoder.blocks.0.norm: [2, 8] = add(image)
        encoder.blocks.0.mlp#1: [2, 8] = add(norm[2, ~8])
        encoder.blocks.0.mlp: [2, 8] = add(#1, image)
        encoder.blocks.1.* = blocks.0.* (3 lines) with image → blocks.0
        encoder.blocks.2.* = blocks.1.* (3 lines) with 8 → 9
        encoder.blocks.3..5.* = blocks.2.* (9 lines)
        ");
    }
}

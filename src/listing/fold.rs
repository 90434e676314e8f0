//! Which scopes are shown as repeats of earlier ones.

use super::{
    Piece, Written,
    names::{Interner, Name, Names, PathId},
    numbers::{Part, parts},
};
use rustc_hash::{FxHashMap, FxHasher};
use std::{
    hash::{Hash, Hasher},
    ops::Range,
};

/// Scopes of fewer lines are written out: a fold would not be shorter.
const SMALLEST: usize = 3;

pub enum Row {
    Line(usize),
    Fold(Fold),
}

/// A scope that is an earlier one under a map.
#[derive(Debug, Clone)]
pub struct Fold {
    pub scope: Scope,
    pub model: Scope,
    /// Sizes of the model and what they are here, smallest first. All others stay.
    pub sizes: Vec<(String, String)>,
    /// Lines that the model reads outside and those read here instead, in the order of reading. All others move along.
    pub reads: Vec<(usize, usize)>,
    /// Lines of the scope that the map does not give.
    pub exceptions: Vec<usize>,
}

/// The lines at and below a path, in one section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    pub path: PathId,
    pub back: bool,
    pub first: usize,
    pub last: usize,
    pub count: usize,
}

impl Scope {
    /// No line of another scope stands between its own.
    fn whole(&self) -> bool {
        self.last - self.first + 1 == self.count
    }

    pub fn contains(&self, line: usize) -> bool {
        (self.first..=self.last).contains(&line)
    }
}

/// A line's text in parts that compare at once.
pub struct Body {
    /// The text without sizes and names.
    pub skeleton: u32,
    pub sizes: Vec<u32>,
    pub reads: Vec<usize>,
}

type Key = (usize, PathId, bool);

pub struct Folder<'a> {
    pub names: &'a Names,
    pub bodies: Vec<Body>,
    pub sizes: Interner,
    /// Where each section begins, and the last one ends.
    starts: &'a [usize],
    scopes: FxHashMap<Key, Scope>,
    /// Scopes that may fold on one another, by section and the names of their lines; earlier ones first.
    alike: FxHashMap<(usize, u64), Vec<Scope>>,
}

impl<'a> Folder<'a> {
    pub fn new(names: &'a Names, lines: &[Written], starts: &'a [usize]) -> Self {
        let (mut skeletons, mut sizes) = (Interner::default(), Interner::default());
        let body = |line: &Written| Body::new(line, &mut skeletons, &mut sizes);
        let bodies = lines.iter().map(body).collect();
        let mut folder = Folder {
            names,
            bodies,
            sizes,
            starts,
            scopes: FxHashMap::default(),
            alike: FxHashMap::default(),
        };
        folder.find_scopes();
        folder
    }

    fn find_scopes(&mut self) {
        for section in 0..self.starts.len() - 1 {
            let mut order: Vec<Key> = Vec::new();
            for line in self.starts[section]..self.starts[section + 1] {
                let Name { path, back, .. } = self.names.lines[line];
                for path in self.names.outwards(path).filter(|&path| path != 0) {
                    let key = (section, path, back);
                    let scope = self.scopes.entry(key).or_insert_with(|| {
                        order.push(key);
                        Scope {
                            path,
                            back,
                            first: line,
                            last: line,
                            count: 0,
                        }
                    });
                    scope.last = line;
                    scope.count += 1;
                }
            }
            for key in order {
                let scope = self.scopes[&key];
                if scope.whole() && scope.count >= SMALLEST {
                    let alike = self.alike.entry((section, self.signature(&scope)));
                    alike.or_default().push(scope);
                }
            }
        }
    }

    /// Equal for scopes whose lines are called the same, below the scope.
    fn signature(&self, scope: &Scope) -> u64 {
        let depth = self.names.words(scope.path).len();
        let mut hash = FxHasher::default();
        for name in &self.names.lines[scope.first..=scope.last] {
            self.names.words(name.path)[depth..].hash(&mut hash);
            (name.serial, name.back).hash(&mut hash);
        }
        hash.finish()
    }

    pub fn rows(&self, section: usize) -> Vec<Row> {
        self.rows_of(section, self.starts[section]..self.starts[section + 1], 0)
    }

    /// The rows of neighbouring lines whose paths have their first `depth` words in common.
    fn rows_of(&self, section: usize, lines: Range<usize>, depth: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut at = lines.start;
        let key = |line: usize| {
            let Name { path, back, .. } = self.names.lines[line];
            let below = self.names.words(path).len() > depth;
            below.then(|| (section, self.names.ancestor(path, depth + 1), back))
        };
        while at < lines.end {
            let Some(scope) = key(at) else {
                rows.push(Row::Line(at));
                at += 1;
                continue;
            };
            let end = (at..lines.end)
                .find(|&line| key(line) != Some(scope))
                .unwrap_or(lines.end);
            rows.extend(self.rows_of_scope(scope, at..end, depth + 1));
            at = end;
        }
        rows
    }

    fn rows_of_scope(&self, key: Key, lines: Range<usize>, depth: usize) -> Vec<Row> {
        let scope = self.scopes[&key];
        let fold = (scope.count == lines.len())
            .then(|| self.fold(key.0, &scope))
            .flatten();
        match fold {
            Some(fold) if fold.exceptions.is_empty() => vec![Row::Fold(fold)],
            Some(fold) => {
                let apart = self.rows_of(key.0, lines, depth);
                if fold.rows() < rows(&apart) {
                    vec![Row::Fold(fold)]
                } else {
                    apart
                }
            }
            None => self.rows_of(key.0, lines, depth),
        }
    }

    /// The fold of a scope onto the earlier one that says it in the fewest words.
    fn fold(&self, section: usize, scope: &Scope) -> Option<Fold> {
        if scope.count < SMALLEST {
            return None;
        }
        let alike = &self.alike[&(section, self.signature(scope))];
        let mut best: Option<Fold> = None;
        for model in alike.iter().take_while(|model| model.last < scope.first) {
            let Some(fold) = self.mapped(model, scope) else {
                continue;
            };
            if best.as_ref().is_none_or(|best| fold.cost() < best.cost()) {
                best = Some(fold);
            }
            if best.as_ref().is_some_and(|best| best.cost() == 0) {
                break;
            }
        }
        best.filter(|fold| {
            let map = fold.sizes.len() + fold.reads.len();
            2 * fold.exceptions.len() < scope.count && map <= scope.count
        })
    }

    /// Whether a section has a scope at a path.
    pub fn has_scope(&self, section: usize, path: PathId, back: bool) -> bool {
        self.scopes.contains_key(&(section, path, back))
    }
}

impl Fold {
    fn cost(&self) -> usize {
        4 * self.exceptions.len() + self.sizes.len() + self.reads.len()
    }

    fn rows(&self) -> usize {
        1 + self.exceptions.len()
    }
}

fn rows(rows: &[Row]) -> usize {
    let count = |row: &Row| match row {
        Row::Line(_) => 1,
        Row::Fold(fold) => fold.rows(),
    };
    rows.iter().map(count).sum()
}

impl Body {
    fn new(line: &Written, skeletons: &mut Interner, sizes: &mut Interner) -> Self {
        // Private characters that no text holds stand for what is taken out.
        const SIZE: char = '\u{e000}';
        const NAME: char = '\u{e001}';
        let mut skeleton = String::new();
        let mut body = Body {
            skeleton: 0,
            sizes: Vec::new(),
            reads: Vec::new(),
        };
        for piece in &line.pieces {
            match piece {
                Piece::Name(line) => {
                    body.reads.push(*line);
                    skeleton.push(NAME);
                }
                Piece::Words(words) => {
                    for part in parts(words) {
                        match part {
                            Part::Other(text) => skeleton.push_str(text),
                            Part::Size(size) => {
                                body.sizes.push(sizes.id(size));
                                skeleton.push(SIZE);
                            }
                        }
                    }
                }
            }
        }
        body.skeleton = skeletons.id(&skeleton);
        body
    }
}

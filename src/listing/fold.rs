//! Which scopes are shown as repeats of earlier ones.

use super::{
    Piece, Written,
    names::{Interner, Name, Names, PathId, common},
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
    count: usize,
}

impl Scope {
    /// No line of another scope stands between its own.
    fn whole(&self) -> bool {
        self.last - self.first + 1 == self.count
    }

    pub fn len(&self) -> usize {
        self.count
    }

    fn contains(&self, line: usize) -> bool {
        (self.first..=self.last).contains(&line)
    }
}

/// A line's text in parts that compare at once.
struct Body {
    /// The text without sizes and names.
    skeleton: u32,
    sizes: Vec<u32>,
    reads: Vec<usize>,
}

type Key = (usize, PathId, bool);

pub struct Folder<'a> {
    names: &'a Names,
    bodies: Vec<Body>,
    sizes: Interner,
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

    /// The map that gives most lines of a scope.
    fn mapped(&self, model: &Scope, scope: &Scope) -> Option<Fold> {
        if model.count != scope.count || !self.called_alike(model, scope) {
            return None;
        }
        let (mut sizes, mut reads) = (Votes::default(), Votes::default());
        let pairs: Vec<Option<Pairs>> = (0..scope.count)
            .map(|i| self.pairs(model, scope, i))
            .collect();
        for pair in pairs.iter().flatten() {
            pair.sizes.iter().for_each(|&(a, b)| sizes.add(a, b));
            pair.reads.iter().for_each(|&(a, b)| reads.add(a, b));
        }
        let (sizes, reads) = (sizes.winners(), reads.winners());
        let mut fold = Fold {
            scope: *scope,
            model: *model,
            sizes: Vec::new(),
            reads: Vec::new(),
            exceptions: Vec::new(),
        };
        let mut used: Vec<(u32, u32)> = Vec::new();
        for (i, pairs) in pairs.iter().enumerate() {
            let fits = |pairs: &&Pairs| {
                pairs.sizes.iter().all(|(a, b)| sizes[a] == *b)
                    && pairs.reads.iter().all(|(a, b)| reads[a] == *b)
            };
            let Some(pairs) = pairs.as_ref().filter(fits) else {
                fold.exceptions.push(scope.first + i);
                continue;
            };
            let changed = pairs.sizes.iter().filter(|(a, b)| a != b);
            used.extend(
                changed
                    .filter(|pair| !used.contains(pair))
                    .collect::<Vec<_>>(),
            );
            for &(a, b) in &pairs.reads {
                if let Some(b) = b.filter(|b| !fold.reads.contains(&(a, *b))) {
                    fold.reads.push((a, b));
                }
            }
        }
        used.sort_unstable();
        used.dedup();
        let text = |id: u32| self.sizes.texts[id as usize].clone();
        fold.sizes = used.into_iter().map(|(a, b)| (text(a), text(b))).collect();
        let value = |pair: &(String, String)| pair.0.parse::<f64>().expect("sizes are numbers");
        fold.sizes.sort_by(|a, b| value(a).total_cmp(&value(b)));
        Some(fold)
    }

    fn called_alike(&self, model: &Scope, scope: &Scope) -> bool {
        let depth = |scope: &Scope| self.names.words(scope.path).len();
        let (a, b) = (depth(model), depth(scope));
        (0..scope.count).all(|i| {
            let (x, y) = (
                self.names.lines[model.first + i],
                self.names.lines[scope.first + i],
            );
            let below = self.names.words(x.path)[a..] == self.names.words(y.path)[b..];
            below && (x.back, x.serial) == (y.back, y.serial)
        })
    }

    /// What a map has to say for line `i` of a scope to come from that of the model. `None` where none can.
    fn pairs(&self, model: &Scope, scope: &Scope, i: usize) -> Option<Pairs> {
        let (a, b) = (&self.bodies[model.first + i], &self.bodies[scope.first + i]);
        if a.skeleton != b.skeleton {
            return None;
        }
        let sizes = a
            .sizes
            .iter()
            .copied()
            .zip(b.sizes.iter().copied())
            .collect();
        let mut reads = Vec::new();
        for (&a, &b) in a.reads.iter().zip(&b.reads) {
            match (model.contains(a), scope.contains(b)) {
                (true, true) if a - model.first == b - scope.first => {}
                (false, false) if self.moves_along(model, scope, a, b) => reads.push((a, None)),
                (false, false) => reads.push((a, Some(b))),
                _ => return None,
            }
        }
        Some(Pairs { sizes, reads })
    }

    /// Whether the name of line `a`, as it moves along from the model to the scope, is that of line `b`.
    ///
    /// The part of a name that it shares with the model's path becomes that of the scope's. Where both go on with a number, the
    /// number keeps its distance.
    fn moves_along(&self, model: &Scope, scope: &Scope, a: usize, b: usize) -> bool {
        let (a, b) = (self.names.lines[a], self.names.lines[b]);
        if (a.back, a.serial) != (b.back, b.serial) {
            return false;
        }
        let (from, to) = (self.names.words(model.path), self.names.words(scope.path));
        let (a, b) = (self.names.words(a.path), self.names.words(b.path));
        if from.len() != to.len() {
            return match a.strip_prefix(from) {
                Some(rest) => b.strip_prefix(to) == Some(rest),
                None => a == b,
            };
        }
        // A name can be shared from within: `squares.encoder.norm` reads `encoder.norm.weight`.
        let shared = |skipped: &usize| (common(a, &from[*skipped..]), std::cmp::Reverse(*skipped));
        let Some(skipped) = (0..from.len()).max_by_key(shared) else {
            return a == b;
        };
        let (length, _) = shared(&skipped);
        if length == 0 {
            return a == b;
        }
        if a.len() != b.len() || b[..length] != to[skipped..skipped + length] {
            return false;
        }
        let number =
            |words: &[u32], at: usize| words.get(at).and_then(|&word| self.names.number(word));
        let end = skipped + length;
        match (number(a, length), number(from, end), number(to, end)) {
            (Some(read), Some(from), Some(to)) => {
                number(b, length).is_some_and(|number| number + from == read + to)
                    && a[length + 1..] == b[length + 1..]
            }
            _ => a[length..] == b[length..],
        }
    }

    /// Whether a section has a scope at a path.
    pub fn has_scope(&self, section: usize, path: PathId, back: bool) -> bool {
        self.scopes.contains_key(&(section, path, back))
    }
}

struct Pairs {
    sizes: Vec<(u32, u32)>,
    /// A line that the model reads outside, and what is read instead; `None` for what moves along.
    reads: Vec<(usize, Option<usize>)>,
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

/// What each key is mapped to, by how many.
struct Votes<K, T>(FxHashMap<K, Vec<(T, usize)>>);

impl<K, T> Default for Votes<K, T> {
    fn default() -> Self {
        Votes(FxHashMap::default())
    }
}

impl<K: Hash + Eq + Copy, T: PartialEq + Copy> Votes<K, T> {
    fn add(&mut self, key: K, target: T) {
        let targets = self.0.entry(key).or_default();
        match targets.iter_mut().find(|(t, _)| *t == target) {
            Some((_, count)) => *count += 1,
            None => targets.push((target, 1)),
        }
    }

    /// The target with most votes of each key, among equals the first that was named.
    fn winners(self) -> FxHashMap<K, T> {
        let most = |targets: Vec<(T, usize)>| {
            let mut best = targets[0];
            for &target in &targets[1..] {
                if target.1 > best.1 {
                    best = target;
                }
            }
            best.0
        };
        self.0
            .into_iter()
            .map(|(key, targets)| (key, most(targets)))
            .collect()
    }
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

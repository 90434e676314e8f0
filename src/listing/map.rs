//! The map under which one scope is another.

use super::{
    fold::{Fold, Folder, Scope},
    names::common,
};
use rustc_hash::FxHashMap;
use std::hash::Hash;

impl Folder<'_> {
    /// The map that gives most lines of a scope.
    pub fn mapped(&self, model: &Scope, scope: &Scope) -> Option<Fold> {
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
}

struct Pairs {
    sizes: Vec<(u32, u32)>,
    /// A line that the model reads outside, and what is read instead; `None` for what moves along.
    reads: Vec<(usize, Option<usize>)>,
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

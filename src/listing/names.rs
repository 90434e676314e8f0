//! What lines are called, and how they are named from elsewhere.

use super::Written;
use rustc_hash::FxHashMap;

/// Number of an instance path; 0 is the empty one.
pub type PathId = u32;

/// A line's own name. `serial` is 0 for the last line at or below a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name {
    pub path: PathId,
    pub back: bool,
    pub serial: u32,
}

pub struct Names {
    words: Interner,
    /// The words of each path.
    paths: Vec<Vec<u32>>,
    parents: Vec<PathId>,
    children: FxHashMap<(PathId, u32), PathId>,
    pub lines: Vec<Name>,
    leaf: Vec<bool>,
    at: FxHashMap<Name, usize>,
    /// The last line at or below each path.
    last: FxHashMap<(PathId, bool), usize>,
}

#[derive(Default)]
pub struct Interner {
    ids: FxHashMap<String, u32>,
    pub texts: Vec<String>,
}

impl Interner {
    pub fn id(&mut self, text: &str) -> u32 {
        if let Some(&id) = self.ids.get(text) {
            return id;
        }
        self.ids.insert(text.into(), self.texts.len() as u32);
        self.texts.push(text.into());
        self.texts.len() as u32 - 1
    }
}

impl Names {
    pub fn new(lines: &[Written]) -> Self {
        let mut names = Names {
            words: Interner::default(),
            paths: vec![Vec::new()],
            parents: vec![0],
            children: FxHashMap::default(),
            lines: Vec::with_capacity(lines.len()),
            leaf: lines.iter().map(|line| line.leaf).collect(),
            at: FxHashMap::default(),
            last: FxHashMap::default(),
        };
        for (at, line) in lines.iter().enumerate() {
            let text = line.origin.trim_end_matches('\'');
            let (path, back) = (names.path(text), text.len() < line.origin.len());
            names.lines.push(Name {
                path,
                back,
                serial: 0,
            });
            for scope in names.outwards(path).collect::<Vec<_>>() {
                names.last.insert((scope, back), at);
            }
        }
        let mut counts: FxHashMap<(PathId, bool), u32> = FxHashMap::default();
        for at in 0..lines.len() {
            let Name { path, back, .. } = names.lines[at];
            if names.last[&(path, back)] != at || path == 0 {
                let count = counts.entry((path, back)).or_default();
                *count += 1;
                names.lines[at].serial = *count;
            }
            names.at.insert(names.lines[at], at);
        }
        names
    }

    fn path(&mut self, text: &str) -> PathId {
        let mut path = 0;
        for word in text.split('.').filter(|word| !word.is_empty()) {
            let word = self.words.id(word);
            path = match self.children.get(&(path, word)) {
                Some(&child) => child,
                None => {
                    let child = self.paths.len() as PathId;
                    let words = [&self.paths[path as usize][..], &[word]].concat();
                    self.paths.push(words);
                    self.parents.push(path);
                    self.children.insert((path, word), child);
                    child
                }
            };
        }
        path
    }

    pub fn words(&self, path: PathId) -> &[u32] {
        &self.paths[path as usize]
    }

    /// A path, its parent, and so on to the empty path.
    pub fn outwards(&self, path: PathId) -> impl Iterator<Item = PathId> + '_ {
        let parent = |&path: &PathId| (path != 0).then(|| self.parents[path as usize]);
        std::iter::successors(Some(path), parent)
    }

    pub fn parent(&self, path: PathId) -> PathId {
        self.parents[path as usize]
    }

    /// The number that a word is, if it is one: `3` in `blocks.3`.
    pub fn number(&self, word: u32) -> Option<usize> {
        self.words.texts[word as usize].parse().ok()
    }

    pub fn text(&self, path: PathId, back: bool) -> String {
        self.spelled(self.words(path), back)
    }

    fn spelled(&self, words: &[u32], back: bool) -> String {
        let words: Vec<&str> = words
            .iter()
            .map(|&w| self.words.texts[w as usize].as_str())
            .collect();
        words.join(".") + if back { "'" } else { "" }
    }

    /// A line's whole name.
    pub fn own(&self, line: usize) -> String {
        let Name { path, back, serial } = self.lines[line];
        self.text(path, back) + &numbered(serial)
    }

    /// How a line is named at a path: the shortest name that is found there.
    pub fn seen_from(&self, from: PathId, back: bool, line: usize) -> String {
        let name = self.lines[line];
        let words = self.words(name.path);
        if name.path == from && name.back == back && name.serial > 0 {
            return numbered(name.serial);
        }
        let common = common(words, self.words(from)).min(words.len().saturating_sub(1));
        let mut end = words.len();
        // The last line of a scope goes by the scope's name.
        while end > common + 1
            && name.serial == 0
            && !self.leaf[line]
            && self.last[&(self.ancestor(name.path, end - 1), name.back)] == line
        {
            end -= 1;
        }
        for start in (0..=common).rev() {
            if self.find(from, &words[start..end], name) == Some(line) {
                return self.spelled(&words[start..end], name.back) + &numbered(name.serial);
            }
        }
        format!(".{}", self.own(line))
    }

    /// How a scope is named at another: the shortest path by which it is found, outwards among those that exist.
    pub fn scope_seen_from(
        &self,
        from: PathId,
        scope: PathId,
        exists: impl Fn(PathId) -> bool,
    ) -> String {
        let words = self.words(scope);
        let common = common(words, self.words(from)).min(words.len().saturating_sub(1));
        for start in (0..=common).rev() {
            let mut found = self
                .outwards(from)
                .filter_map(|base| self.below(base, &words[start..]));
            if found.find(|&path| exists(path)) == Some(scope) {
                return self.spelled(&words[start..], false);
            }
        }
        format!(".{}", self.text(scope, false))
    }

    /// The first line that a name means, from a path outwards.
    fn find(&self, from: PathId, words: &[u32], name: Name) -> Option<usize> {
        let mut bases = self.outwards(from);
        bases.find_map(|base| {
            let path = self.below(base, words)?;
            match name.serial {
                0 => self.last.get(&(path, name.back)).copied(),
                _ => self.at.get(&Name { path, ..name }).copied(),
            }
        })
    }

    fn below(&self, base: PathId, words: &[u32]) -> Option<PathId> {
        let mut path = base;
        for &word in words {
            path = *self.children.get(&(path, word))?;
        }
        Some(path)
    }

    /// The first `length` words of a path.
    pub fn ancestor(&self, path: PathId, length: usize) -> PathId {
        let mut path = path;
        while self.words(path).len() > length {
            path = self.parent(path);
        }
        path
    }
}

/// How many words two paths begin with in common.
pub fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn numbered(serial: u32) -> String {
    match serial {
        0 => String::new(),
        n => format!("#{n}"),
    }
}

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

    /// How a line is named by a line that reads it.
    pub fn read_by(&self, reader: usize, line: usize) -> String {
        let (from, name) = (self.lines[reader], self.lines[line]);
        if (name.path, name.back) == (from.path, from.back) && name.serial > 0 {
            return numbered(name.serial);
        }
        if self.ends_in(from.path) == Some(line) {
            return "^".into();
        }
        self.seen_from(from.path, from.back, line)
    }

    /// The line whose whole name is the end of a path, the longest such.
    fn ends_in(&self, path: PathId) -> Option<usize> {
        let words = self.words(path);
        (1..words.len()).find_map(|start| {
            let (path, back, serial) = (self.below(0, &words[start..])?, false, 0);
            self.at.get(&Name { path, back, serial }).copied()
        })
    }

    /// How a line is named at a path: the shortest name that is found there.
    pub fn seen_from(&self, from: PathId, back: bool, line: usize) -> String {
        let name = self.lines[line];
        let words = self.words(name.path);
        let least = self.apart(from, name.path) + 1;
        let mut end = words.len();
        // The last line of a scope goes by the scope's name.
        while end > least
            && name.serial == 0
            && !self.leaf[line]
            && self.last[&(self.ancestor(name.path, end - 1), name.back)] == line
        {
            end -= 1;
        }
        self.found_at(from, back, line, end)
    }

    /// As [`Names::seen_from`], by the line's whole name.
    pub fn seen_in_full(&self, from: PathId, back: bool, line: usize) -> String {
        let end = self.words(self.lines[line].path).len();
        self.found_at(from, back, line, end)
    }

    /// The name of a line that takes the first `end` words of its path, without as many of the first ones as can be.
    fn found_at(&self, from: PathId, back: bool, line: usize, end: usize) -> String {
        let name = self.lines[line];
        let words = &self.words(name.path)[..end];
        for start in (0..=self.apart(from, name.path)).rev() {
            if self.begins_a_name(words, start)
                && self.find(from, back, &words[start..], name) == Some(line)
            {
                return self.spelled(&words[start..], name.back) + &numbered(name.serial);
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
        for start in (0..=self.apart(from, scope)).rev() {
            let bases = self.outwards(from);
            let mut found = bases.filter_map(|base| self.below(base, &words[start..]));
            if self.begins_a_name(words, start) && found.find(|&path| exists(path)) == Some(scope) {
                return self.spelled(&words[start..], false);
            }
        }
        format!(".{}", self.text(scope, false))
    }

    /// Where the words of a path begin to differ from those of another, at the latest at the last word.
    fn apart(&self, from: PathId, path: PathId) -> usize {
        let words = self.words(path);
        common(words, self.words(from)).min(words.len().saturating_sub(1))
    }

    /// A name does not begin with a number, which would read as one.
    fn begins_a_name(&self, words: &[u32], start: usize) -> bool {
        start == 0 || self.number(words[start]).is_none()
    }

    /// The first line that a name means, from a path outwards. No path means itself.
    fn find(&self, from: PathId, back: bool, words: &[u32], name: Name) -> Option<usize> {
        let mut bases = self.outwards(from);
        bases.find_map(|base| {
            let path = self.below(base, words)?;
            match name.serial {
                0 if (path, name.back) == (from, back) => None,
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

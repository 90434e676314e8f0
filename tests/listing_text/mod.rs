//! A reader of listings, written from the rules at the top of `src/listing/mod.rs`.

mod read;

use read::{parse_name, rows, tokens, words};
use std::collections::{HashMap, HashSet};

/// A line with its section, its whole name and its text, in which other lines have their whole names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expanded {
    pub section: usize,
    pub name: Name,
    pub text: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    Words(String),
    Line(Name),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    path: Vec<String>,
    back: bool,
    serial: Option<usize>,
}

enum Row {
    Line { name: Name, rest: String },
    Fold(Fold),
}

struct Fold {
    scopes: Vec<(Vec<String>, bool)>,
    models: Vec<String>,
    map: Vec<(String, String)>,
}

/// The lines that a listing stands for.
pub fn expanded(listing: &str) -> Vec<Expanded> {
    let sections = rows(listing);
    let mut names = Names::default();
    let mut sources: Vec<Source> = Vec::new();
    for (section, rows) in sections.iter().enumerate() {
        for row in rows {
            match row {
                // An exception has a name that a fold gave: it replaces that line.
                Row::Line { name, rest } => match names.add(section, name.clone()) {
                    at if at < sources.len() => sources[at] = Source::Written(rest),
                    _ => sources.push(Source::Written(rest)),
                },
                Row::Fold(fold) => fold.copy(section, &mut names, &mut sources),
            }
        }
    }
    let mut lines: Vec<Expanded> = Vec::new();
    let mut last: Option<(*const Fold, usize, Moves)> = None;
    for ((section, name), source) in names.all.iter().zip(&sources) {
        let text = match source {
            Source::Written(rest) => tokens(rest, name, &names),
            Source::Folded { fold, turn, of } => {
                let same =
                    |(f, t, _): &(*const Fold, usize, Moves)| std::ptr::eq(*f, *fold) && t == turn;
                if !last.as_ref().is_some_and(same) {
                    last = Some((*fold, *turn, fold.moves(*section, *turn, &names)));
                }
                let (.., moves) = last.as_ref().expect("just made");
                lines[*of]
                    .text
                    .iter()
                    .map(|token| moves.moved(token))
                    .collect()
            }
        };
        lines.push(Expanded {
            section: *section,
            name: name.clone(),
            text,
        });
    }
    lines
}

enum Source<'a> {
    Written(&'a str),
    Folded {
        fold: &'a Fold,
        turn: usize,
        of: usize,
    },
}

/// What a fold does to a line of one of its models.
struct Moves {
    model: Vec<String>,
    scope: Vec<String>,
    sizes: HashMap<String, String>,
    reads: HashMap<Name, Name>,
}

impl Moves {
    fn moved(&self, token: &Token) -> Token {
        match token {
            Token::Words(words) => Token::Words(resized(words, &self.sizes)),
            Token::Line(name) => Token::Line(match self.reads.get(name) {
                Some(read) => read.clone(),
                None => Name {
                    path: along(&name.path, &self.model, &self.scope),
                    ..name.clone()
                },
            }),
        }
    }
}

impl Fold {
    /// Adds the names of a fold's lines: those of its models, moved.
    fn copy<'a>(&'a self, section: usize, names: &mut Names, sources: &mut Vec<Source<'a>>) {
        for (turn, (path, back)) in self.scopes.iter().enumerate() {
            let model = self.model(turn, section, names);
            let below = |n: &Name| n.back == *back && n.path.starts_with(&model);
            let of: Vec<usize> = (0..names.all.len())
                .filter(|&at| names.all[at].0 == section && below(&names.all[at].1))
                .collect();
            for of in of {
                let mut name = names.all[of].1.clone();
                name.path = [path, &name.path[model.len()..]].concat();
                names.add(section, name);
                let fold = self;
                sources.push(Source::Folded { fold, turn, of });
            }
        }
    }

    /// The whole path of the model of one of the scopes: looked up outwards from that scope.
    fn model(&self, turn: usize, section: usize, names: &Names) -> Vec<String> {
        let (path, back) = &self.scopes[turn];
        let text = self.models[turn % self.models.len()].trim_end_matches('\'');
        if let Some(whole) = text.strip_prefix('.') {
            return words(whole);
        }
        let mut found = (0..=path.len())
            .rev()
            .map(|length| [&path[..length], &words(text)].concat());
        found
            .find(|path| names.scopes.contains(&(section, path.clone(), *back)))
            .unwrap_or_else(|| panic!("no scope {text} at {path:?}"))
    }

    fn moves(&self, section: usize, turn: usize, names: &Names) -> Moves {
        let (scope, back) = self.scopes[turn].clone();
        let model = self.model(turn, section, names);
        let at = |path: &[String]| Name {
            path: path.to_vec(),
            back,
            serial: None,
        };
        let is_size = |(a, _): &&(String, String)| a.starts_with(|c: char| c.is_ascii_digit());
        let read = |(a, b): &(String, String)| {
            (
                names.find(a, &at(&model), false),
                names.find(b, &at(&scope), false),
            )
        };
        Moves {
            sizes: self.map.iter().filter(is_size).cloned().collect(),
            reads: self
                .map
                .iter()
                .filter(|pair| !is_size(pair))
                .map(read)
                .collect(),
            model,
            scope,
        }
    }
}

/// A path that moves along from a scope to another.
fn along(path: &[String], from: &[String], to: &[String]) -> Vec<String> {
    if from.len() != to.len() {
        return match path.strip_prefix(from) {
            Some(rest) => [to, rest].concat(),
            None => path.to_vec(),
        };
    }
    let shared = |skip: usize| {
        path.iter()
            .zip(&from[skip..])
            .take_while(|(a, b)| a == b)
            .count()
    };
    let skip = (0..from.len())
        .rev()
        .max_by_key(|&skip| shared(skip))
        .unwrap_or(0);
    let length = shared(skip);
    if length == 0 {
        return path.to_vec();
    }
    let mut moved = [&to[skip..skip + length], &path[length..]].concat();
    let number =
        |words: &[String], at: usize| words.get(at).and_then(|word| word.parse::<i64>().ok());
    let end = skip + length;
    if let (Some(read), Some(from), Some(to)) =
        (number(path, length), number(from, end), number(to, end))
    {
        moved[length] = (read + to - from).to_string();
    }
    moved
}

/// Words with other sizes.
fn resized(words: &str, sizes: &HashMap<String, String>) -> String {
    let mut text = String::new();
    let mut rest = words;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(start);
        text.push_str(before);
        let digits = |t: &str| t.len() - t.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let mut end = digits(number);
        if let Some(fraction) = number[end..].strip_prefix('.')
            && digits(fraction) > 0
        {
            end += 1 + digits(fraction);
        }
        let (number, behind) = number.split_at(end);
        let no_size = text.ends_with(|c: char| c.is_alphanumeric() || "_:×#".contains(c))
            || text.ends_with("axis ")
            || text.ends_with("order ");
        let other = sizes.get(number).filter(|_| !no_size);
        text.push_str(other.map_or(number, String::as_str));
        rest = behind;
    }
    text + rest
}

/// Names in order, and how they are looked up.
#[derive(Default)]
struct Names {
    all: Vec<(usize, Name)>,
    at: HashMap<Name, usize>,
    /// The last line at or below each path.
    last: HashMap<(Vec<String>, bool), Name>,
    /// Paths at or below which a section has lines.
    scopes: HashSet<(usize, Vec<String>, bool)>,
}

impl Names {
    /// The place of a line among all, a new one where the name is new.
    fn add(&mut self, section: usize, name: Name) -> usize {
        if let Some(&at) = self.at.get(&name) {
            return at;
        }
        for length in 1..=name.path.len() {
            let path = name.path[..length].to_vec();
            self.last.insert((path.clone(), name.back), name.clone());
            self.scopes.insert((section, path, name.back));
        }
        self.at.insert(name.clone(), self.all.len());
        self.all.push((section, name));
        self.all.len() - 1
    }

    /// The line that a name means at a path; `own` where a line of that path says it.
    fn find(&self, text: &str, at: &Name, own: bool) -> Name {
        if text == "^" {
            let ends = (1..at.path.len()).map(|start| Name {
                path: at.path[start..].to_vec(),
                back: false,
                serial: None,
            });
            return ends
                .into_iter()
                .find(|n| self.at.contains_key(n))
                .expect("a line ends the name");
        }
        if let (Some(serial), true) = (text.strip_prefix('#'), own) {
            return Name {
                serial: Some(serial.parse().expect("a number")),
                ..at.clone()
            };
        }
        if let Some(whole) = text.strip_prefix('.') {
            return parse_name(whole);
        }
        let name = parse_name(text);
        for length in (0..=at.path.len()).rev() {
            let path = [&at.path[..length], &name.path].concat();
            let found = match name.serial {
                None if (&path, name.back) == (&at.path, at.back) => None,
                None => self.last.get(&(path, name.back)).cloned(),
                Some(_) => Some(Name {
                    path,
                    ..name.clone()
                })
                .filter(|n| self.at.contains_key(n)),
            };
            if let Some(found) = found {
                return found;
            }
        }
        panic!("{text} is not found at {at:?}");
    }
}

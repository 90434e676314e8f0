//! Rows of a listing, and the names and words in them.

use super::{Fold, Name, Names, Row, Token};

pub fn words(path: &str) -> Vec<String> {
    path.split('.')
        .filter(|w| !w.is_empty())
        .map(str::to_owned)
        .collect()
}

pub fn parse_name(text: &str) -> Name {
    let (text, serial) = match text.split_once('#') {
        Some((text, serial)) => (text, Some(serial.parse().expect("a number behind #"))),
        None => (text, None),
    };
    Name {
        path: words(text.trim_end_matches('\'')),
        back: text.ends_with('\''),
        serial,
    }
}

/// The rows of each section, broken rows whole again.
pub fn rows(listing: &str) -> Vec<Vec<Row>> {
    let mut texts: Vec<Vec<String>> = Vec::new();
    for line in listing.lines().filter(|line| !line.is_empty()) {
        if line.starts_with("# ") {
            texts.push(Vec::new());
        } else if let Some(more) = line.strip_prefix("      ") {
            let rows = texts.last_mut().expect("rows stand under a heading");
            let row = rows.last_mut().expect("a row that goes on");
            row.push(' ');
            row.push_str(more);
        } else {
            texts
                .last_mut()
                .expect("rows stand under a heading")
                .push(line.into());
        }
    }
    texts
        .iter()
        .map(|rows| rows.iter().map(|text| row(text)).collect())
        .collect()
}

fn row(text: &str) -> Row {
    match text.split_once(".* = ") {
        Some((scope, rest)) => Row::Fold(fold(scope, rest)),
        None => {
            let (name, rest) = text.split_once(": ").expect("a name and what it is");
            Row::Line {
                name: parse_name(name),
                rest: rest.into(),
            }
        }
    }
}

fn fold(scope: &str, rest: &str) -> Fold {
    let back = scope.ends_with('\'');
    let scope = scope.trim_end_matches('\'');
    let scopes = match scope.split_once("..") {
        None => vec![(words(scope), back)],
        Some((first, last)) => {
            let first = words(first);
            let (number, parent) = first.split_last().expect("a numbered scope");
            let (from, to): (usize, usize) = (number.parse().unwrap(), last.parse().unwrap());
            let numbers: Vec<usize> = match from < to {
                true => (from..=to).collect(),
                false => (to..=from).rev().collect(),
            };
            let scope = |n: usize| ([parent, &[n.to_string()]].concat(), back);
            numbers.into_iter().map(scope).collect()
        }
    };
    let (models, rest) = rest.split_once(" (").expect("how many lines");
    let models = models.trim_end_matches(" in turn").split(", ");
    let models = models
        .map(|m| m.trim_end_matches(".*").to_owned())
        .collect();
    let map = rest.split_once(" with ").map_or("", |(_, map)| map);
    let pairs = map
        .trim_end_matches(", except")
        .split(", ")
        .filter_map(|pair| pair.split_once(" → "));
    Fold {
        scopes,
        models,
        map: pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).collect(),
    }
}

/// The text of a line: words and the lines it names.
pub fn tokens(rest: &str, at: &Name, names: &Names) -> Vec<Token> {
    let (head, code) = rest.split_at(rest.find(" {").unwrap_or(rest.len()));
    let mut parts = head.split(" → ");
    let head = parts.next().expect("a split gives one part");
    let mut text = Text(Vec::new());
    match opening(head) {
        Some(open) => {
            text.words(&head[..=open]);
            for (i, arg) in arguments(&head[open + 1..head.len() - 1])
                .into_iter()
                .enumerate()
            {
                text.words(if i > 0 { ", " } else { "" });
                text.argument(arg, true, at, names);
            }
            text.words(")");
        }
        None => text.words(head),
    }
    for kept in parts {
        text.words(" → ");
        text.argument(kept, false, at, names);
    }
    text.words(code);
    text.0
}

/// The parenthesis in front of the arguments.
fn opening(head: &str) -> Option<usize> {
    let mut depth = 0;
    head.char_indices().find_map(|(at, c)| {
        depth += (c == '[') as i32 - (c == ']') as i32;
        (c == '(' && depth == 0).then_some(at)
    })
}

fn arguments(text: &str) -> Vec<&str> {
    let (mut start, mut depth) = (0, 0);
    let mut found = Vec::new();
    for (at, c) in text.char_indices() {
        depth += "[(".contains(c) as i32 - "])".contains(c) as i32;
        if c == ',' && depth == 0 {
            found.push(&text[start..at]);
            start = at + 2;
        }
    }
    found.push(&text[start..]);
    found
}

struct Text(Vec<Token>);

impl Text {
    fn words(&mut self, text: &str) {
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(Token::Words(last)) => last.push_str(text),
            _ => self.0.push(Token::Words(text.into())),
        }
    }

    /// An argument names a line unless it is a number or a call; what a result is kept as does so behind some words.
    fn argument(&mut self, text: &str, argument: bool, at: &Name, names: &Names) {
        const BEFORE: [&str; 5] = [
            "gradient of ",
            "first moment of ",
            "second moment of ",
            "value of ",
            "next ",
        ];
        let before = BEFORE.into_iter().find(|before| text.starts_with(before));
        let number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        if number || text.starts_with("arange(") || !(argument || before.is_some()) {
            return self.words(text);
        }
        let before = before.unwrap_or("");
        self.words(before);
        let text = &text[before.len()..];
        if let Some((first, last)) = text.split_once(" .. ") {
            self.0.push(Token::Line(names.find(first, at, true)));
            self.words(" .. ");
            self.0.push(Token::Line(names.find(last, at, true)));
            return;
        }
        let end = text.find([' ', '[', ':']).unwrap_or(text.len());
        self.0.push(Token::Line(names.find(&text[..end], at, true)));
        self.words(&text[end..]);
    }
}

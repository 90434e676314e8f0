//! Text to tokens.

use crate::diagnostic::{Diagnostic, Result, Span};
use std::ops::Range;

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    Int(i64),
    Float(f64),
    /// What stands between the quotes.
    Text(String),
    /// Also dotted: `nn.linear`.
    Name(String),
    Keyword(&'static str),
    Symbol(&'static str),
    End,
}

const KEYWORDS: &[&str] = &["if", "else", "and", "or", "not", "true", "false", "null"];

/// Longer symbols before those they start with.
const SYMBOLS: &[&str] = &[
    "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "(", ")", "[", "]", ",", ":", "=",
    "<", ">",
];

/// What other languages write.
const FOREIGN: &[(&str, &str)] = &[
    ("&&", "write `and`"),
    ("||", "write `or`"),
    ("!", "write `not`"),
    ("^", "a power is written `**`"),
    ("@", "a product of matrices is written with `einsum`"),
    ("?", "a choice is written `a if test else b`"),
];

/// Whether a name is taken by the language itself.
pub fn is_keyword(name: &str) -> bool {
    KEYWORDS.contains(&name)
}

/// Every token with its bytes, counted from the start of `source`; the last is `End`.
pub fn tokens(source: &Span) -> Result<Vec<(Token, Range<usize>)>> {
    let text = source.text();
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        at = text.len() - text[at..].trim_start().len();
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else {
            found.push((Token::End, at..at));
            return Ok(found);
        };
        let (token, length) = match first {
            '0'..='9' => number(source, at)?,
            '"' | '\'' => quoted(source, at, first)?,
            'a'..='z' | 'A'..='Z' | '_' => name(rest),
            _ => symbol(source, at)?,
        };
        found.push((token, at..at + length));
        at += length;
    }
}

fn error(source: &Span, range: Range<usize>, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("expression-syntax", message).at(source.part(range))
}

fn name(rest: &str) -> (Token, usize) {
    let word = |text: &str| {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
        text.find(|c| !inside(c)).unwrap_or(text.len())
    };
    let mut length = word(rest);
    while rest[length..].starts_with('.') {
        match word(&rest[length + 1..]) {
            0 => break,
            more => length += 1 + more,
        }
    }
    let name = &rest[..length];
    let token = match KEYWORDS.iter().find(|keyword| **keyword == name) {
        Some(keyword) => Token::Keyword(keyword),
        None => Token::Name(name.to_owned()),
    };
    (token, length)
}

/// `12`, `0.5`, `1e-5`: a digit first, and a digit on either side of the point.
fn number(source: &Span, at: usize) -> Result<(Token, usize)> {
    let rest = &source.text()[at..];
    let digits = |from: usize| {
        let run = rest[from..].bytes().take_while(u8::is_ascii_digit);
        from + run.count()
    };
    let mut end = digits(0);
    let leading_zero = end > 1 && rest.starts_with('0');
    let mut float = false;
    if rest[end..].starts_with('.') && digits(end + 1) > end + 1 {
        float = true;
        end = digits(end + 1);
    }
    if rest[end..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            float = true;
            end = exponent;
        }
    }
    let range = at..at + end;
    let written = &rest[..end];
    let tail = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    if leading_zero || rest[end..].starts_with(tail) {
        let whole = rest.find(|c| !tail(c)).unwrap_or(rest.len());
        let message = format!("`{}` is no number", &rest[..whole]);
        return error(source, at..at + whole, message).fail();
    }
    let token = if float {
        written
            .parse()
            .ok()
            .filter(|value: &f64| value.is_finite())
            .map(Token::Float)
    } else {
        written.parse().ok().map(Token::Int)
    };
    match token {
        Some(token) => Ok((token, end)),
        None => error(source, range, format!("`{written}` is too large a number")).fail(),
    }
}

fn quoted(source: &Span, at: usize, quote: char) -> Result<(Token, usize)> {
    let inside = &source.text()[at + 1..];
    let line = inside.lines().next().unwrap_or("");
    match line.find(quote) {
        Some(length) => match line[..length].find('\\') {
            Some(backslash) => {
                let place = at + 1 + backslash;
                let message = "a backslash has no meaning in a text";
                error(source, place..place + 1, message).fail()
            }
            None => Ok((Token::Text(line[..length].to_owned()), length + 2)),
        },
        None => {
            let message = format!("a text starts here and no {quote} ends it on its line");
            error(source, at..at + 1 + line.trim_end().len(), message).fail()
        }
    }
}

fn symbol(source: &Span, at: usize) -> Result<(Token, usize)> {
    let rest = &source.text()[at..];
    if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
        return Ok((Token::Symbol(symbol), symbol.len()));
    }
    let foreign = FOREIGN.iter().find(|(symbol, _)| rest.starts_with(symbol));
    let first = rest.chars().next().map_or(0, char::len_utf8);
    let length = foreign.map_or(first, |(symbol, _)| symbol.len());
    let message = format!("`{}` is not part of the language", &rest[..length]);
    let found = error(source, at..at + length, message);
    match foreign {
        Some((_, help)) => found.help(*help).fail(),
        None => found.fail(),
    }
}

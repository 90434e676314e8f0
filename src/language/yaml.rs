//! YAML with positions: every key and value knows the bytes it stands at.
//!
//! Accepted is what a recipe or a graph file needs: one document of mappings, lists and scalars. Anchors, aliases, tags
//! and non-scalar keys are refused, as are texts that are too large or too deep to be either.

mod builder;
mod fields;

use super::expression::Spanned;
use crate::diagnostic::{Diagnostic, Result, SourceFile, Span};
use builder::Builder;
pub use fields::Fields;
use saphyr_parser::ScalarStyle;
use std::{fs::File, io::Read, path::Path, string::FromUtf8Error, sync::Arc};

const MAX_BYTES: usize = 1 << 20;

#[derive(Debug, Clone)]
pub struct Node {
    pub kind: NodeKind,
    pub span: Span,
}

#[derive(Debug, Clone)]
pub enum NodeKind {
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order written, each key once.
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub key: Spanned<String>,
    pub value: Node,
}

#[derive(Debug, Clone)]
pub struct Scalar {
    /// As YAML reads it: folded, unescaped.
    pub text: String,
    pub style: ScalarStyle,
    /// The source slice without quotes or block header, so that a caret can point into it.
    pub content: Span,
}

/// A scalar by the core schema of YAML 1.2; quoted scalars are always text.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

/// Reads a file of at most 1 MiB of UTF-8. `shown` is its path in messages.
///
/// # Errors
/// A file that cannot be read, is larger, or is no text.
pub fn read(path: &Path, shown: &str) -> Result<Arc<SourceFile>> {
    let failed = |error: std::io::Error| {
        Diagnostic::error("unreadable", format!("cannot read {shown}: {error}"))
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    // One byte more than allowed is enough to see that a file is too large, however large it is.
    file.take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > MAX_BYTES {
        return Err(too_large(shown).into());
    }
    let text = String::from_utf8(bytes).map_err(|error| not_utf8(shown, &error))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(SourceFile::new(shown, text))
}

/// Points at the first byte that is no UTF-8; the text shown has `\u{fffd}` there.
fn not_utf8(shown: &str, error: &FromUtf8Error) -> Diagnostic {
    let at = error.utf8_error().valid_up_to();
    let bytes = error.as_bytes();
    let file = SourceFile::new(shown, String::from_utf8_lossy(bytes));
    let message = format!("the byte 0x{:02x} here is not UTF-8", bytes[at]);
    let help = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "this looks like UTF-16: save it as UTF-8 text",
        _ => "save it as UTF-8 text",
    };
    Diagnostic::error("not-utf8", message)
        .at(Span::new(
            &file,
            at..at + char::REPLACEMENT_CHARACTER.len_utf8(),
        ))
        .help(help)
}

/// What to do about a text that was meant as a number.
pub fn number_help(text: &str) -> Option<String> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = unsigned.to_ascii_lowercase();
    if let Ok(number) = text.replace('_', "").parse::<f64>()
        && unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
    {
        return Some(match number.is_finite() {
            true if number.abs() >= 2f64.powi(63) => {
                format!("a whole number is at most {}", i64::MAX)
            }
            true if text.contains('_') => format!("write {}", text.replace('_', "")),
            true => "without quotes it is a number".to_owned(),
            false => "no number is as large as that".to_owned(),
        });
    }
    let radix = [("0x", 16), ("0o", 8), ("0b", 2)];
    for (prefix, radix) in radix {
        if let Some(digits) = lower.strip_prefix(prefix) {
            let decimal = i64::from_str_radix(digits, radix).ok()?;
            return Some(format!("numbers are written in decimal: {decimal}"));
        }
    }
    let named = [".inf", "inf", "infinity", ".nan", "nan"];
    named
        .contains(&lower.as_str())
        .then(|| "a number here is finite".to_owned())
}

fn too_large(shown: &str) -> Diagnostic {
    Diagnostic::error("too-large", format!("{shown} is larger than 1 MiB"))
        .help("is it a recipe or a graph file at all?")
}

/// Parses the text under `source`, one document; no text at all is an empty scalar.
///
/// # Errors
/// Text that is too long or no plain YAML: anchors, tags and several documents are refused.
pub fn parse(source: &Span) -> Result<Node> {
    if source.range.len() > MAX_BYTES {
        return Err(too_large(&source.file.path).into());
    }
    refuse_odd_characters(source)?;
    Builder::new(source).build()
}

/// A NUL would end the scanner's input early, and a tab looks like any number of spaces.
fn refuse_odd_characters(source: &Span) -> Result<()> {
    let mut indenting = true;
    for (at, c) in source.text().char_indices() {
        let here = || source.part(at..at + c.len_utf8());
        if c == '\t' && indenting {
            return Diagnostic::error("tab", "a tab indents this line")
                .at(here())
                .help("YAML indents with spaces")
                .fail();
        }
        let odd = c.is_control() || c == '\u{feff}';
        if odd && !matches!(c, '\t' | '\n' | '\r') {
            let message = format!("the control character U+{:04X} is not text", c as u32);
            return Diagnostic::error("control-character", message)
                .at(here())
                .fail();
        }
        indenting = c == '\n' || (indenting && c == ' ');
    }
    Ok(())
}

impl Node {
    /// What a message calls it: `a list`, `the text abc`.
    pub fn describe(&self) -> String {
        match &self.kind {
            NodeKind::List(_) => "a list".to_owned(),
            NodeKind::Map(_) => "a mapping".to_owned(),
            NodeKind::Scalar(scalar) => match scalar.literal() {
                Literal::Null => "nothing".to_owned(),
                Literal::Text(text) => format!("the text {text:?}"),
                Literal::Bool(_) | Literal::Int(_) | Literal::Float(_) => scalar.text.clone(),
            },
        }
    }
}

impl Scalar {
    pub fn literal(&self) -> Literal {
        let text = self.text.as_str();
        if self.style != ScalarStyle::Plain {
            return Literal::Text(text.to_owned());
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Literal::Null,
            "true" | "True" | "TRUE" => return Literal::Bool(true),
            "false" | "False" | "FALSE" => return Literal::Bool(false),
            _ => {}
        }
        // `inf`, `nan` and `infinity` parse as Rust floats, but are words here.
        let numeric = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            && text.contains(|c: char| c.is_ascii_digit());
        if numeric && let Ok(value) = text.parse() {
            return Literal::Int(value);
        }
        match text.parse() {
            Ok(value) if numeric && f64::is_finite(value) => Literal::Float(value),
            _ => Literal::Text(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;

//! Right-hand sides: a subset of Python expressions, with Python's precedence.
//!
//! Parsed is the source slice, not the folded YAML scalar, so that a caret can point into a text of several lines.

mod display;
mod lexer;
mod parser;

use super::yaml::Scalar;
use crate::diagnostic::{Diagnostic, Result, Span};

pub use lexer::is_keyword;

/// Parses the text under a span.
///
/// # Errors
/// Text that is no expression, with the first place where it is none.
pub fn parse(source: &Span) -> Result<Expr> {
    parser::parse(source)
}

/// Parses a YAML scalar. Escapes inside YAML quotes are refused: positions behind them would be wrong.
///
/// # Errors
/// As [`parse`], and on escapes.
pub fn parse_scalar(scalar: &Scalar) -> Result<Expr> {
    let written = scalar.content.text().split_whitespace();
    if written.collect::<String>() != scalar.text.split_whitespace().collect::<String>() {
        let message = "an expression holds no YAML escapes";
        return Diagnostic::error("escaped-expression", message)
            .at(&scalar.content)
            .help("use the other kind of quotes inside: '…\"…\"…'")
            .fail();
    }
    parse(&scalar.content)
}

/// A name or a text with the place it stands at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    pub value: T,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    Int(i64),
    Float(f64),
    Text(String),
    Bool(bool),
    Null,
    /// A value: a param, input, dimension, weight, step, `prev` or `i`.
    Name(String),
    List(Vec<Expr>),
    Negate(Box<Expr>),
    Not(Box<Expr>),
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `a < b <= c`: one operator fewer than operands.
    Compare(Vec<Expr>, Vec<CompareOp>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    /// `then if test else otherwise`
    Choice {
        test: Box<Expr>,
        then: Box<Expr>,
        otherwise: Box<Expr>,
    },
    /// `of[at]`
    Index {
        of: Box<Expr>,
        at: Box<Expr>,
    },
    /// `of[from:to]`
    Slice {
        of: Box<Expr>,
        from: Option<Box<Expr>>,
        to: Option<Box<Expr>>,
    },
    /// `nn.linear(x, out=dim)`: a graph, a built-in, an initialiser or a graph-typed param.
    Call {
        function: Spanned<String>,
        args: Vec<Expr>,
        keywords: Vec<(Spanned<String>, Expr)>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareOp {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
}

impl Expr {
    /// The text of a text literal, and the span of what stands inside its quotes.
    pub fn as_text(&self) -> Option<(&str, Span)> {
        match &self.kind {
            ExprKind::Text(text) => {
                let quote = usize::from(self.span.text().starts_with(['"', '\'']));
                Some((text, self.span.part(quote..quote + text.len())))
            }
            _ => None,
        }
    }

    /// The operands, arguments or elements, in the order written.
    pub fn children(&self) -> Vec<&Expr> {
        use ExprKind::*;
        match &self.kind {
            Int(_) | Float(_) | Text(_) | Bool(_) | Null | Name(_) => vec![],
            List(items) | Compare(items, _) | And(items) | Or(items) => items.iter().collect(),
            Negate(of) | Not(of) => vec![of],
            Binary(_, left, right) => vec![left, right],
            Choice {
                test,
                then,
                otherwise,
            } => vec![then, test, otherwise],
            Index { of, at } => vec![of, at],
            Slice { of, from, to } => {
                let bounds = [from, to].into_iter().flatten();
                [of].into_iter().chain(bounds).map(|e| &**e).collect()
            }
            Call { args, keywords, .. } => {
                let named = keywords.iter().map(|(_, value)| value);
                args.iter().chain(named).collect()
            }
        }
    }

    /// Calls `f` on this expression and everything in it, outer before inner, in the order written.
    pub fn walk<'a>(&'a self, f: &mut impl FnMut(&'a Expr)) {
        f(self);
        for child in self.children() {
            child.walk(f);
        }
    }
}

#[cfg(test)]
mod tests;

//! Right-hand sides: a subset of Python expressions.

use crate::diagnostic::Span;

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

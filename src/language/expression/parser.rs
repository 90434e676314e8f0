//! Tokens to a tree, by recursive descent; the names of the levels are those of Python's grammar.

mod calls;

use super::{
    BinaryOp, CompareOp, Expr, ExprKind,
    lexer::{self, Token},
};
use crate::diagnostic::{Diagnostic, Diagnostics, Result, Span};
use std::ops::Range;

/// How deep parentheses, signs and choices nest.
const MAX_NESTING: usize = 64;
/// Bounds the depth of the tree that a chain `a + a + …` makes, whoever walks it.
const MAX_TOKENS: usize = 1000;

/// Left-associative operators, loosest first.
const ARITHMETIC: [&[(&str, BinaryOp)]; 2] = [
    &[("+", BinaryOp::Add), ("-", BinaryOp::Sub)],
    &[
        ("*", BinaryOp::Mul),
        ("/", BinaryOp::Div),
        ("//", BinaryOp::FloorDiv),
        ("%", BinaryOp::Mod),
    ],
];

const COMPARISONS: &[(&str, CompareOp)] = &[
    ("<", CompareOp::Less),
    ("<=", CompareOp::LessEqual),
    (">", CompareOp::Greater),
    (">=", CompareOp::GreaterEqual),
    ("==", CompareOp::Equal),
    ("!=", CompareOp::NotEqual),
];

pub fn parse(source: &Span) -> Result<Expr> {
    let tokens = lexer::tokens(source)?;
    let mut parser = Parser {
        source,
        tokens,
        next: 0,
        nesting: 0,
    };
    if parser.tokens.len() > MAX_TOKENS {
        let message = format!("an expression of more than {MAX_TOKENS} words and signs");
        return Diagnostic::error("too-deep", message)
            .at(source)
            .help("make parts of it steps of their own")
            .fail();
    }
    let expr = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(expr),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser<'a> {
    source: &'a Span,
    tokens: Vec<(Token, Range<usize>)>,
    next: usize,
    nesting: usize,
}

impl Parser<'_> {
    /// `then if test else otherwise`
    fn expression(&mut self) -> Result<Expr> {
        self.nested(|parser| {
            let start = parser.start();
            let then = parser.disjunction()?;
            if !parser.eat_keyword("if") {
                return Ok(then);
            }
            let test = parser.disjunction()?;
            if !parser.eat_keyword("else") {
                return Err(parser.unexpected("`else`"));
            }
            let otherwise = parser.expression()?;
            let kind = ExprKind::Choice {
                test: Box::new(test),
                then: Box::new(then),
                otherwise: Box::new(otherwise),
            };
            Ok(parser.since(start, kind))
        })
    }

    fn disjunction(&mut self) -> Result<Expr> {
        self.chain("or", Self::conjunction, ExprKind::Or)
    }

    fn conjunction(&mut self) -> Result<Expr> {
        self.chain("and", Self::inversion, ExprKind::And)
    }

    fn chain(
        &mut self,
        keyword: &str,
        operand: fn(&mut Self) -> Result<Expr>,
        kind: fn(Vec<Expr>) -> ExprKind,
    ) -> Result<Expr> {
        let start = self.start();
        let first = operand(self)?;
        let mut operands = vec![first];
        while self.eat_keyword(keyword) {
            operands.push(operand(self)?);
        }
        if operands.len() == 1 {
            return Ok(operands.remove(0));
        }
        Ok(self.since(start, kind(operands)))
    }

    fn inversion(&mut self) -> Result<Expr> {
        let start = self.start();
        if !self.eat_keyword("not") {
            return self.comparison();
        }
        let of = self.nested(Self::inversion)?;
        Ok(self.since(start, ExprKind::Not(Box::new(of))))
    }

    fn comparison(&mut self) -> Result<Expr> {
        let start = self.start();
        let mut operands = vec![self.arithmetic(0)?];
        let mut operators = Vec::new();
        while let Some(operator) = self.eat_operator(COMPARISONS) {
            operators.push(operator);
            operands.push(self.arithmetic(0)?);
        }
        if operators.is_empty() {
            return Ok(operands.remove(0));
        }
        Ok(self.since(start, ExprKind::Compare(operands, operators)))
    }

    fn arithmetic(&mut self, level: usize) -> Result<Expr> {
        let Some(operators) = ARITHMETIC.get(level) else {
            return self.factor();
        };
        let start = self.start();
        let mut left = self.arithmetic(level + 1)?;
        while let Some(operator) = self.eat_operator(operators) {
            let right = self.arithmetic(level + 1)?;
            let kind = ExprKind::Binary(operator, Box::new(left), Box::new(right));
            left = self.since(start, kind);
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Expr> {
        let start = self.start();
        if !self.eat("-") {
            return self.power();
        }
        let of = self.nested(Self::factor)?;
        Ok(self.since(start, ExprKind::Negate(Box::new(of))))
    }

    /// Binds tighter than a sign on its left, looser than one on its right: `-a ** -b` is `-(a ** (-b))`.
    fn power(&mut self) -> Result<Expr> {
        let start = self.start();
        let base = self.primary()?;
        if !self.eat("**") {
            return Ok(base);
        }
        let exponent = self.nested(Self::factor)?;
        let kind = ExprKind::Binary(BinaryOp::Pow, Box::new(base), Box::new(exponent));
        Ok(self.since(start, kind))
    }

    fn primary(&mut self) -> Result<Expr> {
        let start = self.start();
        let mut expr = self.atom()?;
        while self.eat("[") {
            expr = self.subscript(start, expr)?;
        }
        Ok(expr)
    }

    /// What follows `of[`.
    fn subscript(&mut self, start: usize, of: Expr) -> Result<Expr> {
        if self.eat(":") {
            return self.slice(start, of, None);
        }
        let at = self.expression()?;
        if self.eat(":") {
            return self.slice(start, of, Some(at));
        }
        self.expect("]", "`:` or `]`")?;
        let (of, at) = (Box::new(of), Box::new(at));
        Ok(self.since(start, ExprKind::Index { of, at }))
    }

    /// What follows `of[from:`.
    fn slice(&mut self, start: usize, of: Expr, from: Option<Expr>) -> Result<Expr> {
        let to = match self.at("]") {
            true => None,
            false => Some(Box::new(self.expression()?)),
        };
        self.expect("]", "`]`")?;
        let (of, from) = (Box::new(of), from.map(Box::new));
        Ok(self.since(start, ExprKind::Slice { of, from, to }))
    }

    fn atom(&mut self) -> Result<Expr> {
        let start = self.start();
        let kind = match self.peek().clone() {
            Token::Int(value) => ExprKind::Int(value),
            Token::Float(value) => ExprKind::Float(value),
            Token::Text(value) => ExprKind::Text(value),
            Token::Keyword("true") => ExprKind::Bool(true),
            Token::Keyword("false") => ExprKind::Bool(false),
            Token::Keyword("null") => ExprKind::Null,
            Token::Name(name) => return self.name_or_call(name),
            Token::Symbol("(") => {
                self.next += 1;
                let inner = self.expression()?;
                self.expect(")", "`)`")?;
                return Ok(inner);
            }
            Token::Symbol("[") => {
                self.next += 1;
                let items = self.items("]", Self::expression)?;
                return Ok(self.since(start, ExprKind::List(items)));
            }
            _ => return Err(self.unexpected("a value")),
        };
        self.next += 1;
        Ok(self.since(start, kind))
    }

    /// Items between commas up to the closing bracket; a comma may follow the last.
    fn items<T>(&mut self, close: &str, item: fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = Vec::new();
        loop {
            if self.eat(close) {
                return Ok(items);
            }
            items.push(item(self)?);
            if !self.eat(",") && !self.at(close) {
                return Err(self.unexpected(&format!("`,` or `{close}`")));
            }
        }
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.nesting == MAX_NESTING {
            let message = format!("an expression nested more than {MAX_NESTING} deep");
            let here = self.source.part(self.tokens[self.next].1.clone());
            return Diagnostic::error("too-deep", message).at(here).fail();
        }
        self.nesting += 1;
        let parsed = parse(self);
        self.nesting -= 1;
        parsed
    }

    /// The next token; the last one, `End`, is never consumed.
    fn peek(&self) -> &Token {
        &self.tokens[self.next].0
    }

    fn at(&self, symbol: &str) -> bool {
        matches!(self.peek(), Token::Symbol(next) if *next == symbol)
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found = self.at(symbol);
        self.next += usize::from(found);
        found
    }

    fn eat_keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Token::Keyword(next) if *next == keyword);
        self.next += usize::from(found);
        found
    }

    fn eat_operator<T: Copy>(&mut self, operators: &[(&str, T)]) -> Option<T> {
        let (_, operator) = operators.iter().find(|(symbol, _)| self.at(symbol))?;
        self.next += 1;
        Some(*operator)
    }

    fn expect(&mut self, symbol: &str, wanted: &str) -> Result<()> {
        match self.eat(symbol) {
            true => Ok(()),
            false => Err(self.unexpected(wanted)),
        }
    }

    fn unexpected(&self, wanted: &str) -> Diagnostics {
        let (token, range) = &self.tokens[self.next];
        let found = match token {
            Token::End => "the end".to_owned(),
            _ => format!("`{}`", self.source.part(range.clone()).text()),
        };
        let error = Diagnostic::error(
            "expression-syntax",
            format!("wanted {wanted}, found {found}"),
        );
        let error = error.at(self.source.part(range.clone()));
        match token {
            Token::End if self.cut_by_comma() => error
                .help("a comma ends a value inside { }: put quotes around the expression")
                .into(),
            Token::Symbol("=") => error.help("equality is written `==`").into(),
            Token::Symbol(",") => error.help("a list is written `[a, b]`").into(),
            _ => error.into(),
        }
    }

    /// Whether the text goes on behind a comma that YAML took for its own.
    fn cut_by_comma(&self) -> bool {
        let end = self.source.range.end;
        let behind = self.source.file.text.get(end..).unwrap_or_default();
        behind.trim_start_matches(' ').starts_with(',')
    }

    /// Where the next token starts.
    fn start(&self) -> usize {
        self.tokens[self.next].1.start
    }

    /// From `start` to the last token consumed.
    fn covered(&self, start: usize) -> Range<usize> {
        start..self.tokens[self.next - 1].1.end
    }

    fn since(&self, start: usize, kind: ExprKind) -> Expr {
        let span = self.source.part(self.covered(start));
        Expr { kind, span }
    }
}

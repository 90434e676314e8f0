//! Names, and what is called with arguments.

use super::{
    super::{Expr, ExprKind, Spanned, lexer::Token},
    Parser,
};
use crate::diagnostic::{Diagnostic, Result};

impl Parser<'_> {
    pub(super) fn name_or_call(&mut self, name: String) -> Result<Expr> {
        let start = self.start();
        self.next += 1;
        let function = Spanned {
            span: self.source.part(self.covered(start)),
            value: name,
        };
        if self.eat("(") {
            let given = self.items(")", Self::argument)?;
            let (args, keywords) = sort_arguments(given)?;
            let kind = ExprKind::Call {
                function,
                args,
                keywords,
            };
            return Ok(self.since(start, kind));
        }
        if function.value.contains('.') {
            let message = format!("`{}` names a graph, and a graph is called", function.value);
            return Diagnostic::error("expression-syntax", message)
                .at(&function.span)
                .help(format!(
                    "write `{}(…)`; without its tensors it is a graph to call later",
                    function.value
                ))
                .fail();
        }
        Ok(self.since(start, ExprKind::Name(function.value)))
    }

    fn argument(&mut self) -> Result<Argument> {
        let start = self.start();
        let (Token::Name(name), Some((Token::Symbol("="), _))) =
            (self.peek().clone(), self.tokens.get(self.next + 1))
        else {
            return Ok((None, self.expression()?));
        };
        self.next += 1;
        let span = self.source.part(self.covered(start));
        self.next += 1;
        Ok((Some(Spanned { value: name, span }), self.expression()?))
    }
}

type Argument = (Option<Spanned<String>>, Expr);
type Keywords = Vec<(Spanned<String>, Expr)>;

/// Positional arguments come first, and each keyword once.
fn sort_arguments(given: Vec<Argument>) -> Result<(Vec<Expr>, Keywords)> {
    let mut args = Vec::new();
    let mut keywords: Keywords = Vec::new();
    for (keyword, value) in given {
        let Some(keyword) = keyword else {
            if let Some((first, _)) = keywords.first() {
                let message = "a positional argument stands after a keyword";
                return Diagnostic::error("expression-syntax", message)
                    .at(&value.span)
                    .note_at(format!("the keyword `{}` is", first.value), &first.span)
                    .fail();
            }
            args.push(value);
            continue;
        };
        if let Some((first, _)) = keywords.iter().find(|(k, _)| k.value == keyword.value) {
            let message = format!("the keyword `{}` stands here twice", keyword.value);
            return Diagnostic::error("duplicate-keyword", message)
                .at(&keyword.span)
                .note_at("the first one is", &first.span)
                .fail();
        }
        keywords.push((keyword, value));
    }
    Ok((args, keywords))
}

//! The arguments of a call, sorted by the signature of the built-in and read by type.

use super::{
    super::{
        about, is_literal,
        value::{Data, Tensor, Value},
    },
    Builtin,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Result, Span},
    language::expression::{Expr, Spanned},
};
use std::rc::Rc;

pub struct Arg<'a> {
    pub value: Value,
    pub expr: &'a Expr,
}

/// A call whose arguments fit the signature.
pub struct Call<'a> {
    pub span: &'a Span,
    pub builtin: &'static Builtin,
    /// By the names of the signature; several only for one with `*`.
    slots: Vec<(&'static str, Vec<Arg<'a>>)>,
    /// What `**` takes.
    pub sizes: Vec<(&'a Spanned<String>, Arg<'a>)>,
}

/// Sorts arguments as Python does: by position, then by name.
pub fn bind<'a>(
    builtin: &'static Builtin,
    span: &'a Span,
    args: Vec<Arg<'a>>,
    keywords: Vec<(&'a Spanned<String>, Arg<'a>)>,
) -> Result<Call<'a>> {
    let inner = builtin.signature[builtin.name().len()..].trim_matches(['(', ')']);
    let names: Vec<&'static str> = inner.split(", ").filter(|name| !name.is_empty()).collect();
    let any_keyword = names.iter().any(|name| name.starts_with("**"));
    let mut slots: Vec<(&'static str, Vec<Arg>)> = Vec::new();
    let plain = names.iter().filter(|name| !name.starts_with("**"));
    slots.extend(plain.map(|name| (name.trim_matches(['*', '?']), Vec::new())));
    let star = names
        .iter()
        .position(|name| name.starts_with('*') && !name.starts_with("**"));
    let wrong = |message: String, at: &Span| -> Diagnostics {
        Diagnostic::error("wrong-call", message)
            .at(at)
            .help(format!("it is called as {}", builtin.signature))
            .into()
    };
    let mut sizes = Vec::new();
    for (name, arg) in keywords {
        match slots.iter_mut().find(|(slot, _)| **slot == name.value) {
            Some((_, values)) => values.push(arg),
            None if any_keyword => sizes.push((name, arg)),
            None => {
                let message = format!("{} has no `{}`", builtin.name(), name.value);
                return Err(wrong(message, &name.span));
            }
        }
    }
    let free: Vec<usize> = (0..slots.len())
        .filter(|&slot| slots[slot].1.is_empty())
        .collect();
    let after_star = star.map(|star| free.iter().filter(|&&slot| slot > star).count());
    let count = args.len();
    for (i, arg) in args.into_iter().enumerate() {
        let slot = match (star, after_star) {
            (Some(star), Some(after)) if i + after < count => Some(star.min(i)),
            (Some(_), Some(_)) => free.get(free.len() + i - count).copied(),
            _ => free.get(i).copied(),
        };
        match slot {
            Some(slot) => slots[slot].1.push(arg),
            None => {
                let message = format!("{} takes fewer arguments", builtin.name());
                return Err(wrong(message, &arg.expr.span));
            }
        }
    }
    for (name, (slot, values)) in names.iter().zip(&slots) {
        if values.is_empty() && !name.ends_with('?') {
            let message = format!("{} needs `{slot}`", builtin.name());
            return Err(wrong(message, span));
        }
    }
    Ok(Call {
        span,
        builtin,
        slots,
        sizes,
    })
}

impl<'a> Call<'a> {
    /// The values of a name with `*`.
    pub fn all(&self, name: &str) -> &[Arg<'a>] {
        let slot = self.slots.iter().find(|(slot, _)| *slot == name);
        slot.map_or(&[], |(_, values)| values)
    }

    /// A value that may be left out.
    pub fn option(&self, name: &str) -> Option<&Arg<'a>> {
        self.all(name).first()
    }

    pub fn arg(&self, name: &str) -> &Arg<'a> {
        self.option(name)
            .expect("`bind` has seen that it is there, under a name of the signature")
    }

    pub fn tensor(&self, name: &str) -> Result<&Rc<Tensor>> {
        let arg = self.arg(name);
        arg.tensor()
            .ok_or_else(|| self.wrong(name, "a tensor", arg))
    }

    /// Where a pattern stands: patterns are written out, not computed.
    pub fn pattern(&self, name: &str) -> Result<Span> {
        let arg = self.arg(name);
        match arg.expr.as_text() {
            Some((_, span)) => Ok(span),
            None => Err(self.wrong(name, "a text, written out here", arg)),
        }
    }

    pub fn number(&self, name: &str) -> Result<f64> {
        let arg = self.arg(name);
        match arg.value.number() {
            Some(number) => Ok(number.float()),
            None => Err(self.wrong(name, "a number", arg)),
        }
    }

    pub fn int(&self, name: &str) -> Result<i64> {
        let arg = self.arg(name);
        match arg.value.data {
            Data::Int(value) => Ok(value),
            _ => Err(self.wrong(name, "a whole number", arg)),
        }
    }

    /// The argument is not what it has to be.
    pub fn wrong(&self, name: &str, wanted: &str, arg: &Arg) -> Diagnostics {
        let message = format!(
            "`{name}` of {} is {wanted}, got {}",
            self.builtin.name(),
            arg.value.describe()
        );
        arg.error("wrong-type", message).into()
    }
}

impl Arg<'_> {
    pub fn tensor(&self) -> Option<&Rc<Tensor>> {
        self.value.tensor()
    }

    /// An error at the argument, with the history of its value unless it shows.
    pub fn error(&self, code: &'static str, message: String) -> Diagnostic {
        let told = self.tensor().is_none() && !is_literal(self.expr);
        let parts = [(self.expr, &self.value)];
        about(code, message, self.expr, if told { &parts } else { &[] })
    }
}

//! `require`: what must hold, and what would make it hold.

use super::{
    Elaborator,
    scope::Frame,
    value::{Data, Value},
};
use crate::{
    diagnostic::{Diagnostic, Result},
    language::expression::{BinaryOp, CompareOp, Expr, ExprKind},
};

/// How many other values are offered on each side.
const OFFERED: usize = 2;

impl Elaborator<'_> {
    pub fn check_required(&mut self, frame: &mut Frame) -> Result<()> {
        let file = frame.file;
        for required in &file.require {
            self.settle(frame, required)?;
            let clauses = match &required.kind {
                ExprKind::And(clauses) => clauses.as_slice(),
                _ => std::slice::from_ref(required),
            };
            for clause in clauses {
                if !self.holds(frame, clause)? {
                    return Err(self.does_not_hold(frame, clause)?.into());
                }
            }
        }
        Ok(())
    }

    fn does_not_hold(&mut self, frame: &Frame, clause: &Expr) -> Result<Diagnostic> {
        let mut names: Vec<&str> = Vec::new();
        clause.walk(&mut |part| {
            if let ExprKind::Name(name) = &part.kind
                && !names.contains(&name.as_str())
            {
                names.push(name);
            }
        });
        // A name in a branch that was not taken has no value.
        let known = names
            .iter()
            .filter_map(|name| frame.values.get_key_value(name));
        let known: Vec<(&str, &Value)> = known.map(|(name, value)| (*name, value)).collect();
        let values = known
            .iter()
            .map(|(name, value)| format!("{name} = {value}"));
        let values = values.collect::<Vec<_>>().join(", ");
        let message = match values.as_str() {
            "" => format!("{clause} does not hold in {}", frame.file.name),
            values => format!("{clause} does not hold in {}: {values}", frame.file.name),
        };
        let error = Diagnostic::error("does-not-hold", message).at(&clause.span);
        let error = known.into_iter().fold(error, |error, (name, value)| {
            value.source.explain(error, name, value)
        });
        Ok(match self.would_divide(frame, clause)? {
            Some(help) => error.help(help),
            None => error,
        })
    }

    /// For `a % b == 0`: the numbers near `a` and `b` that would do.
    fn would_divide(&mut self, frame: &Frame, clause: &Expr) -> Result<Option<String>> {
        let ExprKind::Compare(operands, ops) = &clause.kind else {
            return Ok(None);
        };
        let ([modulo, zero], [CompareOp::Equal]) = (&operands[..], &ops[..]) else {
            return Ok(None);
        };
        let ExprKind::Binary(BinaryOp::Mod, of, by) = &modulo.kind else {
            return Ok(None);
        };
        let values = (self.eval(frame, of, None)?, self.eval(frame, by, None)?);
        let (Data::Int(n @ 1..), Data::Int(d @ 1..)) = (&values.0.data, &values.1.data) else {
            return Ok(None);
        };
        if zero.kind != ExprKind::Int(0) {
            return Ok(None);
        }
        let mut offers = Vec::new();
        if let ExprKind::Name(_) = by.kind {
            let near = list(&divisors_near(*n, *d));
            offers.push(format!("a `{by}` that divides {n}: {near}"));
        }
        if let ExprKind::Name(_) = of.kind {
            let near = list(&multiples_near(*n, *d));
            offers.push(format!("a `{of}` that is a multiple of {d}: {near}"));
        }
        Ok(Some(offers.join("; or ")).filter(|help| !help.is_empty()))
    }
}

/// The divisors of `n` next to `d` on both sides, the larger ones last.
fn divisors_near(n: i64, d: i64) -> Vec<i64> {
    let divides = |candidate: &i64| n % candidate == 0;
    // Far away nothing is near.
    let reach = 10_000;
    let below = (d.saturating_sub(reach).max(1)..d.min(n + 1)).rev();
    let above = d.saturating_add(1)..=n.min(d.saturating_add(reach));
    let mut near: Vec<i64> = below.filter(divides).take(OFFERED).collect();
    near.reverse();
    near.extend(above.filter(divides).take(OFFERED));
    near
}

fn multiples_near(n: i64, d: i64) -> Vec<i64> {
    let below = n - n % d;
    let both = [Some(below), below.checked_add(d)];
    both.into_iter().flatten().filter(|&m| m > 0).collect()
}

fn list(numbers: &[i64]) -> String {
    let words: Vec<_> = numbers.iter().map(i64::to_string).collect();
    match words.as_slice() {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        words => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_numbers_that_divide() {
        assert_eq!(divisors_near(48, 7), [4, 6, 8, 12]);
        assert_eq!(divisors_near(7, 3), [1, 7]);
        assert_eq!(divisors_near(6, 100), [3, 6]);
        assert_eq!(multiples_near(48, 7), [42, 49]);
        assert_eq!(multiples_near(3, 7), [7]);
        assert_eq!(multiples_near(i64::MAX, 2), [i64::MAX - 1]);
    }
}

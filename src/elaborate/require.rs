//! `require`: what must hold, and what would make it hold. `advise`: what should.

use super::{
    Elaborator,
    scope::Frame,
    value::{Data, Value},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Result},
    language::expression::{BinaryOp, CompareOp, Expr, ExprKind},
};

/// How many other values are offered on each side.
const OFFERED: usize = 2;
/// How many are tried on each side.
const TRIED: usize = 500;

impl Elaborator<'_> {
    /// Every condition that does not hold is an error, and nothing is made of the graph then.
    pub fn check_required(&mut self, frame: &mut Frame) -> Result<()> {
        let file = frame.file;
        let mut found = Vec::new();
        let mut sound = true;
        // A name is blamed once: what else fails for it follows.
        let mut blamed: Vec<&str> = Vec::new();
        for clause in file.require.iter().flat_map(clauses) {
            match self.violation(frame, clause, "does not") {
                Ok(None) => {}
                Ok(Some(message)) => {
                    let names = known(frame, clause).into_iter().map(|(name, _)| name);
                    let names: Vec<_> = names.collect();
                    if names.iter().any(|name| blamed.contains(name)) {
                        continue;
                    }
                    blamed.extend(names);
                    let error = Diagnostic::error("does-not-hold", message);
                    let error = self.explained(frame, clause, error);
                    found.push(match self.would_divide(frame, clause)? {
                        Some(help) => error.help(help),
                        None => error,
                    });
                }
                Err(errors) => {
                    sound = false;
                    found.extend(errors.0);
                }
            }
        }
        if sound {
            Diagnostics::unless(found, ())
        } else {
            Err(Diagnostics(found))
        }
    }

    /// Advice that is not followed is a warning, once however many instances there are.
    pub fn check_advice(&mut self, frame: &mut Frame) -> Result<()> {
        let file = frame.file;
        for advice in &file.advise {
            for clause in clauses(&advice.should) {
                let Some(message) = self.violation(frame, clause, "should")? else {
                    continue;
                };
                let known = |one: &Diagnostic| one.span.as_ref() == Some(&clause.span);
                if self.warnings.iter().any(known) {
                    continue;
                }
                let warning = Diagnostic::warning("against-advice", message);
                let warning = warning.within(frame.path.text().to_string());
                let warning = self.explained(frame, clause, warning);
                self.warnings.push(warning.help(&advice.since));
            }
        }
        Ok(())
    }

    /// What to say of a clause that does not hold; nothing of one that does.
    fn violation<'f>(
        &mut self,
        frame: &mut Frame<'f>,
        clause: &'f Expr,
        verb: &str,
    ) -> Result<Option<String>> {
        self.settle(frame, clause)?;
        if self.holds(frame, clause)? {
            return Ok(None);
        }
        let known = known(frame, clause).into_iter();
        let values: Vec<_> = known.map(|(name, v)| format!("{name} = {v}")).collect();
        let graph = &frame.file.name;
        Ok(Some(match values.as_slice() {
            [] => format!("{clause} {verb} hold in {graph}"),
            values => format!("{clause} {verb} hold in {graph}: {}", values.join(", ")),
        }))
    }

    fn explained(&self, frame: &Frame, clause: &Expr, message: Diagnostic) -> Diagnostic {
        let known = known(frame, clause).into_iter();
        known.fold(message.at(&clause.span), |message, (name, value)| {
            value.source.explain(message, name, value)
        })
    }

    /// For `a % b == 0`: the numbers near `a` and those in `b` that would do.
    fn would_divide(&mut self, frame: &mut Frame, clause: &Expr) -> Result<Option<String>> {
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
        } else {
            offers.extend(self.would_do(frame, clause, by)?);
        }
        if let ExprKind::Name(_) = of.kind {
            let near = list(&multiples_near(*n, *d));
            offers.push(format!("a `{of}` that is a multiple of {d}: {near}"));
        }
        Ok(Some(offers.join("; or ")).filter(|help| !help.is_empty()))
    }

    /// For each whole number that `part` names, others near it with which the clause would hold.
    fn would_do(&mut self, frame: &mut Frame, clause: &Expr, part: &Expr) -> Result<Vec<String>> {
        let names: Vec<_> = known(frame, part)
            .into_iter()
            .map(|(name, value)| (name, value.clone()))
            .collect();
        let mut offers = Vec::new();
        for (name, value) in names {
            let Data::Int(now @ 1..) = value.data else {
                continue;
            };
            let mut holds = |candidate: &i64| {
                let data = Data::Int(*candidate);
                let source = value.source.clone();
                frame.values.insert(name, Value { data, source });
                // With some numbers the clause has no value at all.
                self.holds(frame, clause).unwrap_or(false)
            };
            let below = (1..now).rev().take(TRIED).filter(&mut holds);
            let mut near: Vec<_> = below.take(OFFERED).collect();
            near.reverse();
            let above = (1..=TRIED as i64).filter_map(|step| now.checked_add(step));
            near.extend(above.filter(&mut holds).take(OFFERED));
            frame.values.insert(name, value.clone());
            if !near.is_empty() {
                offers.push(format!("a `{name}` of {}", list(&near)));
            }
        }
        Ok(offers)
    }
}

/// The operands of `and`, each a condition of its own.
fn clauses(condition: &Expr) -> &[Expr] {
    match &condition.kind {
        ExprKind::And(clauses) => clauses,
        _ => std::slice::from_ref(condition),
    }
}

/// The names in an expression that have a value, in their order; one in a branch that was not taken has none.
fn known<'a, 'f>(frame: &'a Frame<'f>, expr: &Expr) -> Vec<(&'f str, &'a Value)> {
    let mut found: Vec<(&'f str, &Value)> = Vec::new();
    expr.walk(&mut |part| {
        if let ExprKind::Name(name) = &part.kind
            && let Some((&name, value)) = frame.values.get_key_value(name.as_str())
            && !found.iter().any(|(known, _)| *known == name)
        {
            found.push((name, value));
        }
    });
    found
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

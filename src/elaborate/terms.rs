//! Expressions of an instance as [`Term`]s: its frame says what is a tensor, and which branch is taken.

use super::{
    Elaborator, builtins,
    scope::Frame,
    source::Source,
    trace::{Known, Literal, Term, Word, literal, over_batch},
    value::{Data, Value},
};
use crate::{
    diagnostic::{Result, Span},
    language::{
        expression::{Expr, ExprKind, Spanned},
        graph_file::{Step, StepBody},
    },
};
use std::{ops::Range, sync::Arc};

/// The step that an expression belongs to.
struct Place {
    path: Arc<str>,
    /// Of a fold.
    turn: usize,
}

/// Built-ins that make tensors of numbers.
const LEAVES: [&str; 4] = ["arange", "full", "uniform", "input"];

impl Elaborator<'_> {
    pub fn step_term<'f>(&mut self, frame: &mut Frame<'f>, step: &'f Step) -> Result<Term> {
        let name = &step.name.value;
        let path = frame.path.step(step.scope.as_ref().unwrap_or(name));
        let place = |path: &super::scope::Path, turn| Place {
            path: path.text().clone(),
            turn,
        };
        let (count, from, each) = match &step.body {
            StepBody::Value(expr) => return self.term(frame, expr, &place(&path, 0)),
            StepBody::Repeat { count, from, each } => (count, from, each),
        };
        let last = frame.lookup(name, &step.name.span)?;
        let from = Box::new(self.term(frame, from, &place(&path, 0))?);
        let count = self.known(frame, count)?;
        let Literal::Int(n) = count.value else {
            unreachable!("a fold that has a value is repeated a whole number of times");
        };
        let mut turns = Vec::new();
        for i in 0..n {
            let index = Value {
                data: Data::Int(i),
                source: Source::unknown(),
            };
            frame.values.insert("i", index);
            frame.values.insert("prev", last.clone());
            let at = place(&path.step(&i.to_string()), i as usize);
            turns.push(self.term(frame, each, &at)?);
        }
        frame.values.remove("i");
        frame.values.remove("prev");
        Ok(Term::Repeat { count, from, turns })
    }

    fn term(&mut self, frame: &Frame, expr: &Expr, at: &Place) -> Result<Term> {
        if let ExprKind::Choice {
            test,
            then,
            otherwise,
        } = &expr.kind
        {
            let taken = self.holds(frame, test)?;
            let test = self.known(frame, test)?;
            let value = self.term(frame, if taken { then } else { otherwise }, at)?;
            return Ok(Term::Choice {
                test,
                taken,
                value: Box::new(value),
            });
        }
        if !self.has_tensor(frame, expr)? {
            return Ok(Term::Known(self.known(frame, expr)?));
        }
        let mut terms = |exprs: &[Expr]| -> Result<Vec<Term>> {
            let terms = exprs.iter().map(|part| self.term(frame, part, at));
            terms.collect()
        };
        Ok(match &expr.kind {
            ExprKind::Name(name) => Term::Name(name.clone()),
            ExprKind::Negate(of) => Term::Negate(Box::new(self.term(frame, of, at)?)),
            ExprKind::Binary(op, left, right) => {
                let left = self.term(frame, left, at)?;
                Term::Binary(*op, Box::new([left, self.term(frame, right, at)?]))
            }
            ExprKind::Compare(operands, ops) => Term::Compare(terms(operands)?, ops.clone()),
            ExprKind::Index { of, at: index } => {
                let of = Box::new(self.term(frame, of, at)?);
                Term::Element(of, self.known(frame, index)?)
            }
            ExprKind::Call {
                function,
                args,
                keywords,
            } => match builtins::find(&function.value) {
                Some(builtin) if !frame.graphs.contains_key(function.value.as_str()) => {
                    self.builtin_term(frame, builtin, (args, keywords), &expr.span, at)?
                }
                _ => {
                    let args = terms(args)?;
                    self.call_term(frame, &expr.span, args, keywords, at)?
                }
            },
            _ => unreachable!("no other expression has a tensor in it"),
        })
    }

    fn builtin_term(
        &mut self,
        frame: &Frame,
        builtin: &'static builtins::Builtin,
        (args, keywords): (&[Expr], &[(Spanned<String>, Expr)]),
        span: &Span,
        at: &Place,
    ) -> Result<Term> {
        // The values have been looked at; here it is asked which argument goes where.
        let arg = |expr| builtins::Arg {
            value: Value::written(Data::Null, span),
            expr,
        };
        let named = keywords.iter().map(|(name, expr)| (name, arg(expr)));
        let call = builtins::bind(
            builtin,
            span,
            args.iter().map(arg).collect(),
            named.collect(),
        )?;
        let mut bound = Vec::new();
        for slot in builtin.slots() {
            for arg in call.all(slot) {
                bound.push((slot, self.term(frame, arg.expr, at)?));
            }
        }
        let mut sizes = Vec::new();
        for (name, arg) in &call.sizes {
            sizes.push((name.value.clone(), self.known(frame, arg.expr)?));
        }
        Ok(Term::Builtin {
            name: builtin.name(),
            args: bound,
            sizes,
        })
    }

    fn call_term(
        &mut self,
        frame: &Frame,
        span: &Span,
        args: Vec<Term>,
        keywords: &[(Spanned<String>, Expr)],
        at: &Place,
    ) -> Result<Term> {
        let tracer = self.trace.as_ref();
        let child = tracer.and_then(|tracer| tracer.child(&at.path, span, at.turn));
        let child = child.expect("the call has been made, so it is in the trace");
        let mut passed = Vec::new();
        for (name, expr) in keywords {
            passed.push((name.value.clone(), self.known(frame, expr)?));
        }
        Ok(Term::Call {
            child,
            args,
            keywords: passed,
        })
    }

    /// Whether a tensor, or the result of a graph, is part of what an expression comes to.
    fn has_tensor(&mut self, frame: &Frame, expr: &Expr) -> Result<bool> {
        match &expr.kind {
            ExprKind::Name(name) => {
                let value = frame.values.get(name.as_str());
                Ok(value.is_some_and(|value| value.tensor().is_some()))
            }
            ExprKind::Choice {
                test,
                then,
                otherwise,
            } => {
                let taken = self.holds(frame, test)?;
                self.has_tensor(frame, if taken { then } else { otherwise })
            }
            ExprKind::Not(_) | ExprKind::And(_) | ExprKind::Or(_) => Ok(false),
            ExprKind::Call { function, args, .. } if builtins::find(&function.value).is_none() => {
                let file = match frame.graphs.get(function.value.as_str()) {
                    Some(_) => return Ok(true),
                    None => self.graph_file(function)?,
                };
                Ok(!args.is_empty() || file.inputs.is_empty())
            }
            ExprKind::Call { function, .. } if LEAVES.contains(&function.value.as_str()) => {
                Ok(true)
            }
            _ => {
                for part in expr.children() {
                    if self.has_tensor(frame, part)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// An expression without tensors: its value, and its words.
    pub fn known(&mut self, frame: &Frame, expr: &Expr) -> Result<Known> {
        let value = self.eval(frame, expr, None)?;
        let value = literal(&value).unwrap_or(Literal::Null);
        let mut pieces = Vec::new();
        let words = match pieces_of(frame, expr, &mut pieces) {
            Some(()) => words(expr, pieces),
            None => Vec::new(),
        };
        Ok(Known { value, words })
    }
}

/// The parts of an expression that are not the same text in Python; none where one has no such text at all.
fn pieces_of(frame: &Frame, expr: &Expr, found: &mut Vec<(Range<usize>, Word)>) -> Option<()> {
    let mut put = |span: &Span, word| found.push((span.range.clone(), word));
    match &expr.kind {
        ExprKind::Null => put(&expr.span, Word::Text("None".into())),
        ExprKind::Bool(true) => put(&expr.span, Word::Text("True".into())),
        ExprKind::Bool(false) => put(&expr.span, Word::Text("False".into())),
        ExprKind::Name(name) => {
            let value = frame.values.get(name.as_str())?;
            let word = match over_batch(value) {
                true => Word::Batch(name.clone()),
                false => Word::Leaf(name.clone(), literal(value)?),
            };
            put(&expr.span, word);
        }
        ExprKind::Call { function, .. } => {
            let python = match function.value.as_str() {
                name @ ("len" | "sum" | "min" | "max" | "int" | "abs") => name.to_owned(),
                name @ ("ceil" | "sqrt" | "exp" | "log") => format!("math.{name}"),
                _ => return None,
            };
            put(&function.span, Word::Text(python));
        }
        _ => {}
    }
    expr.children()
        .into_iter()
        .try_for_each(|part| pieces_of(frame, part, found))
}

/// The text of an expression with its pieces exchanged, on one line.
fn words(expr: &Expr, mut pieces: Vec<(Range<usize>, Word)>) -> Vec<Word> {
    pieces.sort_by_key(|(range, _)| range.start);
    let text = &expr.span.file.text;
    let mut words = Vec::new();
    let plain = |range: Range<usize>, words: &mut Vec<Word>| {
        let text = &text[range];
        if text.is_empty() {
            return;
        }
        let line: Vec<&str> = text.split_whitespace().collect();
        let edge = |has: bool| if has && !line.is_empty() { " " } else { "" };
        let before = edge(text.starts_with(char::is_whitespace));
        let after = edge(text.ends_with(char::is_whitespace));
        let line = line.join(" ");
        let line = if line.is_empty() { " ".into() } else { line };
        words.push(Word::Text(format!("{before}{line}{after}")));
    };
    let mut next = expr.span.range.start;
    for (range, word) in pieces {
        plain(next..range.start, &mut words);
        next = range.end;
        words.push(word);
    }
    plain(next..expr.span.range.end, &mut words);
    words
}

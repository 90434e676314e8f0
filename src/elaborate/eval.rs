//! The value of an expression, once the names in it have values.

use super::{
    Elaborator, about,
    calls::Written,
    number::{self, Fault},
    scope::{Frame, Path},
    source::Source,
    value::{Data, Value},
};
use crate::{
    diagnostic::{Diagnostic, Result},
    language::expression::{BinaryOp, CompareOp, Expr, ExprKind},
};

impl Elaborator<'_> {
    /// `whole` is the path that a call takes which is all of the expression, or all of the branch that is taken.
    pub fn eval(&mut self, frame: &Frame, expr: &Expr, whole: Option<&Path>) -> Result<Value> {
        self.deeper(&expr.span, |this| this.eval_here(frame, expr, whole))
    }

    fn eval_here(&mut self, frame: &Frame, expr: &Expr, whole: Option<&Path>) -> Result<Value> {
        let literal = |data| Ok(Value::written(data, &expr.span));
        match &expr.kind {
            ExprKind::Int(value) => literal(Data::Int(*value)),
            ExprKind::Float(value) => literal(Data::Float(*value)),
            ExprKind::Text(text) => literal(Data::Text(text.as_str().into())),
            ExprKind::Bool(value) => literal(Data::Bool(*value)),
            ExprKind::Null => literal(Data::Null),
            ExprKind::Name(name) => frame.lookup(name, &expr.span),
            ExprKind::List(items) => self.list(frame, expr, items),
            ExprKind::Negate(of) => {
                let value = self.eval(frame, of, None)?;
                self.negate(expr, of, &value)
            }
            ExprKind::Not(_) | ExprKind::And(_) | ExprKind::Or(_) => {
                let holds = self.connective(frame, expr)?;
                let source = Source::from_named(&expr.span, vec![]);
                let data = Data::Bool(holds);
                Ok(Value { data, source })
            }
            ExprKind::Binary(op, left, right) => {
                let a = self.eval(frame, left, None)?;
                let b = self.eval(frame, right, None)?;
                self.binary(expr, *op, (left, &a), (right, &b))
            }
            ExprKind::Compare(operands, ops) => self.compare(frame, expr, operands, ops),
            ExprKind::Choice {
                test,
                then,
                otherwise,
            } => {
                let taken = self.holds(frame, test)?;
                self.eval(frame, if taken { then } else { otherwise }, whole)
            }
            ExprKind::Index { of, at } => {
                let list = self.eval(frame, of, None)?;
                let index = self.eval(frame, at, None)?;
                self.index(expr, (of, &list), (at, &index))
            }
            ExprKind::Slice { of, from, to } => {
                let list = self.eval(frame, of, None)?;
                self.slice(frame, expr, (of, &list), [from.as_deref(), to.as_deref()])
            }
            ExprKind::Call {
                function,
                args,
                keywords,
            } => {
                let call = Written {
                    span: &expr.span,
                    function,
                    args,
                    keywords,
                };
                self.call(frame, &call, whole)
            }
        }
    }

    /// Whether a condition holds.
    pub fn holds(&mut self, frame: &Frame, expr: &Expr) -> Result<bool> {
        let value = self.eval(frame, expr, None)?;
        match value.number() {
            Some(number) => Ok(!number.is_zero()),
            None => {
                let message = format!(
                    "a condition is true, false or a number, got {}",
                    value.describe()
                );
                Err(about("wrong-type", message, expr, &[(expr, &value)]).into())
            }
        }
    }

    fn connective(&mut self, frame: &Frame, expr: &Expr) -> Result<bool> {
        match &expr.kind {
            ExprKind::Not(of) => Ok(!self.holds(frame, of)?),
            ExprKind::And(operands) => {
                for operand in operands {
                    if !self.holds(frame, operand)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            ExprKind::Or(operands) => {
                for operand in operands {
                    if self.holds(frame, operand)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            _ => self.holds(frame, expr),
        }
    }

    fn list(&mut self, frame: &Frame, expr: &Expr, items: &[Expr]) -> Result<Value> {
        let values: Vec<Value> = items
            .iter()
            .map(|item| self.eval(frame, item, None))
            .collect::<Result<_>>()?;
        for (item, value) in items.iter().zip(&values) {
            if let Data::Tensor(_) | Data::Graph(_) = value.data {
                let message = format!("a list holds numbers, got {}", value.describe());
                return Err(about("wrong-type", message, item, &[(item, value)]).into());
            }
        }
        Ok(Value {
            source: Source::worked(expr, items.iter().zip(&values)),
            data: Data::List(values.into()),
        })
    }

    fn negate(&mut self, expr: &Expr, of: &Expr, value: &Value) -> Result<Value> {
        if let Data::Tensor(tensor) = &value.data {
            return Ok(self.negate_tensor(tensor));
        }
        let parts = [(of, value)];
        let Some(number) = value.number() else {
            let message = format!("a number can be negated, got {}", value.describe());
            return Err(about("wrong-type", message, expr, &parts).into());
        };
        match number::negate(number) {
            Ok(result) => Ok(Value {
                data: result.data(),
                source: Source::worked(expr, parts),
            }),
            Err(fault) => Err(faulty(fault, expr, &parts).into()),
        }
    }

    fn binary(
        &mut self,
        expr: &Expr,
        op: BinaryOp,
        left: (&Expr, &Value),
        right: (&Expr, &Value),
    ) -> Result<Value> {
        if left.1.tensor().or(right.1.tensor()).is_some() {
            return self.binary_tensors(expr, op, left, right);
        }
        let parts = [left, right];
        let (Some(a), Some(b)) = (left.1.number(), right.1.number()) else {
            let message = format!(
                "`{op}` is for numbers and tensors, got {} and {}",
                left.1.describe(),
                right.1.describe()
            );
            return Err(about("wrong-type", message, expr, &parts).into());
        };
        match number::binary(op, a, b) {
            Ok(result) => Ok(Value {
                data: result.data(),
                source: Source::worked(expr, parts),
            }),
            Err(fault) => Err(faulty(fault, expr, &parts).into()),
        }
    }

    /// `a < b <= c` holds if each neighbouring pair does.
    fn compare(
        &mut self,
        frame: &Frame,
        expr: &Expr,
        operands: &[Expr],
        ops: &[CompareOp],
    ) -> Result<Value> {
        let values: Vec<Value> = operands
            .iter()
            .map(|operand| self.eval(frame, operand, None))
            .collect::<Result<_>>()?;
        let parts: Vec<_> = operands.iter().zip(&values).collect();
        if values.iter().any(|value| value.tensor().is_some()) {
            return self.compare_tensors(expr, &parts, ops);
        }
        let mut holds = true;
        for (pair, &op) in parts.windows(2).zip(ops) {
            let Some(one) = compare(op, pair[0].1, pair[1].1) else {
                let message = format!(
                    "{} and {} have no order",
                    pair[0].1.describe(),
                    pair[1].1.describe()
                );
                return Err(about("wrong-type", message, expr, pair).into());
            };
            holds &= one;
        }
        Ok(Value {
            data: Data::Bool(holds),
            source: Source::worked(expr, parts),
        })
    }

    fn index(&mut self, expr: &Expr, of: (&Expr, &Value), at: (&Expr, &Value)) -> Result<Value> {
        let parts = [of, at];
        let Data::Int(position) = at.1.data else {
            let message = format!("an index is a whole number, got {}", at.1.describe());
            return Err(about("wrong-type", message, at.0, &[at]).into());
        };
        let len = match &of.1.data {
            Data::List(items) => items.len(),
            Data::Tensor(tensor) => tensor.dims().first().copied().unwrap_or(0),
            _ => {
                let message = format!("a list or a tensor is indexed, got {}", of.1.describe());
                return Err(about("wrong-type", message, expr, &parts).into());
            }
        };
        // Python counts from the end below zero.
        let from_start = if position < 0 {
            position.checked_add(len as i64)
        } else {
            Some(position)
        };
        let place = from_start.and_then(|at| usize::try_from(at).ok());
        let Some(place) = place.filter(|&place| place < len) else {
            let message = format!("there is no element {position} among {len}");
            return Err(about("out-of-range", message, expr, &parts).into());
        };
        match &of.1.data {
            Data::List(items) => Ok(items[place].clone()),
            Data::Tensor(tensor) => Ok(self.element(tensor, place)),
            _ => unreachable!("a value of another kind was refused above"),
        }
    }

    /// A part of a list, bounds cut to it as Python cuts them.
    fn slice(
        &mut self,
        frame: &Frame,
        expr: &Expr,
        of: (&Expr, &Value),
        bounds: [Option<&Expr>; 2],
    ) -> Result<Value> {
        let Data::List(items) = &of.1.data else {
            let message = format!("a list is sliced, got {}", of.1.describe());
            let error = about("wrong-type", message, expr, &[of]);
            let help = "a tensor is sliced along a named axis: slice(x, \"[a] b\", start=…, end=…)";
            return Err(error.help(help).into());
        };
        let len = items.len() as i64;
        let mut places = [0, len];
        for (place, bound) in places.iter_mut().zip(bounds) {
            let Some(bound) = bound else { continue };
            let value = self.eval(frame, bound, None)?;
            *place = match value.data {
                Data::Null => *place,
                Data::Int(at) if at < 0 => at.saturating_add(len).max(0),
                Data::Int(at) => at.min(len),
                _ => {
                    let message = format!("a bound is a whole number, got {}", value.describe());
                    return Err(about("wrong-type", message, bound, &[(bound, &value)]).into());
                }
            };
        }
        let [from, to] = places.map(|place| place as usize);
        let part = items.get(from..to.max(from)).unwrap_or_default();
        Ok(Value {
            data: Data::List(part.into()),
            source: Source::worked(expr, [of]),
        })
    }
}

/// `None` where the values have no order.
fn compare(op: CompareOp, a: &Value, b: &Value) -> Option<bool> {
    if let (Some(a), Some(b)) = (a.number(), b.number()) {
        return Some(number::compare(op, a, b));
    }
    match op {
        CompareOp::Equal => Some(equal(a, b)),
        CompareOp::NotEqual => Some(!equal(a, b)),
        _ => None,
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (&a.data, &b.data) {
        (Data::Null, Data::Null) => true,
        (Data::Text(a), Data::Text(b)) => a == b,
        (Data::Initialiser(a), Data::Initialiser(b)) => a == b,
        (Data::List(a), Data::List(b)) => {
            a.len() == b.len() && a.iter().zip(&**b).all(|(a, b)| equal(a, b))
        }
        _ => match (a.number(), b.number()) {
            (Some(a), Some(b)) => number::compare(CompareOp::Equal, a, b),
            _ => false,
        },
    }
}

fn faulty(fault: Fault, expr: &Expr, parts: &[(&Expr, &Value)]) -> Diagnostic {
    about(
        fault.code(),
        format!("{expr} {}", fault.message()),
        expr,
        parts,
    )
}

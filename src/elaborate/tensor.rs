//! Arithmetic on tensors. Axes are aligned at the end and those of size 1 stretch; numbers mix in freely.

use super::{
    Elaborator, about,
    source::Source,
    value::{Data, Tensor, Value},
};
use crate::{
    diagnostic::{Diagnostics, Result},
    ir::{self, read::broadcast_dims},
    language::expression::{BinaryOp, CompareOp, Expr},
};
use std::rc::Rc;

/// Whole powers up to this one are products.
const MAX_POWER: i64 = 8;

#[derive(Clone)]
enum Operand {
    Tensor(Rc<Tensor>),
    Number(f64),
}

/// A tensor, whose own history nothing tells: that of its axes is kept.
pub fn tensor(value: ir::Value, axes: Vec<Source>) -> Value {
    Value {
        data: data(value, axes),
        source: Source::unknown(),
    }
}

pub fn data(value: ir::Value, axes: Vec<Source>) -> Data {
    Data::Tensor(Rc::new(Tensor { value, axes }))
}

impl Elaborator<'_> {
    pub fn negate_tensor(&mut self, of: &Tensor) -> Value {
        tensor(self.rewriter.neg(&of.value), of.axes.clone())
    }

    /// What stands at a place of the first axis, which disappears.
    pub fn element(&mut self, of: &Tensor, place: usize) -> Value {
        let row = self.rewriter.slice(&of.value, 0, place, place + 1);
        tensor(row.squeeze(0), of.axes[1..].to_vec())
    }

    pub fn binary_tensors(
        &mut self,
        expr: &Expr,
        op: BinaryOp,
        left: (&Expr, &Value),
        right: (&Expr, &Value),
    ) -> Result<Value> {
        let parts = [left, right];
        let refuse = |what: String| Err(about("wrong-type", what, expr, &parts).into());
        let (a, b) = (operand(expr, left)?, operand(expr, right)?);
        let axes = self.broadcast_axes(expr, [left, right], &a, &b)?;
        let r = &mut self.rewriter;
        let value = match (op, a, b) {
            (BinaryOp::Add, Operand::Tensor(x), Operand::Number(n))
            | (BinaryOp::Add, Operand::Number(n), Operand::Tensor(x)) => match n {
                0.0 => x.value.clone(),
                _ => r.offset(&x.value, n as f32),
            },
            (BinaryOp::Add, Operand::Tensor(x), Operand::Tensor(y)) => r.add(&x.value, &y.value),
            (BinaryOp::Sub, Operand::Tensor(x), Operand::Number(n)) => match n {
                0.0 => x.value.clone(),
                _ => r.offset(&x.value, -n as f32),
            },
            (BinaryOp::Sub, Operand::Number(n), Operand::Tensor(y)) => {
                let y = r.neg(&y.value);
                match n {
                    0.0 => y,
                    _ => r.offset(&y, n as f32),
                }
            }
            (BinaryOp::Sub, Operand::Tensor(x), Operand::Tensor(y)) => r.sub(&x.value, &y.value),
            (BinaryOp::Mul, Operand::Tensor(x), Operand::Number(n))
            | (BinaryOp::Mul, Operand::Number(n), Operand::Tensor(x)) => match n {
                1.0 => x.value.clone(),
                _ => r.scale(&x.value, n as f32),
            },
            (BinaryOp::Mul, Operand::Tensor(x), Operand::Tensor(y)) => r.mul(&x.value, &y.value),
            (BinaryOp::Div, Operand::Tensor(_), Operand::Number(0.0)) => {
                let message = format!("{expr} divides by zero");
                return Err(about("division-by-zero", message, expr, &parts).into());
            }
            (BinaryOp::Div, Operand::Tensor(x), Operand::Number(n)) => match n {
                1.0 => x.value.clone(),
                _ => r.scale(&x.value, number(expr, &parts, 1.0 / n)?),
            },
            (BinaryOp::Div, Operand::Number(n), Operand::Tensor(y)) => {
                let y = r.recip(&y.value);
                match n {
                    1.0 => y,
                    _ => r.scale(&y, n as f32),
                }
            }
            (BinaryOp::Div, Operand::Tensor(x), Operand::Tensor(y)) => r.div(&x.value, &y.value),
            (BinaryOp::Pow, Operand::Tensor(x), Operand::Number(n)) => {
                match self.power(&x.value, n) {
                    Some(value) => value,
                    None => {
                        return refuse(format!(
                            "a tensor has the powers 1 to {MAX_POWER}, 0.5 and those of its reciprocal, got {n}"
                        ));
                    }
                }
            }
            _ => {
                return refuse(format!(
                    "`{op}` is not for {} and {}",
                    left.1.describe(),
                    right.1.describe()
                ));
            }
        };
        Ok(tensor(value, axes))
    }

    /// 1 where all comparisons hold, else 0.
    pub fn compare_tensors(
        &mut self,
        expr: &Expr,
        parts: &[(&Expr, &Value)],
        ops: &[CompareOp],
    ) -> Result<Value> {
        let mut all: Option<(&Expr, Value)> = None;
        for (pair, &op) in parts.windows(2).zip(ops) {
            let one = self.compare_pair(expr, op, pair[0], pair[1])?;
            all = Some(match all {
                None => (expr, one),
                Some((_, before)) => {
                    let both = [(expr, &before), (expr, &one)];
                    (
                        expr,
                        self.binary_tensors(expr, BinaryOp::Mul, both[0], both[1])?,
                    )
                }
            });
        }
        Ok(all.expect("a comparison has operators").1)
    }

    fn compare_pair(
        &mut self,
        expr: &Expr,
        op: CompareOp,
        left: (&Expr, &Value),
        right: (&Expr, &Value),
    ) -> Result<Value> {
        let (a, b) = (operand(expr, left)?, operand(expr, right)?);
        let axes = self.broadcast_axes(expr, [left, right], &a, &b)?;
        let dims = match (&a, &b) {
            (Operand::Tensor(x), _) | (_, Operand::Tensor(x)) => x.dims(),
            // A chain may compare two numbers on its way to a tensor.
            _ => vec![],
        };
        let mut side = |operand: &Operand| match operand {
            Operand::Tensor(x) => x.value.clone(),
            Operand::Number(n) => self.rewriter.constant(*n as f32, &dims),
        };
        let (a, b) = (side(&a), side(&b));
        let r = &mut self.rewriter;
        let value = match op {
            CompareOp::Less => r.less(&a, &b),
            CompareOp::Greater => r.less(&b, &a),
            CompareOp::LessEqual => {
                let above = r.less(&b, &a);
                r.complement(&above)
            }
            CompareOp::GreaterEqual => {
                let below = r.less(&a, &b);
                r.complement(&below)
            }
            CompareOp::NotEqual => r.differs(&a, &b),
            CompareOp::Equal => {
                let differs = r.differs(&a, &b);
                r.complement(&differs)
            }
        };
        Ok(tensor(value, axes))
    }

    fn power(&mut self, x: &ir::Value, n: f64) -> Option<ir::Value> {
        let r = &mut self.rewriter;
        let magnitude = match n.abs() {
            0.5 => r.sqrt(x),
            n if n.fract() == 0.0 && (1.0..=MAX_POWER as f64).contains(&n) => {
                (1..n as i64).fold(x.clone(), |product, _| r.mul(&product, x))
            }
            _ => return None,
        };
        Some(if n < 0.0 {
            r.recip(&magnitude)
        } else {
            magnitude
        })
    }

    /// The axes of the result, which has to be a tensor that can be.
    fn broadcast_axes(
        &self,
        expr: &Expr,
        parts: [(&Expr, &Value); 2],
        a: &Operand,
        b: &Operand,
    ) -> Result<Vec<Source>> {
        let (x, y) = match (a, b) {
            (Operand::Tensor(x), Operand::Tensor(y)) => (x, y),
            (Operand::Tensor(x), _) | (_, Operand::Tensor(x)) => return Ok(x.axes.clone()),
            _ => return Ok(vec![]),
        };
        let (own, other) = (x.dims(), y.dims());
        let Some(dims) = broadcast_dims(&own, &other) else {
            return Err(self.do_not_broadcast(expr, parts, x, y));
        };
        self.check_shape(&dims, &expr.span)?;
        let axis = |of: &Tensor, dims: &[usize], place: usize, rank: usize| {
            let place = (place + dims.len()).checked_sub(rank)?;
            Some((dims[place], of.axes[place].clone()))
        };
        let sources = dims.iter().enumerate().map(|(i, &size)| {
            let sides = [axis(x, &own, i, dims.len()), axis(y, &other, i, dims.len())];
            let mut fitting: Vec<_> = sides
                .into_iter()
                .flatten()
                .filter(|(own, _)| *own == size)
                .map(|(_, source)| source)
                .collect();
            // With one image per run its axis looks like one that stretches.
            let images = fitting.iter().position(Source::is_over_batch);
            fitting.swap_remove(images.unwrap_or(0))
        });
        Ok(sources.collect())
    }

    fn do_not_broadcast(
        &self,
        expr: &Expr,
        [left, right]: [(&Expr, &Value); 2],
        x: &Tensor,
        y: &Tensor,
    ) -> Diagnostics {
        let (own, other) = (x.dims(), y.dims());
        let message = format!("{own:?} and {other:?} do not fit, aligned at the end");
        let pairs = (own.iter().rev().zip(other.iter().rev())).zip(1..);
        let mut clashes = pairs.filter(|((a, b), _)| a != b && **a != 1 && **b != 1);
        let error = crate::diagnostic::Diagnostic::error("shapes-differ", message).at(&expr.span);
        let Some(((&a, &b), back)) = clashes.next() else {
            return error.into();
        };
        let sides = [(left, x, a), (right, y, b)];
        sides
            .into_iter()
            .fold(error, |error, ((part, _), tensor, size)| {
                let source = &tensor.axes[tensor.axes.len() - back];
                let size = super::value::size(size, source);
                let name = format!("axis {} of `{part}`", tensor.axes.len() - back);
                source.explain(error, &name, &size)
            })
            .into()
    }
}

impl ir::Rewriter<'_> {
    /// 1 where the tensors differ, else 0.
    fn differs(&mut self, a: &ir::Value, b: &ir::Value) -> ir::Value {
        let (below, above) = (self.less(a, b), self.less(b, a));
        self.add(&below, &above)
    }

    /// 1 for 0 and 0 for 1.
    pub(super) fn complement(&mut self, a: &ir::Value) -> ir::Value {
        let a = self.neg(a);
        self.offset(&a, 1.0)
    }
}

fn operand(expr: &Expr, part: (&Expr, &Value)) -> Result<Operand> {
    if let Some(tensor) = part.1.tensor() {
        return Ok(Operand::Tensor(tensor.clone()));
    }
    match part.1.number() {
        Some(n) => {
            number(expr, &[part], n.float())?;
            Ok(Operand::Number(n.float()))
        }
        None => {
            let message = format!("a tensor goes with numbers, not with {}", part.1.describe());
            Err(about("wrong-type", message, expr, &[part]).into())
        }
    }
}

/// A number as tensors hold it.
fn number(expr: &Expr, parts: &[(&Expr, &Value)], n: f64) -> Result<f32> {
    let narrow = n as f32;
    if narrow.is_finite() {
        return Ok(narrow);
    }
    let message = format!("{n:e} is more than an f32 holds");
    Err(about("too-large", message, expr, parts).into())
}

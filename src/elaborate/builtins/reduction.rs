//! Built-ins that bring axes down to one number.

use super::{
    Builtin, Call,
    layout::{Move, marked},
    numbers,
};
use crate::{
    diagnostic::{Diagnostic, Result, Span},
    elaborate::{
        Elaborator, tensor,
        value::{Data, Tensor},
    },
    ir::{Rewriter, Value, ops},
    language::{
        expression::CompareOp,
        pattern::{self, Arrow},
    },
};

pub const BUILTINS: &[Builtin] = &[
    Builtin {
        signature: "sum(x, pattern?)",
        doc: "Over the axes that the right side leaves out (`\"b t c -> b c\"`; `1` keeps an axis of size 1), over all without \
              a pattern, or of a list of numbers.",
        run: sum,
    },
    Builtin {
        signature: "mean(x, pattern)",
        doc: "The sum over how many there are.",
        run: mean,
    },
    Builtin {
        signature: "max(*values)",
        doc: "The largest of several numbers or of a list; of a tensor and a pattern, over the axes left out.",
        run: max,
    },
    Builtin {
        signature: "softmax(x, pattern)",
        doc: "Exponentials over their sum along the marked axes.",
        run: softmax,
    },
];

type Reduce = fn(&mut Rewriter, &Value, usize) -> Value;

fn sum(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    let arg = call.arg("x");
    if let Data::List(items) = &arg.value.data {
        if let Some(extra) = call.option("pattern") {
            return Err(call.wrong("pattern", "for tensors, not for lists", extra));
        }
        return numbers::total(call, items);
    }
    let x = call.tensor("x")?;
    if call.option("pattern").is_some() {
        let pattern = call.pattern("pattern")?;
        return Ok(reduced(elaborator, call, x, &pattern, |r, x, axis| r.sum(x, axis))?.0);
    }
    let mut value = x.value.clone();
    for axis in (0..value.rank()).rev() {
        value = elaborator.rewriter.sum(&value, axis);
    }
    Ok(tensor::data(value, vec![]))
}

fn mean(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    let x = call.tensor("x")?;
    let pattern = call.pattern("pattern")?;
    let (data, count) = reduced(elaborator, call, x, &pattern, |r, x, axis| r.sum(x, axis))?;
    let Data::Tensor(total) = &data else {
        return Ok(data);
    };
    let share = (1.0 / count as f64) as f32;
    let value = elaborator.rewriter.scale(&total.value, share);
    Ok(tensor::data(value, total.axes.clone()))
}

fn max(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    match call.all("values") {
        [x, pattern] if let Some(x) = x.tensor() => match pattern.expr.as_text() {
            Some((_, span)) => {
                Ok(reduced(elaborator, call, x, &span, |r, x, axis| r.max(x, axis))?.0)
            }
            None => Err(call.wrong("values", "a tensor and a pattern", pattern)),
        },
        _ => numbers::extreme(call, CompareOp::Greater),
    }
}

/// The result, and how many elements each number of it was made of.
fn reduced(
    elaborator: &mut Elaborator,
    call: &Call,
    x: &Tensor,
    pattern: &Span,
    reduce: Reduce,
) -> Result<(Data, usize)> {
    let arrow = pattern::parse_arrow(pattern)?;
    refuse_new_axes(&arrow)?;
    let moving = Move::new(x, &arrow, call)?;
    let (mut value, mut order) = elaborator.split(&x.value, &moving, call.span)?;
    let mut count = 1;
    for axis in (0..order.len()).rev() {
        let kept = moving.to.iter().flatten().any(|f| *f == order[axis]);
        if !kept {
            count *= moving.product(&order[axis..=axis]);
            value = reduce(&mut elaborator.rewriter, &value, axis);
            order.remove(axis);
        }
    }
    let value = elaborator.compose(&value, &order, &moving, call.span)?;
    Ok((tensor::data(value, moving.axes), count))
}

fn refuse_new_axes(arrow: &Arrow) -> Result<()> {
    let known: Vec<&str> = arrow.from.names().collect();
    match arrow.to.names().find(|name| !known.contains(name)) {
        Some(name) => {
            let message = format!("the axis `{name}` is missing on the left");
            let error = Diagnostic::error("axis-lost", message).at(&arrow.to.span);
            Err(error.help("broadcast adds axes").into())
        }
        None => Ok(()),
    }
}

/// `exp(x - max) / Σ exp(x - max)`; the maximum cancels, so nothing is differentiated through it.
fn softmax(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    let x = call.tensor("x")?;
    let dims = x.dims();
    let side = pattern::parse_side(&call.pattern("pattern")?)?;
    let axes = marked(&side, &dims)?;
    let r = &mut elaborator.rewriter;
    let over = |r: &mut Rewriter, value: &Value, reduce: Reduce| {
        let reduced = axes.iter().rev();
        reduced.fold(value.clone(), |value, &axis| reduce(r, &value, axis))
    };
    let wide = |value: Value| {
        axes.iter()
            .fold(value, |v, &axis| v.expand(axis, dims[axis]))
    };
    let highest = over(r, &x.value, |r, x, axis| r.max(x, axis));
    let highest = r.op(ops::Detach, &[&highest]).remove(0);
    let below = r.sub(&x.value, &wide(highest));
    let powers = r.exp(&below);
    let total = over(r, &powers, |r, x, axis| r.sum(x, axis));
    let share = r.recip(&total);
    let value = r.mul(&powers, &wide(share));
    Ok(tensor::data(value, x.axes.clone()))
}

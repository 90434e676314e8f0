//! Functions of each element, or of a number.

use super::{Builtin, Call};
use crate::{
    diagnostic::Result,
    elaborate::{
        Elaborator,
        number::{Fault, finite},
        tensor,
        value::Data,
    },
    ir::{Rewriter, Value, ops},
};

pub const BUILTINS: &[Builtin] = &[
    Builtin {
        signature: "gelu(x)",
        doc: "x times the normal distribution function of x, by the error function (Hendrycks & Gimpel 2016).",
        run: gelu,
    },
    Builtin {
        signature: "abs(x)",
        doc: "Without the sign; the gradient at 0 is 0.",
        run: |elaborator, call| {
            let of_tensor = |r: &mut Rewriter, x: &Value| r.op(ops::Abs, &[x]).remove(0);
            each(elaborator, call, of_tensor, f64::abs)
        },
    },
    Builtin {
        signature: "sqrt(x)",
        doc: "Square root.",
        run: |elaborator, call| each(elaborator, call, |r, x| r.sqrt(x), f64::sqrt),
    },
    Builtin {
        signature: "exp(x)",
        doc: "e to the power of x.",
        run: |elaborator, call| each(elaborator, call, |r, x| r.exp(x), f64::exp),
    },
    Builtin {
        signature: "log(x)",
        doc: "Natural logarithm.",
        run: |elaborator, call| each(elaborator, call, |r, x| r.log(x), f64::ln),
    },
];

fn each(
    elaborator: &mut Elaborator,
    call: &Call,
    of_tensor: fn(&mut Rewriter, &Value) -> Value,
    of_number: fn(f64) -> f64,
) -> Result<Data> {
    let arg = call.arg("x");
    if let Some(x) = arg.tensor() {
        let value = of_tensor(&mut elaborator.rewriter, &x.value);
        return Ok(tensor::data(value, x.axes.clone()));
    }
    let Some(number) = arg.value.number() else {
        return Err(call.wrong("x", "a tensor or a number", arg));
    };
    match finite(of_number(number.float())) {
        Ok(result) => Ok(result.data()),
        Err(fault) => {
            let fault = if number.is_zero() {
                Fault::NotReal
            } else {
                fault
            };
            let message = format!(
                "{} of {} {}",
                call.builtin.name(),
                arg.value,
                fault.message()
            );
            Err(arg.error(fault.code(), message).into())
        }
    }
}

/// `x/2 · (1 + erf(x/√2))`
fn gelu(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    let x = call.tensor("x")?;
    let r = &mut elaborator.rewriter;
    let inner = r.scale(&x.value, std::f32::consts::FRAC_1_SQRT_2);
    let erf = r.op(ops::Erf, &[&inner]).remove(0);
    let share = r.offset(&erf, 1.0);
    let half = r.scale(&x.value, 0.5);
    let value = r.mul(&half, &share);
    Ok(tensor::data(value, x.axes.clone()))
}

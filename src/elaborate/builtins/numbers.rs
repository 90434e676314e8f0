//! Functions of numbers and lists.

use super::{Arg, Builtin, Call};
use crate::{
    diagnostic::Result,
    elaborate::{
        Elaborator, limits,
        number::{self, Number},
        value::{Data, Value},
    },
    language::expression::{BinaryOp, CompareOp},
};

pub const BUILTINS: &[Builtin] = &[
    Builtin {
        signature: "len(list)",
        doc: "How many values a list holds.",
        run: len,
    },
    Builtin {
        signature: "min(*values)",
        doc: "The smallest of several numbers, or of a list.",
        run: |_, call| extreme(call, CompareOp::Less),
    },
    Builtin {
        signature: "int(x)",
        doc: "Without the fraction, towards 0.",
        run: |_, call| whole(call, f64::trunc),
    },
    Builtin {
        signature: "ceil(x)",
        doc: "The next whole number from x up.",
        run: |_, call| whole(call, f64::ceil),
    },
    Builtin {
        signature: "linspace(from, to, count)",
        doc: "`count` numbers at equal steps, both ends included; of a single one the start.",
        run: linspace,
    },
];

fn len(_: &mut Elaborator, call: &Call) -> Result<Data> {
    Ok(Data::Int(items(call, "list")?.len() as i64))
}

fn items<'a>(call: &'a Call, name: &str) -> Result<&'a [Value]> {
    let arg = call.arg(name);
    match &arg.value.data {
        Data::List(items) => Ok(items),
        _ => Err(call.wrong(name, "a list", arg)),
    }
}

/// The value that compares so with all others: `Less` for the smallest.
pub fn extreme(call: &Call, order: CompareOp) -> Result<Data> {
    let args = call.all("values");
    let values: Vec<&Value> = match args {
        [Arg { value, .. }] => match &value.data {
            Data::List(items) => items.iter().collect(),
            _ => return Err(call.wrong("values", "a list or several numbers", &args[0])),
        },
        args => args.iter().map(|arg| &arg.value).collect(),
    };
    let mut best: Option<Number> = None;
    for (i, value) in values.into_iter().enumerate() {
        let Some(number) = value.number() else {
            let arg = args.get(i).unwrap_or(&args[0]);
            return Err(call.wrong("values", "numbers", arg));
        };
        if best.is_none_or(|best| number::compare(order, number, best)) {
            best = Some(number);
        }
    }
    match best {
        Some(best) => Ok(best.data()),
        None => Err(call.wrong("values", "numbers, at least one", &args[0])),
    }
}

/// The sum of a list, 0 for an empty one.
pub fn total(call: &Call, items: &[Value]) -> Result<Data> {
    let mut total = Number::Int(0);
    for item in items {
        let Some(number) = item.number() else {
            return Err(call.wrong("x", "a tensor or a list of numbers", call.arg("x")));
        };
        total = number::binary(BinaryOp::Add, total, number).map_err(|fault| {
            call.arg("x")
                .error(fault.code(), format!("the sum {}", fault.message()))
        })?;
    }
    Ok(total.data())
}

fn whole(call: &Call, round: fn(f64) -> f64) -> Result<Data> {
    let arg = call.arg("x");
    match arg.value.number() {
        Some(Number::Int(value)) => Ok(Data::Int(value)),
        // 2^63 is a float, i64::MAX is none.
        Some(Number::Float(value)) if round(value).abs() < i64::MAX as f64 => {
            Ok(Data::Int(round(value) as i64))
        }
        Some(_) => {
            let message = format!("{} is too large a whole number", arg.value);
            Err(arg.error("too-large", message).into())
        }
        None => Err(call.wrong("x", "a number", arg)),
    }
}

fn linspace(_: &mut Elaborator, call: &Call) -> Result<Data> {
    let (from, to) = (call.number("from")?, call.number("to")?);
    let count = match usize::try_from(call.int("count")?) {
        Ok(count) if count <= limits::MAX_LIST => count,
        _ => {
            let wanted = format!("from 0 to {}", limits::MAX_LIST);
            return Err(call.wrong("count", &wanted, call.arg("count")));
        }
    };
    let step = (to - from) / (count.max(2) - 1) as f64;
    let item = |i: usize| {
        let value = number::finite(from + step * i as f64);
        value.map(Number::data)
    };
    let items: std::result::Result<Vec<Data>, _> = (0..count).map(item).collect();
    let items = items.map_err(|fault| {
        let message = format!("the last one {}", fault.message());
        call.arg("to").error(fault.code(), message)
    })?;
    let source = crate::elaborate::source::Source::from_named(call.span, vec![]);
    let values = items.into_iter().map(|data| Value {
        data,
        source: source.clone(),
    });
    Ok(Data::List(values.collect()))
}

//! Tensors that no other tensor makes: constants and what the caller feeds.

use super::{Arg, Builtin, Call};
use crate::{
    diagnostic::{Diagnostic, Result},
    elaborate::{Elaborator, Feed, limits, source::Source, tensor, value::Data},
    ir::ops::InputKind,
    language::expression::ExprKind,
};

pub const BUILTINS: &[Builtin] = &[
    Builtin {
        signature: "arange(count)",
        doc: "0, 1, 2, … below `count`.",
        run: arange,
    },
    Builtin {
        signature: "full(shape, value)",
        doc: "The same number everywhere.",
        run: full,
    },
    Builtin {
        signature: "input(name, shape)",
        doc: "What the caller feeds under a name before each run.",
        run: input,
    },
];

fn arange(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    let arg = call.arg("count");
    let count = elaborator.axis_size(arg.expr, &arg.value)?;
    if count > limits::MAX_TABLE {
        let message = format!(
            "a table of {count} numbers, at most {} can be",
            limits::MAX_TABLE
        );
        return Err(arg.error("too-large", message).into());
    }
    let numbers: Vec<f32> = (0..count).map(|i| i as f32).collect();
    let value = elaborator.rewriter.table(&numbers, &[count]);
    Ok(tensor::data(value, vec![arg.value.source.clone()]))
}

fn full(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    let (dims, axes) = shape(elaborator, call)?;
    let number = call.number("value")? as f32;
    if !number.is_finite() {
        let arg = call.arg("value");
        let message = format!("{} is more than an f32 holds", arg.value);
        return Err(arg.error("too-large", message).into());
    }
    let value = elaborator.rewriter.constant(number, &dims);
    Ok(tensor::data(value, axes))
}

fn input(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    let (dims, axes) = shape(elaborator, call)?;
    let Arg { value, expr } = call.arg("name");
    let Data::Text(name) = &value.data else {
        return Err(call.wrong("name", "a text", call.arg("name")));
    };
    let known = elaborator.feeds.iter().find(|feed| *feed.name == **name);
    match known {
        Some(known) if known.dims != dims => {
            let first = &known.dims;
            let message = format!("the input `{name}` is {dims:?} here and {first:?} before");
            return Err(Diagnostic::error("size-differs", message)
                .at(&expr.span)
                .note_at("the first one", &known.span)
                .into());
        }
        Some(_) => {}
        None => {
            // The origin is the step that asks, and the last part its name.
            let path = elaborator.rewriter.origin().path.clone();
            let instance = path.rsplit_once('.').map_or("", |(instance, _)| instance);
            elaborator.feeds.push(Feed {
                name: name.to_string(),
                dims: dims.clone(),
                span: expr.span.clone(),
                instance: instance.to_owned(),
            });
        }
    }
    let value = elaborator.rewriter.input(name, &dims, InputKind::Feed);
    Ok(tensor::data(value, axes))
}

/// The argument `shape`: a list of sizes.
pub fn shape(elaborator: &Elaborator, call: &Call) -> Result<(Vec<usize>, Vec<Source>)> {
    let arg = call.arg("shape");
    let Data::List(items) = &arg.value.data else {
        return Err(call.wrong("shape", "a list of sizes", arg));
    };
    let written = match &arg.expr.kind {
        ExprKind::List(written) => written.iter().collect(),
        _ => vec![arg.expr; items.len()],
    };
    let sizes = written.into_iter().zip(&items[..]);
    let sizes = sizes.map(|(expr, item)| elaborator.axis_size(expr, item));
    let dims = sizes.collect::<Result<Vec<_>>>()?;
    elaborator.check_shape(&dims, &arg.expr.span)?;
    let axes = items.iter().map(|item| item.source.clone());
    Ok((dims, axes.collect()))
}

//! Built-ins that move elements without changing them.

use super::{
    Builtin, Call,
    layout::{Factor, Move, marked},
};
use crate::{
    diagnostic::{Diagnostic, Result, Span},
    elaborate::{
        Elaborator,
        source::Source,
        tensor,
        value::{Data, size},
    },
    ir::{
        NodeIndex, ops,
        ops::{Input, InputKind},
        read,
    },
    language::pattern::{self, Arrow},
};

pub const BUILTINS: &[Builtin] = &[
    Builtin {
        signature: "rearrange(x, pattern, **sizes)",
        doc: "Splits, reorders and composes axes: `\"b (h p) c -> b h (p c)\"`, the sizes of factors as keywords.",
        run: rearrange,
    },
    Builtin {
        signature: "broadcast(x, pattern, **sizes)",
        doc: "As rearrange, with new axes on the right along which the tensor repeats.",
        run: broadcast,
    },
    Builtin {
        signature: "take(table, index)",
        doc: "Rows of a table by a tensor of constants: `[index axes..., row axes...]`.",
        run: take,
    },
    Builtin {
        signature: "concat(*tensors, pattern)",
        doc: "One behind the other along the marked axis.",
        run: concat,
    },
    Builtin {
        signature: "slice(x, pattern, start?, end?)",
        doc: "The elements from `start` (0 where absent) up to before `end` (the size where absent) of the marked axis.",
        run: slice,
    },
    Builtin {
        signature: "roll(x, pattern, by)",
        doc: "Shifts the marked axes: element i moves to i + by, and round the end to the start.",
        run: roll,
    },
];

fn rearrange(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    let arrow = pattern::parse_arrow(&call.pattern("pattern")?)?;
    let moved = rearranged(elaborator, call, &arrow, |moving| {
        let (from, to) = (names(&moving.from), names(&moving.to));
        same_names(&arrow, &from, &to)?;
        same_names(&arrow, &to, &from)
    })?;
    Ok(moved)
}

fn broadcast(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    let arrow = pattern::parse_arrow(&call.pattern("pattern")?)?;
    rearranged(elaborator, call, &arrow, |moving| {
        same_names(&arrow, &names(&moving.from), &names(&moving.to))
    })
}

fn rearranged(
    elaborator: &mut Elaborator,
    call: &Call,
    arrow: &Arrow,
    check: impl Fn(&Move) -> Result<()>,
) -> Result<Data> {
    let x = call.tensor("x")?;
    let moving = Move::new(x, arrow, call)?;
    check(&moving)?;
    let (split, order) = elaborator.split(&x.value, &moving, call.span)?;
    let value = elaborator.compose(&split, &order, &moving, call.span)?;
    Ok(tensor::data(value, moving.axes))
}

fn names<'p>(factors: &[Vec<Factor<'p>>]) -> Vec<Factor<'p>> {
    factors.iter().flatten().copied().collect()
}

/// Refuses a factor of one side that the other has not.
fn same_names(arrow: &Arrow, these: &[Factor], those: &[Factor]) -> Result<()> {
    let Some(lost) = these.iter().find(|factor| !those.contains(factor)) else {
        return Ok(());
    };
    let name = match lost {
        Factor::Named(name) => name,
        Factor::Rest(_) => "...",
    };
    let side = match arrow.from.names().any(|known| known == name) {
        true => "right",
        false if name == "..." => "right",
        false => "left",
    };
    let message = format!("the axis `{name}` is missing on the {side}");
    let whole = Span::new(
        &arrow.from.span.file,
        arrow.from.span.range.start..arrow.to.span.range.end,
    );
    Err(Diagnostic::error("axis-lost", message)
        .at(whole)
        .help("sum, mean and max remove axes, broadcast adds them")
        .into())
}

fn take(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    let (table, index) = (call.tensor("table")?, call.tensor("index")?);
    if table.dims().is_empty() {
        return Err(call.wrong("table", "a tensor with rows", call.arg("table")));
    }
    if !is_constant(elaborator, index.value.node) {
        let arg = call.arg("index");
        let message = "the index of take is made of numbers alone: of arange, full and arithmetic";
        return Err(arg.error("not-constant", message.into()).into());
    }
    let dims = [&index.dims()[..], &table.dims()[1..]].concat();
    elaborator.check_shape(&dims, call.span)?;
    let axes = [&index.axes[..], &table.axes[1..]].concat();
    let r = &mut elaborator.rewriter;
    let value = r.op(ops::Take, &[&table.value, &index.value]).remove(0);
    Ok(tensor::data(value, axes))
}

/// Whether every leaf behind a node is a table or a number.
fn is_constant(elaborator: &Elaborator, node: NodeIndex) -> bool {
    let graph = elaborator.rewriter.graph();
    read::ancestors(graph, [node]).into_iter().all(|node| {
        let input = ops::own::<Input>(graph, node);
        input.is_none_or(|input| matches!(input.kind, InputKind::Table(_)))
    })
}

fn concat(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    let args = call.all("tensors");
    let side = pattern::parse_side(&call.pattern("pattern")?)?;
    let mut parts = Vec::new();
    for arg in args {
        let Some(part) = arg.tensor() else {
            return Err(call.wrong("tensors", "tensors", arg));
        };
        parts.push(part);
    }
    if parts.len() > u8::MAX as usize {
        let message = format!("{} tensors, at most {} can be joined", parts.len(), u8::MAX);
        return Err(Diagnostic::error("too-large", message).at(call.span).into());
    }
    let mut dims = parts[0].dims();
    let axis = match marked(&side, &dims)?.as_slice() {
        [axis] => *axis,
        _ => return Err(one_axis(call, &side.span)),
    };
    for (arg, part) in args.iter().zip(&parts).skip(1) {
        let own = part.dims();
        let differs = |i: usize| i != axis && own.get(i) != dims.get(i);
        if own.len() != dims.len() || (0..own.len()).any(differs) {
            let message =
                format!("{own:?} cannot follow {dims:?} along axis {axis}: the other axes differ");
            return Err(Diagnostic::error("shapes-differ", message)
                .at(&arg.expr.span)
                .into());
        }
    }
    let lengths: Vec<_> = args
        .iter()
        .zip(&parts)
        .map(|(arg, part)| {
            let name = format!("axis {axis} of `{}`", arg.expr);
            (name, size(part.dims()[axis], &part.axes[axis]))
        })
        .collect();
    dims[axis] = parts.iter().map(|part| part.dims()[axis]).sum();
    elaborator.check_shape(&dims, call.span)?;
    let mut axes = parts[0].axes.clone();
    axes[axis] = Source::from_named(call.span, lengths);
    let values: Vec<_> = parts.iter().map(|part| &part.value).collect();
    let value = elaborator.rewriter.op(ops::Concat { axis }, &values);
    Ok(tensor::data(
        value
            .into_iter()
            .next()
            .expect("what moves elements has one result"),
        axes,
    ))
}

fn one_axis(call: &Call, at: &Span) -> crate::diagnostic::Diagnostics {
    let message = format!("{} acts on one axis", call.builtin.name());
    Diagnostic::error("pattern-syntax", message).at(at).into()
}

fn slice(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    let x = call.tensor("x")?;
    let dims = x.dims();
    let side = pattern::parse_side(&call.pattern("pattern")?)?;
    let axis = match marked(&side, &dims)?.as_slice() {
        [axis] => *axis,
        _ => return Err(one_axis(call, &side.span)),
    };
    let bound = |name: &str, absent: usize| match call.option(name) {
        None => Ok(absent),
        Some(_) => {
            let at = usize::try_from(call.int(name)?).ok();
            let wanted = format!("from 0 to {}, the size of the axis,", dims[axis]);
            at.filter(|at| *at <= dims[axis])
                .ok_or_else(|| call.wrong(name, &wanted, call.arg(name)))
        }
    };
    let (start, end) = (bound("start", 0)?, bound("end", dims[axis])?);
    if start >= end {
        let message = format!("nothing lies from {start} to before {end}");
        return Err(Diagnostic::error("empty-axis", message)
            .at(call.span)
            .into());
    }
    let whole = size(dims[axis], &x.axes[axis]);
    let mut axes = x.axes.clone();
    let name = format!("axis {axis} of `{}`", call.arg("x").expr);
    axes[axis] = Source::from_named(call.span, vec![(name, whole)]);
    let value = elaborator.rewriter.slice(&x.value, axis, start, end);
    Ok(tensor::data(value, axes))
}

fn roll(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    let x = call.tensor("x")?;
    let dims = x.dims();
    let side = pattern::parse_side(&call.pattern("pattern")?)?;
    let by = call.int("by")?;
    let shifts = marked(&side, &dims)?;
    let shifts = shifts
        .into_iter()
        .map(|axis| (axis, by % dims[axis] as i64));
    let shifts: Vec<_> = shifts.filter(|(_, by)| *by != 0).collect();
    if shifts.is_empty() {
        return Ok(Data::Tensor(x.clone()));
    }
    let value = elaborator.rewriter.op(ops::Roll { shifts }, &[&x.value]);
    let value = value
        .into_iter()
        .next()
        .expect("what moves elements has one result");
    Ok(tensor::data(value, x.axes.clone()))
}

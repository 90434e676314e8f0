//! Sums of products over named axes.

use super::{
    Builtin, Call,
    layout::{Factor, factors},
};
use crate::{
    diagnostic::{Diagnostic, Result},
    elaborate::{Elaborator, source::Source, tensor, value::Data},
    ir::Value,
    language::pattern::{self, Side, Sizes},
};

pub const BUILTINS: &[Builtin] = &[Builtin {
    signature: "einsum(a, b, pattern)",
    doc: "The product of two tensors, summed over the axes that the right side leaves out: `\"b i, o i -> b o\"`.",
    run: einsum,
}];

/// One operand: its value with one axis per factor.
struct Operand<'p> {
    value: Value,
    axes: Vec<Factor<'p>>,
    sources: Vec<Source>,
}

/// Both operands become views with the axes of the result first and those summed over behind; their product is never stored.
fn einsum(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    let span = call.pattern("pattern")?;
    let einsum = pattern::parse_einsum(&span)?;
    let [left, right] = einsum.operands.as_slice() else {
        let message = format!(
            "einsum takes two tensors, the pattern names {}",
            einsum.operands.len()
        );
        return Err(Diagnostic::error("pattern-syntax", message)
            .at(&span)
            .into());
    };
    let mut sizes = Sizes::default();
    sizes.bind(left, &call.tensor("a")?.dims())?;
    sizes.bind(right, &call.tensor("b")?.dims())?;
    let rest = |side: &Side| {
        if side.has_rest() {
            sizes.rest().len()
        } else {
            0
        }
    };
    let operand = |name, side| -> Result<Operand> {
        let x = call.tensor(name)?;
        Ok(Operand {
            value: x.value.clone(),
            axes: plain(side, rest(side))?,
            sources: x.axes.clone(),
        })
    };
    let operands = [operand("a", left)?, operand("b", right)?];
    let kept = plain(&einsum.to, rest(&einsum.to))?;
    let known = || {
        operands
            .iter()
            .flat_map(|operand| operand.axes.iter().copied())
    };
    if let Some(new) = kept
        .iter()
        .find(|axis| !known().any(|known| known == **axis))
    {
        let name = match new {
            Factor::Named(name) => name,
            Factor::Rest(_) => "...",
        };
        let message = format!("no operand has the axis `{name}`");
        return Err(Diagnostic::error("axis-lost", message)
            .at(&einsum.to.span)
            .into());
    }
    let mut order = kept.clone();
    for axis in known() {
        if !order.contains(&axis) {
            order.push(axis);
        }
    }
    let size = |axis: &Factor| match axis {
        Factor::Rest(n) => sizes.rest()[*n],
        Factor::Named(name) => sizes.get(name).expect("an operand has bound it"),
    };
    let dims: Vec<usize> = order.iter().map(size).collect();
    elaborator.check_virtual_shape(&dims, call.span)?;
    elaborator.check_shape(&dims[..kept.len()], call.span)?;
    let [a, b] = operands
        .each_ref()
        .map(|operand| operand.over(&order, &dims));
    let mut value = elaborator.rewriter.mul(&a, &b);
    for axis in (kept.len()..order.len()).rev() {
        value = elaborator.rewriter.sum(&value, axis);
    }
    let axes = kept.iter().map(|axis| source(axis, &operands)).collect();
    Ok(tensor::data(value, axes))
}

/// One name per axis: nothing is composed inside a contraction.
fn plain<'p>(side: &'p Side, rest: usize) -> Result<Vec<Factor<'p>>> {
    let groups = factors(side, rest)?;
    let mut axes = Vec::new();
    for (i, group) in groups.into_iter().enumerate() {
        let [axis] = group[..] else {
            let place = (i + usize::from(side.has_rest())).saturating_sub(rest);
            let message = "an axis of einsum has one name";
            return Err(Diagnostic::error("pattern-syntax", message)
                .at(side.place(place))
                .help("rearrange the tensor before it, or the result")
                .into());
        };
        axes.push(axis);
    }
    Ok(axes)
}

impl Operand<'_> {
    /// As a view over all axes of the contraction.
    fn over(&self, order: &[Factor], dims: &[usize]) -> Value {
        let places: Vec<usize> = order
            .iter()
            .filter_map(|axis| self.axes.iter().position(|own| own == axis))
            .collect();
        let mut value = self.value.permute(&places);
        for (i, axis) in order.iter().enumerate() {
            if !self.axes.contains(axis) {
                value = value.expand(i, dims[i]);
            }
        }
        value
    }
}

/// Where the size of an axis came from: of two operands, the one that says it is the images'.
fn source(axis: &Factor, operands: &[Operand; 2]) -> Source {
    let having = operands.iter().filter_map(|operand| {
        let place = operand.axes.iter().position(|own| own == axis)?;
        Some(operand.sources[place].clone())
    });
    let having: Vec<Source> = having.collect();
    let images = having.iter().find(|source| source.is_over_batch());
    images
        .or(having.first())
        .cloned()
        .unwrap_or_else(Source::unknown)
}

//! Patterns as views: axes are split into factors, put in order and composed again. Copied is only what no view can say.

use super::{Call, arguments::Arg};
use crate::{
    diagnostic::{Diagnostic, Result, Span},
    elaborate::{
        Elaborator,
        source::Source,
        value::{Tensor, size},
    },
    ir::{self, view},
    language::pattern::{Arrow, AxisName, Group, Side, Sizes},
};

/// The smallest thing that a pattern moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factor<'p> {
    /// The n-th of the axes that `...` stands for.
    Rest(usize),
    Named(&'p str),
}

/// The factors of each axis, outermost first; none for an axis of size 1 that is written `1`.
pub type Factors<'p> = Vec<Vec<Factor<'p>>>;

pub fn factors<'p>(side: &'p Side, rest: usize) -> Result<Factors<'p>> {
    let mut found = Vec::new();
    for (i, group) in side.iter().enumerate() {
        let Group::Axes(axes) = group else {
            found.extend((0..rest).map(|n| vec![Factor::Rest(n)]));
            continue;
        };
        let mut factors = Vec::new();
        for axis in axes {
            match &axis.name {
                AxisName::Named(name) => factors.push(Factor::Named(name)),
                AxisName::Sized(1) => {}
                AxisName::Sized(n) => {
                    let message = format!("only an axis of size 1 is written as a number, not {n}");
                    let error = Diagnostic::error("pattern-syntax", message).at(side.place(i));
                    return Err(error.help("give the axis a name").into());
                }
            }
        }
        found.push(factors);
    }
    Ok(found)
}

/// The axes of a tensor that are marked, at least one.
pub fn marked(side: &Side, dims: &[usize]) -> Result<Vec<usize>> {
    Sizes::default().bind(side, dims)?;
    let lead = dims.len() - (side.len() - usize::from(side.has_rest()));
    let first = usize::from(side.has_rest());
    let mut found = Vec::new();
    for (i, group) in side.iter().enumerate() {
        match group {
            Group::Axes(axes) if axes.len() > 1 => {
                let message = "a composed axis cannot be taken apart here";
                let error = Diagnostic::error("pattern-syntax", message).at(side.place(i));
                return Err(error.help("rearrange it first").into());
            }
            Group::Axes(axes) if axes.iter().all(|axis| axis.marked) => {
                found.push(i - first + lead)
            }
            _ => {}
        }
    }
    if found.is_empty() {
        let message = "no axis is marked, as `[k]` is";
        return Err(Diagnostic::error("nothing-marked", message)
            .at(&side.span)
            .into());
    }
    Ok(found)
}

/// One tensor on its way through an arrow pattern.
pub struct Move<'p> {
    pub from: Factors<'p>,
    pub to: Factors<'p>,
    pub sizes: Sizes,
    /// Where the size of each axis of the result came from.
    pub axes: Vec<Source>,
}

impl<'p> Move<'p> {
    /// Matches a pattern against a tensor and the sizes that the call gives.
    pub fn new(x: &Tensor, arrow: &'p Arrow, call: &Call) -> Result<Self> {
        let mut sizes = Sizes::default();
        for (name, arg) in &call.sizes {
            let known: Vec<_> = arrow.from.names().chain(arrow.to.names()).collect();
            if !known.contains(&name.value.as_str()) {
                let message = format!("the pattern has no axis `{}`", name.value);
                let error = Diagnostic::error("unknown-axis", message).at(&name.span);
                return Err(error.suggest(&name.value, known).into());
            }
            sizes.set(&name.value, axis_size(arg)?);
        }
        let dims = x.dims();
        sizes.bind(&arrow.from, &dims)?;
        if arrow.to.has_rest() && !arrow.from.has_rest() {
            let message = "`...` stands for nothing here, the left side has none";
            let error = Diagnostic::error("pattern-syntax", message).at(arrow.to.place(0));
            return Err(error.into());
        }
        let from = factors(&arrow.from, sizes.rest().len())?;
        let to = factors(&arrow.to, sizes.rest().len())?;
        let mut this = Move {
            from,
            to,
            sizes,
            axes: Vec::new(),
        };
        // Also refuses an axis on the right whose size nothing says.
        this.sizes.shape(&arrow.to)?;
        this.axes = this.sources(x, arrow, call);
        Ok(this)
    }

    /// The size of each axis of the result.
    pub fn dims(&self) -> Vec<usize> {
        self.to.iter().map(|group| self.product(group)).collect()
    }

    pub fn product(&self, group: &[Factor]) -> usize {
        group.iter().map(|&factor| self.size(factor)).product()
    }

    fn size(&self, factor: Factor) -> usize {
        match factor {
            Factor::Rest(n) => self.sizes.rest()[n],
            Factor::Named(name) => self
                .sizes
                .get(name)
                .expect("both sides of the pattern were matched"),
        }
    }

    fn sources(&self, x: &Tensor, arrow: &Arrow, call: &Call) -> Vec<Source> {
        let rest = self.sizes.rest().len();
        let place = |side: &Side, axis: usize| match side.has_rest() {
            true if axis < rest => side.place(0),
            true => side.place(axis + 1 - rest),
            false => side.place(axis),
        };
        let of_factor = |factor: Factor| {
            let group = self.from.iter().position(|group| group.contains(&factor));
            match (group, factor) {
                (Some(axis), _) if self.from[axis].len() == 1 => x.axes[axis].clone(),
                (Some(axis), _) => {
                    let at = place(&arrow.from, axis);
                    let whole = size(self.product(&self.from[axis]), &x.axes[axis]);
                    Source::from_named(&at, vec![(at.text().to_owned(), whole)])
                }
                (None, Factor::Named(name)) => {
                    let mut sizes = call.sizes.iter();
                    let given = sizes.find(|(key, _)| key.value == *name);
                    given.map_or_else(Source::unknown, |(_, arg)| arg.value.source.clone())
                }
                (None, Factor::Rest(_)) => Source::unknown(),
            }
        };
        let axes = self
            .to
            .iter()
            .enumerate()
            .map(|(axis, group)| match &group[..] {
                [] => Source::written(&place(&arrow.to, axis)),
                [factor] => of_factor(*factor),
                several => {
                    let named = several.iter().map(|&factor| {
                        let name = match factor {
                            Factor::Named(name) => name.to_owned(),
                            Factor::Rest(_) => "...".to_owned(),
                        };
                        (name, size(self.size(factor), &of_factor(factor)))
                    });
                    Source::from_named(&place(&arrow.to, axis), named.collect())
                }
            });
        axes.collect()
    }
}

/// The size that a keyword gives an axis.
fn axis_size(arg: &Arg) -> Result<usize> {
    use crate::elaborate::value::Data;
    match arg.value.data {
        Data::Int(n) if (1..=i32::MAX as i64).contains(&n) => Ok(n as usize),
        _ => {
            let message = format!(
                "the size of an axis is a whole number from 1, got {}",
                arg.value.describe()
            );
            Err(arg.error("wrong-size", message).into())
        }
    }
}

impl Elaborator<'_> {
    /// The tensor with one axis per factor of the left side, in their order.
    pub fn split<'p>(
        &mut self,
        x: &ir::Value,
        moving: &Move<'p>,
        at: &Span,
    ) -> Result<(ir::Value, Vec<Factor<'p>>)> {
        let order: Vec<Factor> = moving.from.iter().flatten().copied().collect();
        let dims: Vec<usize> = order.iter().map(|&factor| moving.size(factor)).collect();
        self.check_shape(&dims, at)?;
        let mut value = x.clone();
        for (axis, _) in moving
            .from
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, g)| g.is_empty())
        {
            value = value.squeeze(axis);
        }
        let groups: Vec<_> = moving.from.iter().filter(|g| !g.is_empty()).collect();
        for (axis, group) in groups.into_iter().enumerate().rev() {
            let sizes: Vec<usize> = group.iter().map(|&factor| moving.size(factor)).collect();
            let split = view::split(&value.view, axis, &sizes).or_else(|| {
                value = self.rewriter.contiguous(&value);
                view::split(&value.view, axis, &sizes)
            });
            value = value.through(split.expect("a plain view of at most six factors splits"));
        }
        Ok((value, order))
    }

    /// Puts factors in the order of the right side, stretches over those that are new, and composes them.
    pub fn compose(
        &mut self,
        value: &ir::Value,
        order: &[Factor],
        moving: &Move,
        at: &Span,
    ) -> Result<ir::Value> {
        let wanted: Vec<Factor> = moving.to.iter().flatten().copied().collect();
        let sizes: Vec<usize> = wanted.iter().map(|&factor| moving.size(factor)).collect();
        self.check_shape(&sizes, at)?;
        self.check_shape(&moving.dims(), at)?;
        let kept = wanted.iter().filter(|factor| order.contains(factor));
        let places: Vec<usize> = kept
            .filter_map(|factor| order.iter().position(|known| known == factor))
            .collect();
        let mut value = value.permute(&places);
        for (axis, factor) in wanted.iter().enumerate() {
            if !order.contains(factor) {
                value = value.expand(axis, sizes[axis]);
            }
        }
        value = self.merge(value, moving);
        for (axis, _) in moving.to.iter().enumerate().filter(|(_, g)| g.is_empty()) {
            value = value.expand(axis, 1);
        }
        Ok(value)
    }

    /// One axis per group that has factors.
    fn merge(&mut self, value: ir::Value, moving: &Move) -> ir::Value {
        let groups: Vec<_> = moving.to.iter().filter(|g| !g.is_empty()).collect();
        let starts = groups.iter().scan(0, |next, group| {
            let start = *next;
            *next += group.len();
            Some(start)
        });
        let starts: Vec<usize> = starts.collect();
        let mut merged = Some(value.view);
        for (group, &start) in groups.iter().zip(&starts).rev() {
            merged = merged.and_then(|seen| view::merge(&seen, start, group.len()));
        }
        match merged {
            Some(seen) => value.through(seen),
            None => {
                let dims: Vec<usize> = groups.iter().map(|group| moving.product(group)).collect();
                let copy = self.rewriter.contiguous(&value);
                copy.through(view::plain(&dims))
            }
        }
    }
}

//! The sizes of named axes: bound by the shapes of tensors, then used for new shapes.

use super::{AxisName, Group, Side};
use crate::diagnostic::{Diagnostic, Result};
use std::collections::BTreeMap;

/// What is known of the axes of one pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sizes {
    named: BTreeMap<String, usize>,
    /// The sizes that `...` stands for.
    rest: Option<Vec<usize>>,
}

impl Sizes {
    /// The size of a named axis.
    pub fn get(&self, name: &str) -> Option<usize> {
        self.named.get(name).copied()
    }

    /// What `...` stands for; nothing before a side with `...` was bound.
    pub fn rest(&self) -> &[usize] {
        self.rest.as_deref().unwrap_or_default()
    }

    /// States the size of an axis, as a keyword of a call does (`p=patch`); of two statements the last holds.
    pub fn set(&mut self, name: &str, size: usize) {
        self.named.insert(name.to_owned(), size);
    }

    /// Matches a side against the shape of a tensor: what is unknown becomes known, what is known is checked.
    ///
    /// # Errors
    /// A rank that differs, a size that differs or does not divide, two unknown factors of one axis.
    pub fn bind(&mut self, side: &Side, shape: &[usize]) -> Result<()> {
        let plain = side.len() - usize::from(side.has_rest());
        if shape.len() < plain || (shape.len() > plain && !side.has_rest()) {
            return Err(wrong_rank(side, plain, shape).into());
        }
        let (rest, own) = shape.split_at(shape.len() - plain);
        if side.has_rest() {
            self.bind_rest(side, rest)?;
        }
        let first = side.len() - plain;
        for (group, &size) in (first..).zip(own) {
            self.bind_group(side, group, size)?;
        }
        Ok(())
    }

    fn bind_rest(&mut self, side: &Side, rest: &[usize]) -> Result<()> {
        match &self.rest {
            Some(known) if known != rest => {
                let message = format!("`...` is {rest:?} here and {known:?} before");
                Diagnostic::error("size-differs", message)
                    .at(side.place(0))
                    .fail()
            }
            _ => {
                self.rest = Some(rest.to_vec());
                Ok(())
            }
        }
    }

    fn bind_group(&mut self, side: &Side, group: usize, size: usize) -> Result<()> {
        let Group::Axes(axes) = &side[group] else {
            return Ok(());
        };
        let place = side.place(group);
        let mut known = 1_usize;
        let mut unknown = Vec::new();
        for axis in axes {
            match self.size(&axis.name) {
                Some(size) => known = known.saturating_mul(size),
                None => unknown.push(axis.name.to_string()),
            }
        }
        match unknown.as_slice() {
            [] if known == size => Ok(()),
            [] => {
                let message = match axes.len() {
                    1 => format!(
                        "`{}` is {known}, but this axis has size {size}",
                        axes[0].name
                    ),
                    _ => format!(
                        "`{}` is {known}, but this axis has size {size}",
                        place.text()
                    ),
                };
                Err(self.explain(
                    Diagnostic::error("size-differs", message).at(&place),
                    side,
                    group,
                ))
            }
            [name] if known > 0 && size.is_multiple_of(known) => {
                self.set(name, size / known);
                Ok(())
            }
            [name] => {
                let message = format!(
                    "{known} does not divide the size {size} of `{}`, so `{name}` has no size",
                    place.text()
                );
                let error = Diagnostic::error("does-not-divide", message).at(&place);
                let error = error.help(format!("what divides {size}: {}", divisors(size)));
                Err(self.explain(error, side, group))
            }
            _ => {
                let names = unknown.join("` and `");
                let message = format!(
                    "the sizes of `{names}` in `{}` are unknown, only one can be inferred",
                    place.text()
                );
                let help = format!("give one as a keyword, as in {}=…", unknown[0]);
                Diagnostic::error("unknown-size", message)
                    .at(&place)
                    .help(help)
                    .fail()
            }
        }
    }

    /// Adds the sizes of the factors of a group as notes.
    fn explain(
        &self,
        error: Diagnostic,
        side: &Side,
        group: usize,
    ) -> crate::diagnostic::Diagnostics {
        let factors = match &side[group] {
            Group::Axes(axes) if axes.len() > 1 => axes.as_slice(),
            _ => &[],
        };
        let known = factors.iter().filter_map(|axis| match &axis.name {
            AxisName::Named(name) => Some(format!("{name} = {}", self.get(name)?)),
            AxisName::Sized(_) => None,
        });
        known.fold(error, Diagnostic::note).into()
    }

    fn size(&self, name: &AxisName) -> Option<usize> {
        match name {
            AxisName::Named(name) => self.get(name),
            AxisName::Sized(size) => Some(*size),
        }
    }

    /// The shape that a side describes, one size per group, what `...` stands for included.
    ///
    /// # Errors
    /// An axis whose size is unknown, a shape too large for the machine.
    pub fn shape(&self, side: &Side) -> Result<Vec<usize>> {
        let mut shape = Vec::new();
        for (group, axes) in side.iter().enumerate() {
            let Group::Axes(axes) = axes else {
                shape.extend(self.rest());
                continue;
            };
            let mut size = 1_usize;
            for axis in axes {
                let place = || side.place(group);
                let factor = self.size(&axis.name).ok_or_else(|| {
                    let message = format!("the size of `{}` is unknown", axis.name);
                    Diagnostic::error("unknown-size", message)
                        .at(place())
                        .help(format!("give it as a keyword, as in {}=…", axis.name))
                })?;
                size = size.checked_mul(factor).ok_or_else(|| {
                    Diagnostic::error(
                        "too-large",
                        "this axis is larger than the machine can count",
                    )
                    .at(place())
                })?;
            }
            shape.push(size);
        }
        Ok(shape)
    }
}

fn wrong_rank(side: &Side, plain: usize, shape: &[usize]) -> Diagnostic {
    let axes = |n: usize| {
        if n == 1 {
            "1 axis".to_owned()
        } else {
            format!("{n} axes")
        }
    };
    let at_least = if side.has_rest() { "at least " } else { "" };
    let message = format!(
        "`{}` names {at_least}{}, the tensor has {}: {shape:?}",
        side.span.text().trim(),
        axes(plain),
        axes(shape.len()),
    );
    Diagnostic::error("rank-differs", message).at(&side.span)
}

/// `1, 2, 4, 8`: at most a dozen, the largest ones left out.
fn divisors(of: usize) -> String {
    let candidates = 1..=of.min(4096);
    let all = candidates.filter(|candidate| of.is_multiple_of(*candidate));
    let few: Vec<_> = all.take(12).map(|divisor| divisor.to_string()).collect();
    few.join(", ")
}

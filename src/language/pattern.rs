//! einops-style patterns: axes have names, `[k]` marks the axes acted on, `(a b)` composes, `...` stands for any leading axes.

mod parser;
mod solve;

use crate::diagnostic::{Diagnostic, Result, Span};
use std::ops::{Deref, Range};

pub use solve::Sizes;

/// One position of a side: a plain axis, or several composed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Group {
    Rest,
    /// Factors of one axis, outermost first; a single factor for a plain axis.
    Axes(Vec<Axis>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    pub name: AxisName,
    /// Written in brackets: acted on.
    pub marked: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AxisName {
    Named(String),
    /// A literal size, in practice 1.
    Sized(usize),
}

/// The axes of one tensor, with the place each group stands at.
#[derive(Debug, Clone)]
pub struct Side {
    pub groups: Vec<Group>,
    /// What was parsed.
    pub span: Span,
    /// Of each group, in bytes from the start of `span`.
    places: Vec<Range<usize>>,
}

/// `b (y i) c -> b y i c`
#[derive(Debug, Clone)]
pub struct Arrow {
    pub from: Side,
    pub to: Side,
}

/// `b i, o i -> b o`
#[derive(Debug, Clone)]
pub struct Einsum {
    pub operands: Vec<Side>,
    pub to: Side,
}

/// Parses `b [h w] c`; `source` is what stands inside the quotes.
///
/// # Errors
/// Text that is no such pattern.
pub fn parse_side(source: &Span) -> Result<Side> {
    let whole = 0..source.text().len();
    if let Some(arrow) = source.text().find("->") {
        let message = "an arrow in a pattern that names the axes of one tensor";
        let error = Diagnostic::error("pattern-syntax", message);
        return error.at(source.part(arrow..arrow + 2)).fail();
    }
    parser::side(source, whole)
}

/// Parses `b (y i) c -> b y i c`.
///
/// # Errors
/// Text that is no such pattern.
pub fn parse_arrow(source: &Span) -> Result<Arrow> {
    let (from, to) = parser::split_arrow(source)?;
    Ok(Arrow {
        from: parser::side(source, from)?,
        to: parser::side(source, to)?,
    })
}

/// Parses `b i, o i -> b o`.
///
/// # Errors
/// Text that is no such pattern.
pub fn parse_einsum(source: &Span) -> Result<Einsum> {
    let (from, to) = parser::split_arrow(source)?;
    let operands = parser::split_commas(source, from);
    let operands = operands.map(|operand| parser::side(source, operand));
    Ok(Einsum {
        operands: operands.collect::<Result<_>>()?,
        to: parser::side(source, to)?,
    })
}

/// A side is used as the list of its groups.
impl Deref for Side {
    type Target = [Group];

    fn deref(&self) -> &[Group] {
        &self.groups
    }
}

impl Side {
    /// Where a group stands.
    pub fn place(&self, group: usize) -> Span {
        match self.places.get(group) {
            Some(place) => self.span.part(place.clone()),
            None => self.span.clone(),
        }
    }

    /// The factors of all groups in order, without `...`.
    pub fn axes(&self) -> impl Iterator<Item = &Axis> {
        self.groups.iter().flat_map(|group| match group {
            Group::Rest => &[],
            Group::Axes(axes) => axes.as_slice(),
        })
    }

    /// The names of the axes in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.axes().filter_map(|axis| match &axis.name {
            AxisName::Named(name) => Some(name.as_str()),
            AxisName::Sized(_) => None,
        })
    }

    /// Whether the side starts with `...`.
    pub fn has_rest(&self) -> bool {
        self.groups.first() == Some(&Group::Rest)
    }
}

impl std::fmt::Display for AxisName {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            AxisName::Named(name) => f.write_str(name),
            AxisName::Sized(size) => write!(f, "{size}"),
        }
    }
}

#[cfg(test)]
mod tests;

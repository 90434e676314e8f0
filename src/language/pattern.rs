//! einops-style patterns: axes have names, `[k]` marks the axes acted on, `(a b)` composes, `...` stands for any leading axes.

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

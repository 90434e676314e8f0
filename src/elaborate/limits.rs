//! What is refused for its size before any time or memory is spent on it.

use super::Elaborator;
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Result, Span},
    ir::view::MAX_RANK,
};

/// Uses of graphs in one model: Swin-B has some 300, a transformer of 256 blocks some 3,000.
const MAX_USES: usize = 10_000;
/// Nodes in one graph: an edge takes 5 kB, Swin-B has some 1,500 nodes.
const MAX_NODES: usize = 50_000;
/// Graphs inside graphs.
const MAX_NESTING: usize = 32;
/// Expressions inside expressions, over all graphs on the way.
const MAX_DEPTH: usize = 700;
/// Stack that must be left for the next expression, in bytes, and how much is added where it is not: a thread of a caller
/// may have 2 MiB, and views of tensors, kilobytes each, pass through it by value.
const STACK_LEFT: usize = 256 << 10;
const STACK_ADDED: usize = 4 << 20;
pub const MAX_REPEAT: usize = 1024;
/// Numbers in a list.
pub const MAX_LIST: usize = 1 << 16;
/// Numbers in a table; also the whole numbers that an f32 tells apart.
pub const MAX_TABLE: usize = 1 << 24;
/// Elements of a product that is only summed up: never stored, but its size is counted with.
const MAX_VIRTUAL: usize = 1 << 52;
/// Errors that are reported at once.
pub const REPORTED: usize = 20;

/// How much of each was used.
#[derive(Debug, Default)]
pub struct Used {
    uses: usize,
    nesting: usize,
    depth: usize,
    /// Nothing more is evaluated: a limit was met, and what is beyond it would meet it again.
    pub up: bool,
}

impl Elaborator<'_> {
    /// Runs `f` one expression further down.
    pub fn deeper<T>(&mut self, at: &Span, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.used.up {
            return Err(Diagnostics::follows());
        }
        if self.used.depth == MAX_DEPTH {
            self.used.up = true;
            let message = format!("expressions nest more than {MAX_DEPTH} deep here");
            return Err(too_deep(message, at));
        }
        self.used.depth += 1;
        let result = stacker::maybe_grow(STACK_LEFT, STACK_ADDED, || f(self));
        self.used.depth -= 1;
        result
    }

    /// Runs `f` inside one more graph.
    pub fn nested<T>(&mut self, at: &Span, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.used.nesting == MAX_NESTING {
            self.used.up = true;
            let message = format!("graphs call each other more than {MAX_NESTING} deep here");
            return Err(too_deep(message, at));
        }
        self.used.uses += 1;
        self.check_nodes(at)?;
        if self.used.uses > MAX_USES {
            self.used.up = true;
            let message = format!("the model uses graphs more than {MAX_USES} times");
            return Err(Diagnostic::error("too-large", message).at(at).into());
        }
        self.used.nesting += 1;
        let result = f(self);
        self.used.nesting -= 1;
        result
    }

    pub fn check_nodes(&mut self, at: &Span) -> Result<()> {
        if self.rewriter.graph().graph.node_count() <= MAX_NODES {
            return Ok(());
        }
        self.used.up = true;
        let message = format!("the graph has more than {MAX_NODES} nodes");
        Err(Diagnostic::error("too-large", message).at(at).into())
    }

    /// Whether a tensor can have this shape.
    pub fn check_shape(&self, dims: &[usize], at: &Span) -> Result<()> {
        self.check_axes(dims, i32::MAX as usize, at)
    }

    /// As [`Self::check_shape`], for a product that is summed up where it is made.
    pub fn check_virtual_shape(&self, dims: &[usize], at: &Span) -> Result<()> {
        self.check_axes(dims, MAX_VIRTUAL, at)
    }

    fn check_axes(&self, dims: &[usize], most: usize, at: &Span) -> Result<()> {
        let error = |code, message: String| Err(Diagnostic::error(code, message).at(at).into());
        if dims.len() > MAX_RANK {
            let message = format!(
                "{} axes, {dims:?}, are more than the {MAX_RANK} a tensor can have",
                dims.len()
            );
            return error("too-many-axes", message);
        }
        if dims.contains(&0) {
            return error("empty-axis", format!("{dims:?} holds nothing"));
        }
        let elements = dims.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
        if elements.is_none_or(|n| n > most) || dims.iter().any(|&d| d > i32::MAX as usize) {
            return error(
                "too-large",
                format!("{dims:?} has more than {most} elements"),
            );
        }
        Ok(())
    }
}

fn too_deep(message: String, at: &Span) -> Diagnostics {
    Diagnostic::error("too-deep", message)
        .at(at)
        .help("does a graph call itself?")
        .into()
}

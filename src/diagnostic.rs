//! Diagnostics: what was got, what was wanted, where each number came from, and the nearest fix.

use std::{ops::Range, sync::Arc};

/// One source text: a recipe, a graph file or a `--set` argument.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SourceFile {
    /// As shown to the user: `recipes/swin_b.yaml`, `graphs/nn/mlp.yaml`, `--set`.
    pub path: String,
    pub text: String,
}

/// A piece of a source text, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Span {
    pub file: Arc<SourceFile>,
    pub range: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// One message about one mistake.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Stable, kebab-case, documented: `unknown-key`, `does-not-hold`.
    pub code: &'static str,
    pub severity: Severity,
    /// What was got and what was wanted, one sentence without a full stop.
    pub message: String,
    /// Where the caret points.
    pub span: Option<Span>,
    /// The instance of a graph the mistake was met in: `encoder.layers.0.blocks.0.attn`.
    pub instance: Option<String>,
    /// Where each number came from.
    pub notes: Vec<Note>,
    /// The nearest fix.
    pub help: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Note {
    pub text: String,
    pub span: Option<Span>,
}

/// At least one error, perhaps with warnings, in the order they were met.
#[derive(Debug, Clone)]
pub struct Diagnostics(pub Vec<Diagnostic>);

pub type Result<T> = std::result::Result<T, Diagnostics>;

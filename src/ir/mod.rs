//! The contract on top of luminal's graph: what a legal graph is, how it is read, and the one way to change it.
//!
//! - A node is a luminal primitive or an own operator ([`ops::Own`]). Its output buffers are plain (row-major) and of static
//!   dims, recorded in [`Meta`].
//! - An edge carries a view of its source's buffer: permute, expand, split and merge of axes. A slice or a pad may only enter
//!   a `Contiguous` or an own operator that says it reads views with offsets ([`ops::Op::reads_slices`]).
//! - A unary operator works on the buffer of its input: its edge is plain.
//! - Rank is at most 6, sizes fit an `i32`, constants are interned by bits, inputs are numbered from 0.
//!
//! # Panics
//!
//! [`verify::verify`] refuses every graph that breaks a rule. What reads a graph, here and in `passes`, `gradient`, `plan` and
//! `listing`, takes the rules for granted and may panic where one is broken; so may the [`Rewriter`] on operands whose dims do
//! not fit. Elaboration checks dims before it comes to that.

pub mod arithmetic;
pub mod copy;
pub mod decompose;
pub mod evaluate;
pub mod history;
pub mod kind;
pub mod meta;
pub mod ops;
pub mod print;
pub mod program;
pub mod read;
pub mod rewrite;
pub mod roots;
pub mod value;
pub mod verify;
pub mod view;

pub use kind::{Kind, kind};
pub use luminal::prelude::{Graph, NodeIndex, ShapeTracker};
pub use meta::{Meta, Origin, Root, meta};
pub use ops::{Op, Own};
pub use rewrite::{Rewriter, new_graph};
pub use value::{Edge, Value};

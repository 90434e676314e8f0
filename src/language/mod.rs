//! The graph language: a file is a function, its steps are equations.

pub mod expression;
pub mod graph_file;
pub mod library;
pub mod names;
pub mod pattern;
pub mod yaml;

//! mimc: a declarative graph compiler for masked image modeling.

pub mod backend;
pub mod compile;
pub mod data;
pub mod diagnostic;
pub mod elaborate;
pub mod gradient;
pub mod inspect;
pub mod ir;
pub mod language;
pub mod listing;
pub mod machine;
pub mod masks;
pub mod optimizer;
pub mod pace;
pub mod passes;
pub mod plan;
pub mod random;
pub mod recipe;
pub mod schema;
pub mod summary;
pub mod text;
pub mod train;
pub mod verify;

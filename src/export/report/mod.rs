//! Reports: one page of HTML each, which needs nothing but itself.
//!
//! A page is drawn here, pictures and charts as SVG; what a reader looks up (nodes, kernels) lies in it as JSON, and a script of
//! its own opens, searches and zooms.

mod chart;
mod curves;
mod diagram;
mod kernels;
mod memory;
mod page;
mod parts;
mod pictures;
mod program;
mod run;
mod scopes;
mod sources;
mod words;
mod work;

pub use program::{Compiled, program};
pub use run::{Ran, Times, run};

//! Text for people: aligned columns, numbers with their units.

pub mod columns;
pub mod paths;
pub mod units;

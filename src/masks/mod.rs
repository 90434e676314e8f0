//! Masks: how far they keep hidden pixels from visible ones, and whether that is known to train well.

mod distance;
mod doubt;
mod knobs;
mod sample;

pub use distance::{average_distance, squared_distances};
pub use doubt::doubt;

//! Masks: how far they keep hidden pixels from visible ones, and whether that is known to train well.

mod distance;
mod doubt;
mod heat;
mod knobs;
mod sample;
mod sheet;

pub use distance::{average_distance, squared_distances};
pub use doubt::{doubt, lies, wanted};
pub use heat::{Cell, heat};
pub use sample::{Limits, Sample, sample};
pub use sheet::sheet;

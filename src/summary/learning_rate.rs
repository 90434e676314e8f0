//! The learning rate over a run.

use crate::recipe::ScheduleName;
use serde::Serialize;
use std::fmt;

/// Rates as the optimizer sees them, scaled to the batch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LearningRate {
    /// How it falls after the warm-up.
    pub schedule: ScheduleName,
    /// After the warm-up.
    pub base: f64,
    /// Where the warm-up starts.
    pub warmup: f64,
    /// At the end.
    pub min: f64,
    /// Length of the warm-up.
    pub warmup_epochs: f64,
    /// Length of the run.
    pub epochs: f64,
    /// As written, per 512 images.
    pub base_per_512: f64,
}

/// `8.00e-4 at the peak (2.00e-4 per 512 images): cosine to 4.00e-5 over 100 epochs, the first 10 from 4.00e-6 upwards`
impl fmt::Display for LearningRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.schedule {
            ScheduleName::Cosine => "cosine",
            ScheduleName::Multistep => "multistep",
            ScheduleName::Step => "step",
            ScheduleName::Linear => "linear",
            ScheduleName::Constant => "constant",
        };
        write!(
            f,
            "{:.2e} at the peak ({:.2e} per 512 images): {name}",
            self.base, self.base_per_512
        )?;
        if matches!(self.schedule, ScheduleName::Cosine | ScheduleName::Linear) {
            write!(f, " to {:.2e}", self.min)?;
        }
        write!(f, " over {}", epochs(self.epochs))?;
        if self.warmup_epochs > 0.0 {
            let (epochs, from) = (self.warmup_epochs, self.warmup);
            write!(f, ", the first {epochs} from {from:.2e} upwards")?;
        }
        Ok(())
    }
}

/// So many, in words.
pub fn epochs(count: f64) -> String {
    match count {
        1.0 => "1 epoch".to_owned(),
        many => format!("{many} epochs"),
    }
}

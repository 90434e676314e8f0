//! Images on their way into the program.

use std::time::Duration;

use super::{
    super::{error::TrainError, run::Run, step::Step},
    Session,
};
use crate::data::{Batch, Loader, Normalizer};

/// How long to wait for images before looking up whether someone asks to stop.
const GLANCE: Duration = Duration::from_millis(100);

/// Loads images from a step on, in the form that the program takes.
pub(super) fn loader(run: &Run, program: &mut dyn Step, from: u64) -> Result<Loader, TrainError> {
    let normalizer = Normalizer::new(run.data.mean, run.data.std);
    let load = match program.normalize_by(&normalizer)? {
        true => Loader::of_pixels,
        false => Loader::in_parts,
    };
    Ok(load(&run.data, run.batch, program.micro_batch(), from)?)
}

impl Session<'_, '_> {
    /// Feeds the next micro-batch, unless that was done ahead. None if someone asks to stop before its images are there.
    pub(super) fn feed(&mut self) -> Result<Option<Batch>, TrainError> {
        if self.stop.requested() {
            return Ok(None);
        }
        match self.ahead.take() {
            Some(batch) => Ok(Some(batch)),
            None => match self.images()? {
                Some(batch) => self.put(batch).map(Some),
                None => Ok(None),
            },
        }
    }

    /// Feeds the first micro-batch of the next step if its images are there: a device takes them while it still computes the
    /// gradient of this one. What is wrong with them is told by the step they belong to.
    pub(super) fn feed_ahead(&mut self) -> Result<(), TrainError> {
        if self.made + 1 < self.goal
            && let Ok(Some(batch)) = self.loader.next_within(Duration::ZERO)
        {
            // They were there: what little it took to take them is none of the next step's time.
            self.ahead = Some(Batch {
                waited: Duration::ZERO,
                ..self.put(batch)?
            });
        }
        Ok(())
    }

    /// Hands over the images of a batch, which need not be kept.
    fn put(&mut self, batch: Batch) -> Result<Batch, TrainError> {
        match batch.pixels.is_empty() {
            true => self.program.feed("image", &batch.images)?,
            false => self.program.feed_pixels(&batch.pixels)?,
        }
        Ok(Batch {
            images: Vec::new(),
            pixels: Vec::new(),
            ..batch
        })
    }

    /// Those of the next micro-batch.
    fn images(&mut self) -> Result<Option<Batch>, TrainError> {
        let mut waited = Duration::ZERO;
        while !self.stop.requested() {
            if let Some(images) = self.loader.next_within(GLANCE)? {
                waited += images.waited;
                return Ok(Some(Batch { waited, ..images }));
            }
            waited += GLANCE;
        }
        Ok(None)
    }
}

//! What a run leaves as it goes: lines of the log, names of images, checkpoints.

use super::{
    super::{
        checkpoint::{self, State},
        error::TrainError,
        metrics::Record,
        run::Event,
        upkeep::cannot_write,
    },
    Session,
};
use crate::data::Skipped;

impl Session<'_, '_> {
    pub(super) fn log(&mut self, record: &Record) -> Result<(), TrainError> {
        let appended = self.log.append(record);
        self.logged = appended.is_ok();
        appended.map_err(cannot_write(&self.run.output.metrics()))
    }

    /// Makes the log lasting. Lines are lost for good where that fails: asking the system again would prove nothing.
    fn sync_log(&mut self) -> Result<(), TrainError> {
        let synced = self.log.sync();
        self.logged = synced.is_ok();
        synced.map_err(cannot_write(&self.run.output.metrics()))
    }

    pub(super) fn tell_unreadable(&mut self, images: &[Skipped]) -> Result<(), TrainError> {
        for image in images {
            let path = self.run.output.unreadable();
            if self
                .unreadable
                .add(self.run.output.disk(), image)
                .map_err(cannot_write(&path))?
            {
                self.observer.observe(Event::Unreadable(image));
            }
        }
        Ok(())
    }

    /// Saves what no checkpoint holds yet; not the state before the first step, which the seed gives.
    pub(super) fn save_if_new(&mut self) -> Result<(), TrainError> {
        match self.saved == Some(self.made) || self.made == 0 {
            true => Ok(()),
            false => self.save(),
        }
    }

    /// Behind an error, which is the one to report: should saving fail too, the last checkpoint still stands.
    pub fn save_what_is_sound(&mut self, error: &TrainError) {
        if error.leaves_state_sound() && self.logged {
            let _ = self.save_if_new();
        }
    }

    pub(super) fn save(&mut self) -> Result<(), TrainError> {
        let _saving = self.stop.saving();
        if let Some(tensor) = checkpoint::not_finite(self.program)? {
            return Err(TrainError::NonFiniteState {
                tensor,
                step: self.made,
                checkpoint: self.checkpoint.clone(),
            });
        }
        // Steps up to a checkpoint are logged whenever the checkpoint is there.
        self.sync_log()?;
        let next = self.loader.order().place(self.made);
        let state = State {
            batch: self.run.batch,
            epoch: next.epoch,
            graphs: self.run.graphs.clone(),
            images: self.loader.dataset().len(),
            micro_batch: self.program.micro_batch(),
            names: self.names.clone(),
            position: next.position,
            recipe: self.run.recipe.clone(),
            seed: self.run.data.seed,
            step: self.made,
        };
        let (disk, folder) = (self.run.output.disk(), self.run.output.checkpoints());
        let path = checkpoint::save(disk, &folder, self.program, &state)?;
        self.saved = Some(self.made);
        self.checkpoint = Some(path.clone());
        self.tell_last();
        checkpoint::prune(disk, &folder, self.run.keep, self.made)?;
        self.observer.observe(Event::Saved(&path));
        Ok(())
    }

    /// Whoever ends the program from outside knows what is left.
    pub(super) fn tell_last(&self) {
        self.stop.will_leave(self.checkpoint.as_deref());
    }
}

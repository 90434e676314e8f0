//! The training loop.
//!
//! Everything that is random is a function of the seed and the step, and the checkpoint holds everything else, so a run
//! that is stopped anywhere and resumed makes the same steps to the bit.

mod feeding;
mod keeping;

use std::{path::PathBuf, time::Instant};

use super::{
    error::TrainError,
    gallery::Gallery,
    gradients,
    held_out::HeldOut,
    metrics::{Log, Record},
    output::write_png,
    resume,
    run::{Event, Gradients, Observer, Run, Started, Summary},
    schedule::{Length, Schedule},
    step::{Draw, Step, StepError},
    stop::Stop,
    unreadable::Unreadable,
    upkeep::{self, cannot_write},
};
use crate::data::{Batch, Loader};

/// A run under way.
pub(super) struct Session<'r, 'p> {
    run: &'r Run,
    stop: &'r Stop,
    observer: &'r mut dyn Observer,
    /// A checksum over the names of the images.
    names: String,
    program: &'p mut dyn Step,
    gallery: Option<Gallery<'p>>,
    held_out: Option<HeldOut>,
    loader: Loader,
    /// What was fed before its step began.
    ahead: Option<Batch>,
    schedule: Schedule,
    log: Log,
    /// Whether all steps made are logged.
    logged: bool,
    unreadable: Unreadable,
    /// Optimizer steps made.
    made: u64,
    goal: u64,
    /// The step of the last checkpoint.
    saved: Option<u64>,
    checkpoint: Option<PathBuf>,
    picture: Option<PathBuf>,
    /// Of this session.
    first: u64,
    seconds: f64,
    loss: Option<f32>,
}

impl<'r, 'p> Session<'r, 'p> {
    /// Readies the folder, the images and the program for the first step that is to be made.
    pub fn begin(
        run: &'r Run,
        program: &'p mut dyn Step,
        pictures: Option<&'p mut dyn Step>,
        stop: &'r Stop,
        observer: &'r mut dyn Observer,
    ) -> Result<Self, TrainError> {
        program.end_early_on(stop);
        let micro_batch = program.micro_batch();
        if micro_batch == 0 || !run.batch.is_multiple_of(micro_batch) {
            return Err(TrainError::MicroBatch {
                batch: run.batch,
                micro_batch,
            });
        }
        run.output.claim()?;
        upkeep::finish_setting_aside(run, observer)?;
        let resumed = match run.resume {
            true => resume::find(run, observer)?,
            false => None,
        };
        let made = resumed
            .as_ref()
            .map_or(0, |checkpoint| checkpoint.state().step);
        let loader = feeding::loader(run, program, made)?;
        let length = Length {
            epochs: run.epochs,
            steps_per_epoch: loader.order().steps_per_epoch(),
            batch: run.batch,
        };
        let schedule = Schedule::new(&run.schedule, length)?;
        let total = schedule.total_steps();
        let gallery = match pictures {
            Some(program) => Some(Gallery::new(
                program,
                loader.dataset(),
                run.data.size,
                run.data.seed,
            )?),
            None => None,
        };
        let held_out = match (&run.validation, &gallery) {
            (None, _) => None,
            (Some(validation), Some(_)) => Some(HeldOut::open(validation, &run.data)?),
            (Some(_), None) => {
                let message = "the loss of images held out is told by the program that draws pictures, and there is none";
                return Err(StepError::Backend(message.into()).into());
            }
        };
        let checkpoint = match resumed {
            Some(checkpoint) => Some(resume::restore(
                run, checkpoint, program, &loader, observer,
            )?),
            None => None,
        };
        let log = upkeep::open(run, made, checkpoint.is_some(), observer)?;
        let unreadable = run.output.unreadable();
        let unreadable = Unreadable::open(unreadable.clone()).map_err(cannot_write(&unreadable))?;
        upkeep::tell_if_tight(run, program, observer);
        let session = Self {
            gallery,
            held_out,
            names: resume::names(loader.dataset(), &run.data.images),
            schedule,
            log,
            logged: true,
            unreadable,
            made,
            goal: run.steps.map_or(total, |steps| steps.min(total)),
            saved: checkpoint.is_some().then_some(made),
            checkpoint,
            picture: None,
            first: made,
            seconds: 0.0,
            loss: None,
            run,
            stop,
            observer,
            program,
            loader,
            ahead: None,
        };
        session.tell_last();
        Ok(session)
    }

    /// Makes the steps that are left.
    pub fn train(&mut self) -> Result<(), TrainError> {
        self.observer.observe(Event::Started(Started {
            images: self.loader.dataset().len(),
            names: &self.names,
            batch: self.run.batch,
            micro_batch: self.program.micro_batch(),
            step: self.made,
            goal: self.goal,
            total: self.schedule.total_steps(),
            rates: self.schedule.rates(),
        }));
        self.catch_up()?;
        while self.made < self.goal {
            let Some(mut record) = self.optimizer_step()? else {
                self.observer.observe(Event::Stopping);
                return self.save_if_new();
            };
            record.held_out = self.validate()?;
            self.log(&record)?;
            self.observer.observe(Event::Step(&record));
            // Pictures first: what is due up to a checkpoint is there whenever the checkpoint is.
            if self.shows(self.made) {
                self.draw()?;
            }
            if self.made == self.goal || is_due(self.run.checkpoint_every, self.made) {
                self.save()?;
            }
        }
        Ok(())
    }

    /// Makes one optimizer step, or none if someone asks to stop on the way: then the gradients are lost, and weights and
    /// moments are those of the step before.
    fn optimizer_step(&mut self) -> Result<Option<Record>, TrainError> {
        let started = Instant::now();
        let (batch, micro_batch) = (self.run.batch, self.program.micro_batch());
        let (mut loss, mut data_wait, mut files) = (0.0, 0.0, Vec::new());
        for first_sample in (0..batch).step_by(micro_batch) {
            let Some(images) = self.feed()? else {
                return Ok(None);
            };
            self.tell_unreadable(&images.skipped)?;
            data_wait += images.waited.as_secs_f64();
            let draw = Draw {
                seed: self.run.data.seed,
                step: self.made,
                first_sample: first_sample as u64,
            };
            let part = match self.program.accumulate(draw) {
                Err(StepError::Interrupted) => return Ok(None),
                part => part?,
            };
            self.check_finite("loss", part, &images.names)?;
            loss += part as f64;
            files.extend(images.names);
        }
        let norms = match self.shows(self.made + 1) {
            true => Some(gradients::norms(self.program)?),
            false => None,
        };
        self.feed_ahead()?;
        let lr = self.schedule.lr(self.made);
        let grad_norm = self.program.apply(lr as f32, self.made + 1)?;
        self.check_finite("gradient norm", grad_norm, &files)?;
        let epoch = self.loader.order().place(self.made).epoch;
        let seconds = started.elapsed().as_secs_f64();
        let loss = (loss / (batch / micro_batch) as f64) as f32;
        self.made += 1;
        if let Some(norms) = &norms {
            self.observer.observe(Event::Gradients(Gradients {
                step: self.made,
                weights: self.program.weights(),
                norms,
            }));
        }
        self.seconds += seconds;
        self.loss = Some(loss);
        Ok(Some(Record {
            step: self.made,
            epoch,
            loss,
            lr,
            grad_norm,
            images_per_s: round(batch as f64 / seconds, 1e3),
            data_wait: round(data_wait, 1e6),
            seconds: round(seconds, 1e6),
            held_out: None,
        }))
    }

    /// The loss on the images held out, where it is due.
    fn validate(&mut self) -> Result<Option<f32>, TrainError> {
        let every = self
            .run
            .validation
            .as_ref()
            .map_or(0, |validation| validation.every);
        let due = self.made == self.goal || is_due(every, self.made);
        match (&self.held_out, &mut self.gallery) {
            (Some(held_out), Some(gallery)) if due => {
                Ok(Some(held_out.loss(gallery.program(), self.program)?))
            }
            _ => Ok(None),
        }
    }

    fn check_finite(
        &self,
        what: &'static str,
        value: f32,
        files: &[String],
    ) -> Result<(), TrainError> {
        if value.is_finite() {
            return Ok(());
        }
        Err(TrainError::NonFinite {
            what,
            value,
            step: self.made + 1,
            files: files.to_vec(),
            checkpoint: self.checkpoint.clone(),
        })
    }

    /// Whether pictures are due behind a step.
    fn shows(&self, step: u64) -> bool {
        step == self.goal || is_due(self.run.picture_every, step)
    }

    /// Draws what belongs to the step a run goes on from, as far as an accident kept it from being drawn: the curve may
    /// also show steps that have been cut since.
    fn catch_up(&mut self) -> Result<(), TrainError> {
        let output = &self.run.output;
        let missing = self.shows(self.made) && !output.picture(self.made).exists();
        match self.made > 0 && missing {
            true => self.draw(),
            false if output.curve().exists() => self.draw_curve(),
            false => Ok(()),
        }
    }

    fn draw(&mut self) -> Result<(), TrainError> {
        self.draw_curve()?;
        let Some(gallery) = &mut self.gallery else {
            return Ok(());
        };
        let sheet = gallery.draw(self.program)?;
        let path = self.run.output.picture(self.made);
        write_png(self.run.output.disk(), &path, &sheet).map_err(cannot_write(&path))?;
        self.observer.observe(Event::Drawn(&path));
        self.picture = Some(path);
        Ok(())
    }

    fn draw_curve(&self) -> Result<(), TrainError> {
        let warmup = self.schedule.warmup_steps();
        upkeep::draw_curve(&self.run.output, &self.run.title, warmup)
    }

    pub fn summary(self) -> Summary {
        Summary {
            step: self.made,
            total: self.schedule.total_steps(),
            loss: self.loss,
            seconds: self.seconds,
            images: (self.made - self.first) * self.run.batch as u64,
            unreadable: self.unreadable.count(),
            checkpoint: self.checkpoint,
            picture: self.picture,
            interrupted: self.stop.requested() && self.made < self.goal,
        }
    }
}

fn is_due(every: u64, made: u64) -> bool {
    every > 0 && made.is_multiple_of(every)
}

/// To a multiple of 1 / `parts`: a log needs no more.
fn round(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

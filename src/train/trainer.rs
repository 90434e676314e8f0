//! The training loop.
//!
//! Everything that is random is a function of the seed and the step, and the checkpoint holds everything else, so a run
//! that is stopped anywhere and resumed makes the same steps to the bit.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use super::{
    checkpoint::{self, State},
    curve::LossCurve,
    gallery::Gallery,
    metrics::{self, Log, Record},
    output::write_png,
    replace::replace,
    resume,
    run::{Event, Observer, Programs, Run, Started, Summary, TrainError},
    schedule::{Length, Schedule},
    signals::Stop,
    step::{Draw, Step},
    unreadable::Unreadable,
};
use crate::data::{Loader, Skipped};

/// Trains until the goal, or until someone asks to stop; then the state of the last optimizer step is saved.
///
/// # Errors
/// See [`TrainError`]. When images or the output fail on the way, the state of the last optimizer step is saved as well.
pub fn train(
    run: &Run,
    programs: Programs<'_>,
    stop: &Stop,
    observer: &mut dyn Observer,
) -> Result<Summary, TrainError> {
    let mut session = Session::begin(run, programs, observer)?;
    match session.train(stop) {
        Ok(()) => Ok(session.summary(stop)),
        Err(error) => {
            if error.leaves_state_sound() {
                // The first error is the one to report; should this fail too, the last checkpoint still stands.
                let _ = session.save_if_new();
            }
            Err(error)
        }
    }
}

/// A run under way.
struct Session<'r, 'p> {
    run: &'r Run,
    observer: &'r mut dyn Observer,
    program: &'p mut dyn Step,
    gallery: Option<Gallery<'p>>,
    loader: Loader,
    schedule: Schedule,
    log: Log,
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
    fn begin(
        run: &'r Run,
        programs: Programs<'p>,
        observer: &'r mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let program = programs.training;
        let micro_batch = program.micro_batch();
        if micro_batch == 0 || !run.batch.is_multiple_of(micro_batch) {
            return Err(TrainError::MicroBatch {
                batch: run.batch,
                micro_batch,
            });
        }
        let resumed = match run.resume {
            true => resume::find(run, observer)?,
            false => None,
        };
        let made = resumed
            .as_ref()
            .map_or(0, |checkpoint| checkpoint.state().step);
        let loader = Loader::in_parts(&run.data, run.batch, micro_batch, made)?;
        let length = Length {
            epochs: run.epochs,
            steps_per_epoch: loader.order().steps_per_epoch(),
            batch: run.batch,
        };
        let schedule = Schedule::new(&run.schedule, length)?;
        let total = schedule.total_steps();
        let gallery = match programs.pictures {
            Some(program) => Some(Gallery::new(
                program,
                loader.dataset(),
                run.data.size,
                run.data.seed,
            )?),
            None => None,
        };
        let checkpoint = match resumed {
            Some(checkpoint) => Some(resume::restore(
                run, checkpoint, program, &loader, observer,
            )?),
            None => None,
        };
        let log = open_output(run, made, observer)?;
        let unreadable = run.output.unreadable();
        let unreadable = Unreadable::open(unreadable.clone()).map_err(cannot_write(&unreadable))?;
        let session = Self {
            gallery,
            schedule,
            log,
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
            observer,
            program,
            loader,
        };
        Ok(session)
    }

    fn train(&mut self, stop: &Stop) -> Result<(), TrainError> {
        self.observer.observe(Event::Started(Started {
            images: self.loader.dataset().len(),
            batch: self.run.batch,
            micro_batch: self.program.micro_batch(),
            step: self.made,
            goal: self.goal,
            total: self.schedule.total_steps(),
            rates: self.schedule.rates(),
        }));
        while self.made < self.goal {
            let Some(record) = self.optimizer_step(stop)? else {
                self.observer.observe(Event::Stopping);
                return self.save_if_new();
            };
            self.log(&record)?;
            self.observer.observe(Event::Step(&record));
            let last = self.made == self.goal;
            if last || is_due(self.run.checkpoint_every, self.made) {
                self.save()?;
            }
            if last || is_due(self.run.picture_every, self.made) {
                self.draw()?;
            }
        }
        Ok(())
    }

    /// Makes one optimizer step, or none if someone asks to stop on the way: then the gradients are lost, and weights and
    /// moments are those of the step before.
    fn optimizer_step(&mut self, stop: &Stop) -> Result<Option<Record>, TrainError> {
        let started = Instant::now();
        let (batch, micro_batch) = (self.run.batch, self.program.micro_batch());
        let (mut loss, mut data_wait, mut files) = (0.0, 0.0, Vec::new());
        for first_sample in (0..batch).step_by(micro_batch) {
            if stop.requested() {
                return Ok(None);
            }
            let images = self.loader.next()?;
            self.tell_unreadable(&images.skipped)?;
            data_wait += images.waited.as_secs_f64();
            self.program.feed("image", &images.images)?;
            let part = self.program.accumulate(Draw {
                seed: self.run.data.seed,
                step: self.made,
                first_sample: first_sample as u64,
            })?;
            self.check_finite("loss", part, &images.names)?;
            loss += part as f64;
            files.extend(images.names);
        }
        let lr = self.schedule.lr(self.made);
        let grad_norm = self.program.apply(lr as f32, self.made + 1)?;
        self.check_finite("gradient norm", grad_norm, &files)?;
        let epoch = self.loader.order().place(self.made).epoch;
        let seconds = started.elapsed().as_secs_f64();
        let loss = (loss / (batch / micro_batch) as f64) as f32;
        self.made += 1;
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
        }))
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

    fn log(&mut self, record: &Record) -> Result<(), TrainError> {
        let path = self.run.output.metrics();
        self.log.append(record).map_err(cannot_write(&path))
    }

    fn tell_unreadable(&mut self, images: &[Skipped]) -> Result<(), TrainError> {
        for image in images {
            let path = self.run.output.unreadable();
            if self.unreadable.add(image).map_err(cannot_write(&path))? {
                self.observer.observe(Event::Unreadable(image));
            }
        }
        Ok(())
    }

    /// Saves what no checkpoint holds yet; not the state before the first step, which the seed gives.
    fn save_if_new(&mut self) -> Result<(), TrainError> {
        match self.saved == Some(self.made) || self.made == 0 {
            true => Ok(()),
            false => self.save(),
        }
    }

    fn save(&mut self) -> Result<(), TrainError> {
        let next = self.loader.order().place(self.made);
        let state = State {
            epoch: next.epoch,
            micro_batch: self.program.micro_batch(),
            position: next.position,
            recipe: self.run.recipe.clone(),
            seed: self.run.data.seed,
            step: self.made,
        };
        let folder = self.run.output.checkpoints();
        let path = checkpoint::save(&folder, self.program, &state)?;
        self.saved = Some(self.made);
        self.checkpoint = Some(path.clone());
        checkpoint::prune(&folder, self.run.keep, self.made)?;
        self.observer.observe(Event::Saved(&path));
        Ok(())
    }

    fn draw(&mut self) -> Result<(), TrainError> {
        let metrics = self.run.output.metrics();
        let records = metrics::read(&metrics).map_err(cannot_write(&metrics))?;
        let losses: Vec<_> = records
            .iter()
            .map(|record| (record.step, record.loss))
            .collect();
        let curve = LossCurve {
            title: &self.run.title,
            losses: &losses,
            warmup: self.schedule.warmup_steps(),
        };
        let path = self.run.output.curve();
        write_png(&path, &curve.draw()).map_err(cannot_write(&path))?;
        let Some(gallery) = &mut self.gallery else {
            return Ok(());
        };
        let sheet = gallery.draw(self.program)?;
        let path = self.run.output.picture(self.made);
        write_png(&path, &sheet).map_err(cannot_write(&path))?;
        self.observer.observe(Event::Drawn(&path));
        self.picture = Some(path);
        Ok(())
    }

    fn summary(self, stop: &Stop) -> Summary {
        Summary {
            step: self.made,
            total: self.schedule.total_steps(),
            loss: self.loss,
            seconds: self.seconds,
            images: (self.made - self.first) * self.run.batch as u64,
            unreadable: self.unreadable.count(),
            checkpoint: self.checkpoint,
            picture: self.picture,
            interrupted: stop.requested() && self.made < self.goal,
        }
    }
}

/// Readies the output folder for the step after `made`.
fn open_output(run: &Run, made: u64, observer: &mut dyn Observer) -> Result<Log, TrainError> {
    let output = &run.output;
    if !run.resume {
        let aside = output
            .set_earlier_aside()
            .map_err(cannot_write(output.folder()))?;
        if let Some(aside) = aside {
            observer.observe(Event::SetAside(&aside));
        }
    }
    output.create().map_err(cannot_write(output.folder()))?;
    let recipe = output.recipe();
    replace(&recipe, |file| file.write_all(run.recipe.as_bytes()))
        .map_err(cannot_write(&recipe))?;
    let metrics = output.metrics();
    Log::open(&metrics, made).map_err(cannot_write(&metrics))
}

fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> TrainError {
    let path = path.to_owned();
    move |source| TrainError::Output { path, source }
}

fn is_due(every: u64, made: u64) -> bool {
    every > 0 && made.is_multiple_of(every)
}

/// To a multiple of 1 / `parts`: a log needs no more.
fn round(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

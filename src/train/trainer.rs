//! From a prepared program to a trained one.

use super::{
    error::TrainError,
    run::{Event, Observer, Run, Summary},
    session::Session,
    step::Step,
    stop::Stop,
};

/// A run about to begin: what it trains and, where they are wanted, who draws, who may stop it and who hears of it. The
/// crate's [first page](crate) has an example.
pub struct Trainer<'a> {
    run: &'a Run,
    training: &'a mut dyn Step,
    pictures: Option<&'a mut dyn Step>,
    stop: Stop,
    observer: Option<&'a mut dyn Observer>,
}

impl<'a> Trainer<'a> {
    /// Trains `training`, whose weights are as they are to begin with.
    pub fn new(run: &'a Run, training: &'a mut dyn Step) -> Self {
        Self {
            run,
            training,
            pictures: None,
            stop: Stop::default(),
            observer: None,
        }
    }

    /// Draws the pictures by `program`: the forward pass alone, without what is random in training except for the masks,
    /// as [`compile_forward`](crate::compile::compile_forward) makes it. It keeps the outputs `decoder` and `mask`.
    /// Without one there are no pictures.
    pub fn pictures(mut self, program: &'a mut dyn Step) -> Self {
        self.pictures = Some(program);
        self
    }

    /// Ends the run soon after `stop` is requested.
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// Tells `observer` what happens, while it happens: also a closure that takes an [`Event`].
    pub fn observer(mut self, observer: &'a mut dyn Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Trains until the goal, or until someone asks to stop; then the state of the last optimizer step is saved.
    ///
    /// # Errors
    /// See [`TrainError`]. When images or the output fail on the way, the state of the last optimizer step is saved as
    /// well.
    pub fn train(self) -> Result<Summary, TrainError> {
        let Self {
            run,
            training,
            pictures,
            stop,
            observer,
        } = self;
        let mut nobody = |_: Event<'_>| {};
        let observer: &mut dyn Observer = match observer {
            Some(observer) => observer,
            None => &mut nobody,
        };
        let mut session = Session::begin(run, training, pictures, &stop, observer)?;
        match session.train() {
            Ok(()) => Ok(session.summary()),
            Err(error) => {
                session.save_what_is_sound(&error);
                Err(error)
            }
        }
    }
}

//! A declarative graph compiler for masked image modeling.
//!
//! A [`Recipe`] describes an experiment: a model, masks, images, an optimizer and a schedule. [`compile()`] looks its graphs
//! up in a [`Library`] and makes one fused training program of them, gradients and update included. A [`Backend`] readies
//! the program as a [`Step`], and a [`Trainer`] makes steps with it.
//!
//! ```
//! use mimc::{Cpu, Event, Library, Options, Output, Recipe, Run, Trainer, compile};
//!
//! let recipe = Recipe::from_text("tiny", "
//! model:
//!   graph: simmim
//!   encoder: { graph: vit.encoder, dim: 24, depth: 1, heads: 3, patch: 8 }
//!   masking: { graph: mask.random, unit: 16, ratio: 0.6 }
//!   head:    { graph: head.pixel_shuffle }
//!   loss:    { graph: loss.masked_l1 }
//! data: { images: synthetic, count: 16, size: 32 }
//! train: { batch: 16, epochs: 20, schedule: { base_lr: 0.3, warmup_epochs: 0 } }
//! ")?;
//! let library = Library::new(&[]);
//! let program = compile(&recipe, &library, &Options::default())?;
//! let mut step = program.prepare(&Cpu, recipe.train.seed)?;
//!
//! let folder = tempfile::tempdir()?;
//! let output = Output::new(folder.path().join("run"));
//! let run = Run { steps: Some(10), ..Run::from_recipe(&recipe, &library, output) };
//! let mut losses = Vec::new();
//! let mut listener = |event: Event<'_>| {
//!     if let Event::Step(record) = event {
//!         losses.push(record.loss);
//!     }
//! };
//! let summary = Trainer::new(&run, &mut *step).observer(&mut listener).train()?;
//!
//! assert_eq!(losses.len(), 10);
//! assert!(losses[9] < 0.9 * losses[0], "{losses:?}");
//! assert_eq!(summary.loss, losses.last().copied());
//! assert!(summary.checkpoint.is_some_and(|path| path.exists()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Who brings the images and the loop needs no `Trainer`: [`Step`] shows how.
//!
//! Everything that is random is a pure function of the recipe's seed, and every result has the same bits on any number of
//! threads. Kernels run on the threads of rayon's current pool. The library prints nothing and never ends the program; bad
//! input comes back as an error whose `Display` is for a person. What panics on a caller's mistake says so.
//!
//! The names at the root are all that training takes. The modules behind them are the compiler itself, for whoever adds an
//! operator, a pass or a backend.

#![warn(missing_docs, clippy::missing_errors_doc)]
#![cfg_attr(
    not(test),
    deny(
        clippy::dbg_macro,
        clippy::exit,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::todo,
        clippy::unimplemented,
        clippy::unwrap_used
    )
)]

pub mod anatomy;
pub mod backend;
mod canvas;
pub mod compare;
pub mod compile;
pub mod data;
pub mod diagnostic;
pub mod doctor;
pub mod elaborate;
pub mod export;
pub mod gradient;
pub mod inspect;
#[allow(
    missing_docs,
    reason = "operators and their fields are named for what they are"
)]
pub mod ir;
#[allow(missing_docs, reason = "the tree of a text is named as its grammar is")]
pub mod language;
pub mod listing;
pub mod machine;
pub mod masks;
pub mod optimizer;
pub mod pace;
pub mod passes;
#[allow(
    missing_docs,
    reason = "kernels and their fields are named for what they are"
)]
pub mod plan;
pub mod random;
pub mod recipe;
pub mod schema;
pub mod summary;
pub mod text;
pub mod train;
pub mod verify;

pub use backend::{Backend, Cpu};
pub use compile::{CompileError, Options, Program, compile};
pub use data::{DataError, Dataset, Loader};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use language::library::Library;
pub use recipe::Recipe;
pub use train::{
    error::TrainError,
    output::Output,
    run::{Event, Observer, Run, Summary},
    step::{Draw, Part, Step, StepError},
    stop::Stop,
    trainer::Trainer,
};

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! Arguments that several verbs take, and how they are read.

use super::{complete, failure::Failure, screen};
use clap::{Args, builder::PossibleValuesParser, value_parser};
use clap_complete::engine::ArgValueCompleter;
use mimc::{
    backend::{self, AUTO, BACKENDS, Backend},
    recipe::{Precision, Recipe},
    text::units::parse_bytes,
};
use std::sync::Once;

/// `--backend B`
#[derive(Args)]
pub struct BackendArgument {
    /// What runs the program [default: auto, a GPU where one can be used and else the CPU]
    #[arg(long, value_name = "BACKEND", value_parser = names())]
    backend: Option<String>,
}

/// `--threads N`
#[derive(Args)]
pub struct Threads {
    /// Threads that compute, whatever their number to the same bits; 0 for RAYON_NUM_THREADS, or else one per core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u16).range(..=1024))]
    threads: u16,
}

/// `--set PATH=VALUE`, as often as wanted
#[derive(Args)]
pub struct Sets {
    /// Write a value into the recipe: train.batch=64, model.masking.ratio=0.5
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = assignment, add = ArgValueCompleter::new(complete::assignments))]
    pub sets: Vec<String>,
}

impl Threads {
    /// Starts them. Once in a process, and before a kernel runs.
    pub fn start(&self) -> Result<(), Failure> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads.into());
        pool.build_global().map_err(|error| {
            let message = format!("cannot start the threads that compute: {error}");
            Failure::new("threads", message, Some("give fewer --threads".into()))
        })
    }
}

impl BackendArgument {
    /// The name that was given.
    pub fn name(&self) -> Option<&str> {
        self.backend.as_deref()
    }

    /// The backend that was given, or the default.
    pub fn chosen(&self) -> &'static dyn Backend {
        let name = self.name().unwrap_or(AUTO);
        let backend = named(name);
        tell_choice(name, backend);
        backend
    }
}

/// The backend of a name that has been checked against the list.
pub fn named(name: &str) -> &'static dyn Backend {
    if name != AUTO {
        return backend::named(name).expect("the name comes from the list of backends");
    }
    backend::auto().backend
}

/// Tells what `auto` came to, once.
pub fn tell_choice(name: &str, backend: &dyn Backend) {
    static TOLD: Once = Once::new();
    let choice = backend::auto();
    if name == AUTO && backend.name() == choice.backend.name() {
        TOLD.call_once(|| screen::note(format_args!("backend {}: {}", backend.name(), choice.why)));
    }
}

/// Settles the precision that a recipe leaves to the backend. What is not said is f32.
pub fn settle(recipe: &mut Recipe, backend: &dyn Backend) {
    let (precision, name) = (backend.precision(), backend.name());
    if recipe.settle(precision, name) && precision != Precision::F32 {
        screen::note(format_args!(
            "precision {precision}: that is what `train.precision: auto` is on {name}"
        ));
    }
}

/// Tells what who trains in this precision on this backend ought to know.
pub fn tell_notice(backend: &dyn Backend, precision: Precision) {
    if let Some(notice) = backend.notice(precision) {
        screen::note(format_args!("backend {}: {notice}", backend.name()));
    }
}

/// Sizes in bytes: `4GiB`.
pub fn size(text: &str) -> Result<u64, String> {
    parse_bytes(text).ok_or_else(|| "wanted a size such as 4GiB or 512MiB".to_owned())
}

fn names() -> PossibleValuesParser {
    let names = BACKENDS.iter().map(|backend| backend.name());
    [AUTO].into_iter().chain(names).collect::<Vec<_>>().into()
}

fn assignment(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((path, _)) if !path.trim().is_empty() => Ok(text.to_owned()),
        _ => Err("wanted PATH=VALUE, for example train.batch=64".to_owned()),
    }
}

//! Arguments that several verbs take, and how they are read.

use super::{complete, failure::Failure};
use clap::{Args, builder::PossibleValuesParser, value_parser};
use clap_complete::engine::ArgValueCompleter;
use mimc::{
    backend::{self, BACKENDS, Backend},
    text::units::parse_bytes,
};

/// `--backend B`
#[derive(Args)]
pub struct BackendArgument {
    /// What runs the program
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
        named(self.name().unwrap_or(default_backend()))
    }
}

/// The backend of a name that has been checked against the list.
pub fn named(name: &str) -> &'static dyn Backend {
    backend::named(name).expect("the name comes from the list of backends")
}

pub fn default_backend() -> &'static str {
    BACKENDS[0].name()
}

/// Sizes in bytes: `4GiB`.
pub fn size(text: &str) -> Result<u64, String> {
    parse_bytes(text).ok_or_else(|| "wanted a size such as 4GiB or 512MiB".to_owned())
}

fn names() -> PossibleValuesParser {
    BACKENDS
        .iter()
        .map(|backend| backend.name())
        .collect::<Vec<_>>()
        .into()
}

fn assignment(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((path, _)) if !path.trim().is_empty() => Ok(text.to_owned()),
        _ => Err("wanted PATH=VALUE, for example train.batch=64".to_owned()),
    }
}

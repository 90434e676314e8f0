//! `mimc doctor`: what this machine has for training.

use super::{Outcome, arguments::Threads, screen};
use clap::Args;
use mimc::doctor::examine;
use std::process::ExitCode;

/// Tell what this machine has for training: processor, GPUs, CUDA's libraries
///
/// Tells which libraries were found where, or what is in the way of using a GPU, and what each backend would do here. Takes
/// no memory of a GPU and compiles nothing. Exits with 0 whatever is found: there is always the CPU.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    threads: Threads,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Outcome {
    arguments.threads.start()?;
    let report = examine();
    match arguments.json {
        true => screen::print_json(&report)?,
        false => screen::print(&report)?,
    }
    Ok(ExitCode::SUCCESS)
}

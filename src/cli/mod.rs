//! The verbs: one file each. They read arguments, call the library and tell what came of it.

mod arguments;
mod bench;
mod board;
mod build;
mod chronicle;
mod clock;
mod compile;
mod complete;
mod data;
mod diff;
mod doctor;
mod explain;
mod failure;
mod inspect;
mod job;
mod manifest;
mod masks;
mod memory;
mod new;
mod pace;
mod progress;
mod recipes;
mod reconstruct;
mod run;
mod schema;
mod screen;
mod shell;
mod signals;
mod sweep;
#[cfg(test)]
mod tests;
mod verify;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::CompleteEnv;
use failure::Failure;
use mimc::text::columns::{WIDTH, broken};
use std::process::ExitCode;

/// A declarative graph compiler for masked image modeling: from a recipe to a pre-trained encoder.
#[derive(Parser)]
#[command(version, propagate_version = true, after_help = EXAMPLES, term_width = WIDTH)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    manner: screen::Manner,
}

#[derive(Subcommand)]
enum Verb {
    Compile(compile::Arguments),
    Run(run::Arguments),
    Data(data::Arguments),
    Verify(verify::Arguments),
    Bench(bench::Arguments),
    Masks(masks::Arguments),
    Inspect(inspect::Arguments),
    Reconstruct(reconstruct::Arguments),
    Diff(diff::Arguments),
    Explain(explain::Arguments),
    Doctor(doctor::Arguments),
    Recipes(recipes::Arguments),
    New(new::Arguments),
    Schema(schema::Arguments),
    Completions(shell::Completions),
    Man(shell::Manual),
}

const EXAMPLES: &str = "\
Examples:
  mimc run                  train the built-in `quickstart`, about a minute
  mimc compile swin_b       see what a recipe amounts to, without any data
  mimc data photos          see what a folder of images amounts to
  mimc run swin_b --data photos --set train.batch=64
  mimc doctor               see whether a GPU can be used, or what is in the way
  mimc run --resume         go on where the last run stopped
  mimc verify mine.yaml --reference numbers.safetensors

A RECIPE is a path, a name in ./recipes, or a built-in name.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by a signal with its
state saved.";

/// What a verb comes to, unless it fails.
type Outcome = Result<ExitCode, Failure>;

pub fn main() -> ExitCode {
    // Answers a shell that asks what can be typed next, and ends there.
    CompleteEnv::with_factory(Cli::command)
        .var(complete::VARIABLE)
        .complete();
    let Cli { verb, manner } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    manner.begin();
    let outcome = match verb {
        Verb::Compile(arguments) => compile::run(arguments),
        Verb::Run(arguments) => run::run(arguments),
        Verb::Data(arguments) => data::run(&arguments),
        Verb::Verify(arguments) => verify::run(&arguments),
        Verb::Bench(arguments) => bench::run(&arguments),
        Verb::Masks(arguments) => masks::run(&arguments),
        Verb::Inspect(arguments) => inspect::run(&arguments),
        Verb::Reconstruct(arguments) => reconstruct::run(&arguments),
        Verb::Diff(arguments) => diff::run(&arguments),
        Verb::Explain(arguments) => explain::run(&arguments),
        Verb::Doctor(arguments) => doctor::run(&arguments),
        Verb::Recipes(arguments) => recipes::run(&arguments),
        Verb::New(arguments) => new::run(&arguments),
        Verb::Schema(arguments) => schema::run(&arguments),
        Verb::Completions(arguments) => shell::completions(&arguments),
        Verb::Man(arguments) => shell::manual(&arguments),
    };
    outcome.unwrap_or_else(|failure| failure.report())
}

/// Tells what is wrong with the arguments, or the help that was asked for, and returns the exit code. Lists of what can be said
/// instead come as one line, however long.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    let wide = |line: &str| line.chars().count() > WIDTH;
    if error.use_stderr() && text.lines().any(wide) {
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            match wide(line) {
                true => broken(line, WIDTH.saturating_sub(indent))
                    .iter()
                    .for_each(|part| screen::warn(format_args!("{:indent$}{part}", ""))),
                false => screen::warn(line),
            }
        }
    } else {
        // Should nobody read it, the exit code still tells.
        let _ = error.print();
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

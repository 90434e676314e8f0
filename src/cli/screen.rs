//! What is told and where: results on standard output, which may end before we do, all else on standard error.

use super::failure::Failure;
use clap::Args;
use serde::Serialize;
use std::{
    env,
    fmt::Display,
    io::{self, ErrorKind, IsTerminal, Write},
    sync::OnceLock,
};

/// How much is told, and how. Taken by every verb.
#[derive(Args, Debug, Clone, Copy, Default)]
pub struct Manner {
    /// Tell results, warnings and errors, and nothing on the way
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Tell as into a file, also on a terminal: whole lines, no bars, no colours
    #[arg(long, global = true)]
    plain: bool,
}

static MANNER: OnceLock<Manner> = OnceLock::new();

impl Manner {
    /// Holds from now on. Once in a process.
    pub fn begin(self) {
        MANNER.get_or_init(|| self);
    }
}

fn manner() -> Manner {
    MANNER.get().copied().unwrap_or_default()
}

/// Whether what happens on the way is not told.
pub fn quiet() -> bool {
    manner().quiet
}

/// Whether standard error can show what moves: a terminal of which no plain lines are wanted.
pub fn moves() -> bool {
    let dumb = env::var_os("TERM").is_some_and(|kind| kind == "dumb");
    io::stderr().is_terminal() && !dumb && !manner().plain
}

/// Whether standard error shows colours: as [`moves`], and the user has not asked for none (<https://no-color.org>).
pub fn colour() -> bool {
    moves() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints a text as it is. A reader that has gone (`mimc … | head`) ends the program quietly.
pub fn print(text: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::Unread),
        Err(error) => Err(Failure::new(
            "output",
            format!("cannot print: {error}"),
            None,
        )),
        Ok(()) => Ok(()),
    }
}

/// Prints a document over several lines.
pub fn print_json(document: &impl Serialize) -> Result<(), Failure> {
    match serde_json::to_string_pretty(document) {
        Ok(text) => print(format_args!("{text}\n")),
        Err(error) => Err(Failure::new("output", error, None)),
    }
}

/// A note that is no result: getting lost it does no harm, and who wants quiet does without.
pub fn note(text: impl Display) {
    if !quiet() {
        warn(text);
    }
}

/// What should be known, also by who wants quiet.
pub fn warn(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

//! Standard output, which may end before we do.

use super::failure::Failure;
use serde::Serialize;
use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
};

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

/// A note that is no result: it goes to standard error, and getting lost it does no harm.
pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

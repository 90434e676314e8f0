//! Ctrl-C, SIGTERM and SIGHUP: the first asks the run to stop, the second ends the program.

use mimc::train::stop::Stop;
use std::{
    io::{self, Write},
    process, thread,
    time::Duration,
};

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Lets the first signal ask `stop` to stop, and a second one end the program at once with exit code 130. If the program
/// still runs `patience` after the first and is not saving, it ends with the last checkpoint, with the same exit code:
/// a step that hangs cannot be saved, for the weights are its own until it ends.
///
/// # Errors
/// The system refuses, or a handler is already installed: one per process.
pub fn install(stop: Stop, patience: Duration) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(move || {
        if stop.request() {
            process::exit(INTERRUPTED);
        }
        let stop = stop.clone();
        let watch = move || {
            thread::sleep(patience);
            leave(&stop, patience)
        };
        // Without a thread to watch, the second signal is what is left.
        let _ = thread::Builder::new().name("patience".into()).spawn(watch);
    })
}

/// Ends the program with what is on the disk.
fn leave(stop: &Stop, patience: Duration) -> ! {
    let _saved = stop.saving();
    let left = match stop.checkpoint() {
        Some(path) => format!("--resume goes on from {}", path.display()),
        None => "there is no checkpoint yet".to_owned(),
    };
    let seconds = patience.as_secs_f64();
    // Nobody may be listening any more.
    let _ = writeln!(
        io::stderr(),
        "the step did not end within {seconds} s and is given up: {left}"
    );
    process::exit(INTERRUPTED)
}

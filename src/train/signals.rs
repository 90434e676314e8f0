//! Ctrl-C, SIGTERM and SIGHUP: the first asks the run to stop, the second ends the program.

use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// A wish to stop, shared between whoever has it and the loop that grants it between two micro-batches.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks to stop. Returns whether someone had asked before.
    pub fn request(&self) -> bool {
        self.0.swap(true, Ordering::Relaxed)
    }

    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Lets the first signal ask `stop` to stop, and a second one end the program at once with exit code 130.
///
/// # Errors
/// The system refuses, or a handler is already installed: one per process.
pub fn install(stop: Stop) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(move || {
        if stop.request() {
            process::exit(INTERRUPTED);
        }
    })
}

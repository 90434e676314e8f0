//! Ctrl-C, SIGTERM and SIGHUP: the first asks the run to stop, the second ends the program.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;
/// How long a step may take to end by itself.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A wish to stop, shared between whoever has it and the loop that grants it.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    requested: AtomicBool,
    saving: Mutex<()>,
    /// What is left if the program ends now.
    checkpoint: Mutex<Option<PathBuf>>,
}

impl Stop {
    /// Asks to stop. Returns whether someone had asked before.
    pub fn request(&self) -> bool {
        self.0.requested.swap(true, Ordering::Relaxed)
    }

    pub fn requested(&self) -> bool {
        self.0.requested.load(Ordering::Relaxed)
    }

    /// While this is held, a program that has run out of patience still waits.
    pub fn saving(&self) -> MutexGuard<'_, ()> {
        self.0.saving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says which checkpoint is the last.
    pub fn will_leave(&self, checkpoint: Option<&Path>) {
        let mut last = self
            .0
            .checkpoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *last = checkpoint.map(Path::to_owned);
    }

    /// Ends the program with what is on the disk.
    fn leave(&self, patience: Duration) -> ! {
        let _saved = self.saving();
        let last = self
            .0
            .checkpoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let left = match &*last {
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
}

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
            stop.leave(patience)
        };
        // Without a thread to watch, the second signal is what is left.
        let _ = thread::Builder::new().name("patience".into()).spawn(watch);
    })
}

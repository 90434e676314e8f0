//! How a run is asked to stop, and what whoever ends the program instead has to know.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// A wish to stop, shared between whoever has it and the loop that grants it: its clones are one.
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

    /// Whether someone has asked.
    pub fn requested(&self) -> bool {
        self.0.requested.load(Ordering::Relaxed)
    }

    /// Waits until no checkpoint is being written, and keeps one from being begun as long as the guard is held: the loop
    /// holds it while it saves, and so should whoever ends the program before the loop does.
    pub fn saving(&self) -> MutexGuard<'_, ()> {
        self.0.saving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The checkpoint that a run can go on from if the program ends now, if there is one.
    pub fn checkpoint(&self) -> Option<PathBuf> {
        self.last().clone()
    }

    /// Says which checkpoint is the last.
    pub fn will_leave(&self, checkpoint: Option<&Path>) {
        *self.last() = checkpoint.map(Path::to_owned);
    }

    fn last(&self) -> MutexGuard<'_, Option<PathBuf>> {
        let last = self.0.checkpoint.lock();
        last.unwrap_or_else(PoisonError::into_inner)
    }
}

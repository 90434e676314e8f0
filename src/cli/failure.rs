//! Failures: every one is told as a diagnostic on standard error, and becomes an exit code.

use super::screen::colour;
use mimc::{
    compile::CompileError,
    data::DataError,
    diagnostic::{Diagnostic, Diagnostics},
    train::{checkpoint::CheckpointError, claim::ClaimError, error::TrainError, step::StepError},
    verify::{ReferenceError, VerifyError},
};
use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

/// Why a verb could not do what was asked.
pub enum Failure {
    Told(Diagnostics),
    /// Whoever read our output has gone: nobody is left to tell, and nothing is wrong.
    Unread,
}

const FAILED: u8 = 1;

impl Failure {
    /// A failure with a sentence, and another on what to do about it.
    pub fn new(code: &'static str, message: impl ToString, help: Option<String>) -> Self {
        let error = Diagnostic::error(code, message.to_string());
        match help {
            Some(help) => error.help(help),
            None => error,
        }
        .into()
    }

    /// A file or folder of ours could not be written or read.
    pub fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        let message = format!("cannot {doing} {}: {error}", path.display());
        Self::new("file", message, None)
    }

    /// Whether it is about one of these codes alone.
    pub fn has_code(&self, codes: &[&str]) -> bool {
        match self {
            Self::Told(Diagnostics(told)) => told.iter().all(|one| codes.contains(&one.code)),
            Self::Unread => false,
        }
    }

    /// The sentence of the first mistake.
    pub fn first_line(&self) -> String {
        match self {
            Self::Told(Diagnostics(told)) => told
                .first()
                .map_or(String::new(), |one| one.message.clone()),
            Self::Unread => String::new(),
        }
    }

    /// Tells it, and returns the exit code.
    pub fn report(self) -> ExitCode {
        let Self::Told(diagnostics) = self else {
            return ExitCode::SUCCESS;
        };
        // Should standard error be gone as well, the exit code still tells.
        let _ = io::stderr().write_all(diagnostics.render(colour()).as_bytes());
        FAILED.into()
    }
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Told(diagnostics)
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Told(diagnostic.into())
    }
}

impl From<CompileError> for Failure {
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Recipe(diagnostics) => diagnostics.into(),
            other => Self::new("compile", other, None),
        }
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        let help = error.help();
        Self::new("backend", error, help)
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        let help = error.help();
        Self::new("data", error, Some(help))
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        let help = error.help();
        let code = match &error {
            TrainError::Data(_) => "data",
            TrainError::Schedule(_) => "schedule",
            TrainError::Checkpoint(_) | TrainError::AnotherRun { .. } => "checkpoint",
            TrainError::Claim(_) => "folder",
            TrainError::Step(_) => "backend",
            TrainError::Output { .. } => "file",
            TrainError::MicroBatch { .. } => "compile",
            TrainError::NonFinite { .. } | TrainError::NonFiniteState { .. } => "non-finite",
        };
        Self::new(code, error, help)
    }
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        TrainError::from(error).into()
    }
}

impl From<ClaimError> for Failure {
    fn from(error: ClaimError) -> Self {
        TrainError::from(error).into()
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        let help = error.help();
        match error {
            VerifyError::Compile(error) => error.into(),
            other => Self::new("reference", other, help),
        }
    }
}

impl From<ReferenceError> for Failure {
    fn from(error: ReferenceError) -> Self {
        VerifyError::from(error).into()
    }
}

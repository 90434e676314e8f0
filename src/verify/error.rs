//! Why a comparison cannot be made.

use super::ReferenceError;
use crate::{
    compile::CompileError,
    train::{mismatch::Mismatch, step::StepError},
};

/// Why a comparison cannot be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "a variant's message says what its fields hold")]
pub enum VerifyError {
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    Compile(#[from] CompileError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error("the tensors `{prefix}…` of the file are not those of the model: {mismatch}")]
    Names {
        prefix: &'static str,
        mismatch: Mismatch,
    },
    #[error("the model draws its own masks, so the file's cannot be fed")]
    NoMask {
        /// The file's, in pixels.
        unit: Option<usize>,
    },
    #[error("the model draws random numbers for `{input}`, which no file can hold")]
    Random { input: String },
    #[error("`act/{module}` of the file is no instance of the model")]
    NoModule {
        module: String,
        near: Option<String>,
    },
    #[error("`{key}` of the file is {theirs:?}, the model's is {ours:?}")]
    Shape {
        key: String,
        theirs: Vec<usize>,
        ours: Vec<usize>,
    },
    #[error("no output of the model is {dims:?}, as `output/reconstruction` of the file is")]
    NoImages { dims: Vec<usize> },
    #[error("the file holds weights and images, but nothing to compare")]
    NothingToCompare,
}

impl VerifyError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::Compile(_) | Self::Step(_) => return None,
            Self::Reference(ReferenceError::Missing { .. } | ReferenceError::Shape { .. }) => {
                "docs/fidelity.md lists what such a file holds".into()
            }
            Self::Reference(_) => return None,
            Self::Names { .. } => {
                "the `model` of the recipe decides names and shapes: compare its parameters".into()
            }
            Self::NoMask { unit } => format!(
                "in the recipe: masking: {{ graph: mask.given, unit: {} }}",
                unit.map_or("…".into(), |unit| unit.to_string())
            ),
            Self::Random { .. } => {
                "set the rates of dropout and stochastic depth to 0, in the recipe and where the file was made"
                    .into()
            }
            Self::NoModule { near, .. } => match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "modules are named as weights are, without the weight".into(),
            },
            Self::Shape { .. } => "compare the parameters of the `model`, and its units".into(),
            Self::NoImages { .. } => "the model must return its prediction".into(),
            Self::NothingToCompare => "add output/loss, grad/…, train/losses or final/…".into(),
        };
        Some(help)
    }
}

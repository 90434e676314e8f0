//! Kernels written down, in each language there is: the plan's, and CUDA where a GPU was named.

use super::words::Words;
use crate::{
    anatomy::Anatomy,
    backend::cuda::{
        self,
        program::{Launch, Program, Scheduled, Target},
    },
};
use serde::Serialize;

/// One kernel in one language; the numbers are places of texts.
#[derive(Serialize)]
pub struct Source {
    /// `plan`, `CUDA for sm_90`
    language: usize,
    /// What is launched, over how many blocks. Where it is told the text is long, and opens by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    launch: Option<usize>,
    /// `None` where a library computes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<usize>,
}

impl Source {
    /// A line of the plan.
    pub fn of_plan(text: &str, words: &mut Words) -> Self {
        Source {
            language: words.at("plan"),
            launch: None,
            text: Some(words.at(text)),
        }
    }
}

/// The plan's kernels as a GPU gets them.
pub struct Cuda {
    language: String,
    program: Program,
}

impl Cuda {
    pub fn new(anatomy: &Anatomy, target: Target) -> Self {
        Cuda {
            language: format!("CUDA for sm_{}", target.0),
            program: cuda::emit(&anatomy.plan, target),
        }
    }

    /// Every launch that a kernel of the plan comes to, by its place.
    pub fn of(&self, kernel: usize, words: &mut Words) -> Vec<Source> {
        let launches = self.program.launches_of(kernel);
        launches.map(|of| self.source(of, words)).collect()
    }

    fn source(&self, scheduled: &Scheduled, words: &mut Words) -> Source {
        let text = match &scheduled.launch {
            Launch::Kernel { kernel, .. } => Some(&self.program.kernels[*kernel].source),
            Launch::Product(_) => None,
        };
        Source {
            language: words.at(&self.language),
            launch: Some(words.at(&cuda::launch(&self.program, &scheduled.launch))),
            text: text.map(|text| words.at(text)),
        }
    }
}

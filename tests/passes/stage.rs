//! What a case can be of: a pass of the lists, or the gradient.

use mimc::{
    gradient::differentiate,
    ir::Graph,
    passes::{self, BEFORE_GRADIENT, PASSES, PRECISION, Pass, RECOMPUTE},
};
use std::path::{Path, PathBuf};

/// The folder of all cases, from the root of the package.
pub const CASES: &str = "tests/passes/cases";

#[derive(Debug, Clone, Copy)]
pub enum Stage {
    Pass(Pass),
    Gradient,
}

impl Stage {
    /// Every stage once, in the order of the pipeline.
    pub fn all() -> Vec<Stage> {
        let mut all: Vec<Stage> = BEFORE_GRADIENT.iter().copied().map(Stage::Pass).collect();
        all.push(Stage::Gradient);
        for &pass in PASSES {
            if !all.iter().any(|stage| stage.name() == pass.name) {
                all.push(Stage::Pass(pass));
            }
        }
        all.extend([PRECISION, RECOMPUTE].map(Stage::Pass));
        all
    }

    pub fn named(name: &str) -> Result<Stage, String> {
        let all = Stage::all();
        let names: Vec<_> = all.iter().map(Stage::name).collect();
        let known = all.iter().find(|stage| stage.name() == name).copied();
        known.ok_or_else(|| format!("no pass is called `{name}`; there are {}", names.join(", ")))
    }

    pub fn name(&self) -> &'static str {
        match self {
            Stage::Pass(pass) => pass.name,
            Stage::Gradient => "gradient",
        }
    }

    pub fn folder(&self) -> PathBuf {
        Path::new(CASES).join(self.name().replace(' ', "_"))
    }

    /// Panics if the graph breaks a rule behind the pass.
    pub fn run(&self, graph: &mut Graph) {
        match self {
            Stage::Pass(pass) => {
                let done = passes::run(&[*pass], graph);
                done.unwrap_or_else(|broken| panic!("{broken}"));
            }
            Stage::Gradient => {
                let done = differentiate(graph, 1);
                done.unwrap_or_else(|error| panic!("{error}"));
            }
        }
    }

    /// How far a value may be off, relative to the largest of its tensor: these neither reorder sums nor spell anything anew.
    pub fn tolerance(&self) -> f32 {
        match self.name() {
            // Eight significant bits, some of them lost in sums.
            "precision" => 2e-2,
            "gradient" | "fold constants" | "merge duplicates" | "remove dead nodes" => 0.0,
            _ => 1e-5,
        }
    }
}

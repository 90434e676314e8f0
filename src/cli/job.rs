//! What is compiled and how, as a command line says it.

use super::{
    arguments::{named, settle, tell_choice},
    failure::Failure,
    screen,
};
use mimc::{
    backend::{
        Backend, Cuda,
        cuda::{Target, device, library::Libraries},
    },
    compile::{Options, Program, compile, load},
    diagnostic::Diagnostics,
    language::library::Library,
    recipe::Recipe,
};
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

/// Everything that decides a program, besides the texts of recipes and graphs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// A path or a name.
    pub recipe: String,
    pub sets: Vec<String>,
    pub backend: String,
    /// Bytes.
    pub memory: Option<u64>,
    pub micro_batch: Option<usize>,
}

/// What came of it.
pub struct Compiled {
    pub backend: &'static dyn Backend,
    pub recipe: Recipe,
    pub library: Library,
    pub program: Program,
    pub seconds: f64,
}

/// The graphs under `./graphs`, before those built in.
pub fn library() -> Library {
    Library::new(&[PathBuf::from("graphs")])
}

impl Job {
    pub fn backend(&self) -> &'static dyn Backend {
        named(&self.backend)
    }

    /// The GPU on which the backend runs kernels of ours, if it does.
    pub fn target(&self) -> Option<Target> {
        let ours = self.backend().name() == Cuda.name();
        let device = ours.then(|| device::usable(Libraries::here()).ok())?;
        Some(Target(device?.capability))
    }

    pub fn load(&self) -> Result<Recipe, Failure> {
        Ok(load(&self.recipe, &self.sets, &library())?)
    }

    /// As [`Job::compile_for`], for the job's own backend.
    pub fn compile(&self, recipe: Recipe, whole: bool) -> Result<Compiled, Failure> {
        self.compile_for(self.backend(), recipe, whole)
    }

    /// Compiles a recipe that [`Job::load`] returned.
    ///
    /// `whole` also lists the program and tells what its kernels are made of, as a build folder has it.
    pub fn compile_for(
        &self,
        backend: &'static dyn Backend,
        mut recipe: Recipe,
        whole: bool,
    ) -> Result<Compiled, Failure> {
        let started = Instant::now();
        settle(&mut recipe, backend);
        let library = library();
        let options = Options {
            micro_batch: self.micro_batch,
            memory: self.memory,
            listings: whole,
            anatomy: whole,
            ..Options::default()
        };
        let program = compile(&recipe, &library, &options)?;
        // Of a recipe with a mistake, the mistake is all there is to tell.
        tell_choice(&self.backend, backend);
        if !program.warnings.is_empty() {
            screen::warn(Diagnostics(program.warnings.clone()).render(screen::colour()));
        }
        if self.micro_batch.is_some() || self.memory.is_some() {
            // The resolved recipe then stands for itself.
            recipe.train.micro_batch = Some(program.micro_batch);
            let blocks = program.recomputed.as_ref().map(|of| of.blocks);
            recipe.train.recompute = blocks.or(recipe.train.recompute);
        }
        Ok(Compiled {
            backend,
            recipe,
            library,
            program,
            seconds: started.elapsed().as_secs_f64(),
        })
    }
}

/// Where a recipe came from, for a person: `recipes/mine.yaml`, `the built-in quickstart`.
pub fn origin(recipe: &Recipe) -> String {
    let path = &recipe.model.span.file.path;
    match Path::new(path).is_file() {
        true => path.clone(),
        false => format!("the built-in {}", recipe.name),
    }
}

//! The pipeline: from a recipe to a program a backend can run.

mod cost;
mod draft;
mod fitting;

use crate::{
    anatomy::Anatomy,
    backend::Backend,
    diagnostic::{Diagnostic, Diagnostics, Span},
    elaborate::{self, Elaborated, Feed, Instance, Mode, Setting, Weight},
    gradient::GradientError,
    ir::Graph,
    language::library::Library,
    masks,
    pace::Pace,
    passes::{self, BEFORE_GRADIENT, PASSES},
    plan::{self, work::Asked},
    recipe::Recipe,
    train::step::{Part, Step, StepError},
};
pub use cost::Cost;
use draft::Draft;
use fitting::Fitting;
pub use fitting::Recomputation;

/// Bytes that a plan may take where nobody says how many: arena, weights and their state.
pub const DEFAULT_MEMORY: u64 = 4 << 30;

/// Channels of an image.
pub const CHANNELS: usize = 3;

/// What the recipe leaves open.
#[derive(Default)]
pub struct Options<'a> {
    /// Images per run of the program; by default the largest divisor of the batch whose plan fits the memory.
    pub micro_batch: Option<usize>,
    /// Bytes the plan may take, [`DEFAULT_MEMORY`] if not given and the micro-batch is not either. Where it takes more, blocks are
    /// computed again, unless the recipe forbids it.
    pub memory: Option<u64>,
    /// Instance paths whose first output is kept as the output `act.<path>`.
    pub keep: Option<&'a dyn Fn(&str) -> bool>,
    /// Whether to list the graph after every stage.
    pub listings: bool,
    /// Whether to tell what each kernel is made of.
    pub anatomy: bool,
}

/// A training program: forward, backward and update as one fused graph.
pub struct Program {
    /// What a backend runs.
    pub graph: Graph,
    /// In the order of the graph files.
    pub weights: Vec<Weight>,
    /// Every use of a graph file, outer before inner.
    pub instances: Vec<Instance>,
    /// What has to be fed besides images.
    pub feeds: Vec<Feed>,
    /// What is legal and doubtful, in the recipe and in its model.
    pub warnings: Vec<Diagnostic>,
    /// Images per run.
    pub micro_batch: usize,
    /// Runs per optimizer step.
    pub accumulations: usize,
    /// What it takes to run.
    pub cost: Cost,
    /// What each kernel of a micro-batch asks for.
    pub accumulate: Vec<Asked>,
    /// What each kernel of an update asks for.
    pub apply: Vec<Asked>,
    /// What it takes to compute blocks again; `None` where none is.
    pub recomputed: Option<Recomputation>,
    /// If [`Options::listings`] asked for them.
    pub listings: Option<Listings>,
    /// If [`Options::anatomy`] asked for it.
    pub anatomy: Option<Anatomy>,
}

/// The graph as text: after elaboration, differentiation and fusion, and the plan. Canonical.
pub struct Listings {
    /// Behind elaboration.
    pub graph: String,
    /// With the gradient of every weight.
    pub gradient: String,
    /// The whole step behind fusion.
    pub fused: String,
    /// Kernels and buffers.
    pub plan: String,
}

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Mistakes in the recipe or in its graphs.
    #[error(transparent)]
    Recipe(#[from] Diagnostics),
    /// The model cannot be differentiated.
    #[error(transparent)]
    Gradient(#[from] GradientError),
    /// A pass broke the graph: a fault of ours, not of the recipe.
    #[error(transparent)]
    Pass(#[from] passes::Broken),
    /// Images per run that the batch does not split into.
    #[error(
        "a micro-batch of {got} does not divide the batch of {batch}; the nearest that does is {nearest}"
    )]
    MicroBatch {
        /// Images per run that were asked for.
        got: usize,
        /// Images per optimizer step.
        batch: usize,
        /// The nearest number that divides the batch.
        nearest: usize,
    },
}

/// Loads a recipe as [`Recipe::load`] does, its model checked against the graph files.
///
/// # Errors
/// Every mistake that shows before the model is elaborated, all together.
pub fn load(name_or_path: &str, sets: &[String], library: &Library) -> Result<Recipe, Diagnostics> {
    Recipe::load_with(name_or_path, sets, |model| {
        elaborate::check_written(library, model)
    })
}

/// Compiles a recipe for training. Takes no images and none of their memory.
///
/// ```
/// use mimc::{Library, Options, Recipe, compile};
///
/// let recipe = Recipe::load("quickstart", &["train.batch=8".into()])?;
/// let options = Options { micro_batch: Some(4), listings: true, ..Options::default() };
/// let program = compile(&recipe, &Library::new(&[]), &options)?;
/// assert_eq!((program.micro_batch, program.accumulations), (4, 2));
/// assert!(program.cost.memory() < 1 << 30);
/// assert!(program.listings.is_some_and(|listings| listings.graph.contains("encoder.layers.0.")));
/// # Ok::<(), mimc::CompileError>(())
/// ```
///
/// # Errors
/// Every mistake in the recipe or its graphs, and a micro-batch that does not divide the batch.
pub fn compile(
    recipe: &Recipe,
    library: &Library,
    options: &Options,
) -> Result<Program, CompileError> {
    recipe.check()?;
    let fitting = Fitting {
        recipe,
        library,
        options,
    };
    let draft = match options.micro_batch.or(recipe.train.micro_batch) {
        Some(micro_batch) => {
            let batch = recipe.train.batch;
            if micro_batch == 0 || !batch.is_multiple_of(micro_batch) {
                let nearest = nearest_divisor(batch, micro_batch);
                return Err(CompileError::MicroBatch {
                    got: micro_batch,
                    batch,
                    nearest,
                });
            }
            fitting.of(micro_batch)?
        }
        None => fitting.largest()?,
    };
    let mut program = draft.finish();
    let of_mask = Vec::from_iter(masks::doubt(recipe, library)?);
    let warnings = [recipe.warnings(), of_mask, program.warnings].concat();
    program.warnings = Diagnostics(warnings).in_order().0;
    Ok(program)
}

/// Compiles a recipe's model to be looked at: no gradient, nothing dropped, `batch` images per run, at least 1.
///
/// # Errors
/// As [`compile`].
pub fn compile_forward(
    recipe: &Recipe,
    library: &Library,
    batch: usize,
) -> Result<Graph, CompileError> {
    recipe.check()?;
    if batch == 0 {
        return Err(CompileError::MicroBatch {
            got: 0,
            batch: recipe.train.batch,
            nearest: 1,
        });
    }
    let Elaborated { mut graph, .. } =
        elaborated(recipe, library, batch, Mode::Evaluate, &|_| false)?;
    passes::run(BEFORE_GRADIENT, &mut graph)?;
    passes::run(PASSES, &mut graph)?;
    Ok(graph)
}

/// Elaborates a recipe's model on one image, to be drawn: not differentiated, not fused.
///
/// # Errors
/// As [`compile`].
pub fn compile_model(recipe: &Recipe, library: &Library) -> Result<Graph, CompileError> {
    recipe.check()?;
    Ok(elaborated(recipe, library, 1, Mode::Train, &|_| false)?.graph)
}

/// Bytes that the plan of a graph takes: arena, weights and their state.
pub fn memory(graph: &Graph) -> u64 {
    Cost::of(&plan::lower(graph), 0).memory()
}

impl Program {
    /// Refuses a program that wants more than a training run feeds.
    ///
    /// # Errors
    /// Each input but `image`, where the graph files ask for it.
    pub fn check_fed(&self) -> Result<(), Diagnostics> {
        let unfed = self.feeds.iter().map(|feed| {
            let name = &feed.name;
            let message =
                format!("a run feeds `image` alone, and the model wants `{name}` as well");
            Diagnostic::error("unfed-input", message)
                .at(&feed.span)
                .within(feed.instance.as_str())
                .help(format!(
                    "take a graph that makes `{name}` itself; `mimc verify` feeds it from a file"
                ))
        });
        Diagnostics::unless(unfed.collect(), ())
    }

    /// Seconds that computing blocks again adds to an optimizer step at this pace.
    pub fn seconds_recomputing(&self, pace: &Pace) -> f64 {
        let more = |of: &Recomputation| pace.total(&self.accumulate) - pace.total(&of.accumulate);
        self.accumulations as f64 * self.recomputed.as_ref().map_or(0.0, more)
    }

    /// Seconds of an optimizer step at this pace: every micro-batch and the update.
    pub fn seconds(&self, pace: &Pace) -> f64 {
        self.accumulations as f64 * pace.total(&self.accumulate) + pace.total(&self.apply)
    }

    /// Hands the graph to a backend; the weights start as the recipe says, drawn by `seed`.
    ///
    /// # Errors
    /// Where the backend lacks what it needs.
    ///
    /// # Panics
    /// If the graph was exchanged for one with weights that are not in [`Program::weights`].
    pub fn prepare(self, backend: &dyn Backend, seed: u64) -> Result<Box<dyn Step>, StepError> {
        let mut step = backend.prepare(self.graph)?;
        for (index, info) in step.weights().to_vec().iter().enumerate() {
            let weight = self.weights.iter().find(|w| w.name == info.name);
            let weight = weight.expect("the graph holds only weights that elaboration made");
            let values = elaborate::initial(&weight.init, &weight.name, &weight.dims, seed);
            step.write(Part::Value, index, &values)?;
        }
        Ok(step)
    }
}

fn elaborated(
    recipe: &Recipe,
    library: &Library,
    batch: usize,
    mode: Mode,
    keep: &dyn Fn(&str) -> bool,
) -> Result<Elaborated, Diagnostics> {
    let size_span: Option<Span> = recipe.span("data.size").cloned();
    let setting = Setting {
        batch,
        size: recipe.data.size,
        size_span,
        chans: CHANNELS,
        mode,
        keep,
    };
    elaborate::elaborate(library, &recipe.model, &setting)
}

fn nearest_divisor(batch: usize, wanted: usize) -> usize {
    let divisors = (1..=batch).filter(|d| batch.is_multiple_of(*d));
    divisors.min_by_key(|d| d.abs_diff(wanted)).unwrap_or(1)
}

//! The pipeline: from a recipe to a program a backend can run.

use crate::{
    anatomy::{Anatomy, Snapshot},
    backend::Backend,
    diagnostic::{Diagnostic, Diagnostics, Span},
    elaborate::{self, Elaborated, Feed, Instance, Mode, Setting, Weight},
    gradient::{GradientError, differentiate},
    ir::{Graph, meta, print::print},
    language::library::Library,
    masks, optimizer,
    pace::Pace,
    passes::{self, BEFORE_GRADIENT, PASSES},
    plan::{self, Plan, work::Asked},
    recipe::{Precision, Recipe},
    train::step::{Part, Step, StepError},
};

/// Bytes that a plan may take where nobody says how many: arena, weights and their state.
pub const DEFAULT_MEMORY: u64 = 4 << 30;

/// Channels of an image.
pub const CHANNELS: usize = 3;

/// What the recipe leaves open.
#[derive(Default)]
pub struct Options<'a> {
    /// Images per run of the program; by default the largest divisor of the batch whose plan fits the memory.
    pub micro_batch: Option<usize>,
    /// Bytes the plan may take, [`DEFAULT_MEMORY`] if not given.
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
    /// If [`Options::listings`] asked for them.
    pub listings: Option<Listings>,
    /// If [`Options::anatomy`] asked for it.
    pub anatomy: Option<Anatomy>,
}

/// What a program takes, before it has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations of the products per image, a multiply-add as two.
    pub forward_flops: u64,
    /// The same of the backward part.
    pub backward_flops: u64,
    /// Bytes of everything that lives only inside a run.
    pub arena: u64,
    /// Bytes of weights, gradients, moments and constants.
    pub state: u64,
    /// Nodes before fusion.
    pub nodes: usize,
    /// Kernels behind it: those that run for each micro-batch and those of the update.
    pub kernels: usize,
}

impl Cost {
    /// Bytes of the whole plan.
    pub fn memory(&self) -> u64 {
        self.arena + self.state
    }
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
    let mut program = match options.micro_batch.or(recipe.train.micro_batch) {
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
            train_program(recipe, library, options, micro_batch)?
        }
        None => largest_that_fits(recipe, library, options)?,
    };
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
    cost(&plan::lower(graph), 0).memory()
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

/// The whole pipeline for one micro-batch.
fn train_program(
    recipe: &Recipe,
    library: &Library,
    options: &Options,
    micro_batch: usize,
) -> Result<Program, CompileError> {
    let accumulations = recipe.train.batch / micro_batch;
    let keep = options.keep.unwrap_or(&|_| false);
    let list = |graph: &Graph| {
        if options.listings {
            print(graph)
        } else {
            String::new()
        }
    };

    let Elaborated {
        mut graph,
        weights,
        instances,
        feeds,
        warnings,
    } = elaborated(recipe, library, micro_batch, Mode::Train, keep)?;
    let elaborated = list(&graph);
    let snapshot = |graph: &Graph, from| match options.anatomy {
        true => Snapshot::of(graph, from),
        false => Snapshot::default(),
    };
    let written = snapshot(&graph, 0);
    passes::run(BEFORE_GRADIENT, &mut graph)?;
    let model = meta(&graph).created();
    differentiate(&mut graph, accumulations)?;
    let differentiated = list(&graph);
    optimizer::append(&mut graph, &settings(recipe));
    let nodes = graph.graph.node_count();
    let added = snapshot(&graph, model);
    match recipe.train.precision {
        Precision::F32 => passes::run(PASSES, &mut graph)?,
        Precision::Bf16 => passes::run(&passes::in_bf16(), &mut graph)?,
    }
    let plan = plan::lower(&graph);

    let listings = options.listings.then(|| Listings {
        graph: elaborated,
        gradient: differentiated,
        fused: print(&graph),
        plan: plan::print::print(&plan),
    });
    let cost = cost(&plan, nodes);
    let (accumulate, apply) = (plan.asked(&plan.accumulate), plan.asked(&plan.apply));
    Ok(Program {
        weights,
        instances,
        feeds,
        warnings,
        micro_batch,
        accumulations,
        cost,
        accumulate,
        apply,
        listings,
        anatomy: options
            .anatomy
            .then(|| Anatomy::new(&graph, [written, added])),
        graph,
    })
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

fn settings(recipe: &Recipe) -> optimizer::Settings {
    let optimizer = &recipe.train.optimizer;
    optimizer::Settings {
        betas: optimizer.betas,
        eps: optimizer.eps as f32,
        decay: optimizer.decay as f32,
        clip: optimizer.clip.map(|clip| clip as f32),
    }
}

/// The program of the largest divisor of the batch whose plan fits, or of one image at a time where none does. A function of
/// the recipe and the budget alone.
fn largest_that_fits(
    recipe: &Recipe,
    library: &Library,
    options: &Options,
) -> Result<Program, CompileError> {
    /// Large models come near [`DEFAULT_MEMORY`] with about so many images: often one program is all that is compiled.
    const FIRST: usize = 16;
    let budget = options.memory.unwrap_or(DEFAULT_MEMORY);
    let batch = recipe.train.batch;
    // Those that may still be larger than the best and fit, ascending.
    let mut open: Vec<usize> = (1..=batch).filter(|d| batch.is_multiple_of(*d)).collect();
    let mut next = open.iter().rposition(|d| *d <= FIRST).unwrap_or(0);
    let mut best = None;
    let mut tried = None;
    loop {
        let program = train_program(recipe, library, options, open[next])?;
        let Cost { arena, state, .. } = program.cost;
        let images = program.micro_batch as u64;
        // From two programs the arena is foretold by a line through both; from one, by what it takes for each image, which
        // is rather overstated: some of it does not grow with them.
        let per_image = match tried {
            Some((others, other)) => arena.abs_diff(other).div_ceil(images.abs_diff(others)),
            None => arena.div_ceil(images),
        };
        let foretold = |d: &usize| {
            let more = per_image as i64 * (*d as i64 - images as i64);
            state + arena.saturating_add_signed(more) <= budget
        };
        tried = Some((images, arena));
        if program.cost.memory() <= budget || program.micro_batch == 1 {
            open.drain(..=next);
            best = Some(program);
        } else {
            open.truncate(next);
        }
        let larger = open.iter().rposition(foretold);
        if larger.is_none()
            && let Some(best) = best.take()
        {
            return Ok(best);
        }
        // Where nothing fits, one image is what is left to try.
        next = larger.unwrap_or(0);
    }
}

fn cost(plan: &Plan, nodes: usize) -> Cost {
    let bytes = |keep: fn(&plan::Place) -> bool| -> u64 {
        plan.buffers
            .iter()
            .filter(|b| keep(&b.place))
            .map(|b| b.bytes() as u64)
            .sum()
    };
    let flops = |backward: bool| -> u64 {
        let of = |s: &&plan::Scheduled| s.origin.ends_with('\'') == backward;
        plan.accumulate
            .iter()
            .filter(of)
            .map(|s| s.flops)
            .sum::<u64>()
            / plan.batch.max(1) as u64
    };
    Cost {
        forward_flops: flops(false),
        backward_flops: flops(true),
        arena: plan.arena as u64,
        state: bytes(|place| !matches!(place, plan::Place::Arena(_) | plan::Place::Aside)),
        nodes,
        kernels: plan.accumulate.len() + plan.apply.len(),
    }
}

fn nearest_divisor(batch: usize, wanted: usize) -> usize {
    let divisors = (1..=batch).filter(|d| batch.is_multiple_of(*d));
    divisors.min_by_key(|d| d.abs_diff(wanted)).unwrap_or(1)
}

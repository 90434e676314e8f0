//! The pipeline: from a recipe to a program a backend can run.

use crate::{
    backend::Backend,
    diagnostic::{Diagnostic, Diagnostics, Span},
    elaborate::{self, Elaborated, Feed, Instance, Mode, Setting, Weight},
    gradient::{GradientError, differentiate},
    ir::{Graph, print::print},
    language::library::Library,
    masks, optimizer,
    passes::{self, BEFORE_GRADIENT, PASSES},
    plan::{self, Plan},
    recipe::Recipe,
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
}

/// A training program: forward, backward and update as one fused graph.
pub struct Program {
    pub graph: Graph,
    /// In the order of the graph files.
    pub weights: Vec<Weight>,
    pub instances: Vec<Instance>,
    /// What has to be fed besides images.
    pub feeds: Vec<Feed>,
    /// What is legal and doubtful, in the recipe and in its model.
    pub warnings: Vec<Diagnostic>,
    /// Images per run.
    pub micro_batch: usize,
    /// Runs per optimizer step.
    pub accumulations: usize,
    pub cost: Cost,
    pub listings: Option<Listings>,
}

/// What a program takes, before it has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations of the products per image, a multiply-add as two.
    pub forward_flops: u64,
    pub backward_flops: u64,
    /// Bytes of everything that lives only inside a run.
    pub arena: u64,
    /// Bytes of weights, gradients, moments and constants.
    pub state: u64,
    /// Nodes before fusion, and kernels behind it, over both programs.
    pub nodes: usize,
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
    pub graph: String,
    pub gradient: String,
    pub fused: String,
    pub plan: String,
}

#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error(transparent)]
    Recipe(#[from] Diagnostics),
    #[error(transparent)]
    Gradient(#[from] GradientError),
    /// A pass broke the graph: a fault of ours, not of the recipe.
    #[error(transparent)]
    Pass(#[from] passes::Broken),
    #[error(
        "a micro-batch of {got} does not divide the batch of {batch}; the nearest that does is {nearest}"
    )]
    MicroBatch {
        got: usize,
        batch: usize,
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

/// Compiles a recipe for training.
///
/// # Errors
/// Every mistake in the recipe or its graphs, and a micro-batch that does not divide the batch.
pub fn compile(
    recipe: &Recipe,
    library: &Library,
    options: &Options,
) -> Result<Program, CompileError> {
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

/// Compiles a recipe's model to be looked at: no gradient, nothing dropped, `batch` images per run.
///
/// # Errors
/// As [`compile`].
pub fn compile_forward(
    recipe: &Recipe,
    library: &Library,
    batch: usize,
) -> Result<Graph, CompileError> {
    let Elaborated { mut graph, .. } =
        elaborated(recipe, library, batch, Mode::Evaluate, &|_| false)?;
    passes::run(BEFORE_GRADIENT, &mut graph)?;
    passes::run(PASSES, &mut graph)?;
    Ok(graph)
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

    /// Hands the graph to a backend; the weights start as the recipe says.
    ///
    /// # Errors
    /// Where the backend lacks what it needs.
    pub fn prepare(self, backend: &dyn Backend, seed: u64) -> Result<Box<dyn Step>, StepError> {
        let mut step = backend.prepare(self.graph)?;
        for (index, info) in step.weights().to_vec().iter().enumerate() {
            let weight = self.weights.iter().find(|w| w.name == info.name);
            let weight = weight.expect("the graph holds only weights that elaboration made");
            let values = elaborate::initial(&weight.init, &weight.name, &weight.dims, seed);
            step.write(Part::Value, index, &values);
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
    passes::run(BEFORE_GRADIENT, &mut graph)?;
    differentiate(&mut graph, accumulations)?;
    let differentiated = list(&graph);
    optimizer::append(&mut graph, &settings(recipe));
    let nodes = graph.graph.node_count();
    passes::run(PASSES, &mut graph)?;
    let plan = plan::lower(&graph);

    let listings = options.listings.then(|| Listings {
        graph: elaborated,
        gradient: differentiated,
        fused: print(&graph),
        plan: plan::print::print(&plan),
    });
    let cost = cost(&plan, nodes);
    Ok(Program {
        graph,
        weights,
        instances,
        feeds,
        warnings,
        micro_batch,
        accumulations,
        cost,
        listings,
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

/// The program of the largest divisor of the batch whose plan fits. A function of the recipe and the budget alone.
fn largest_that_fits(
    recipe: &Recipe,
    library: &Library,
    options: &Options,
) -> Result<Program, CompileError> {
    let budget = options.memory.unwrap_or(DEFAULT_MEMORY);
    let mut divisors: Vec<usize> = (1..=recipe.train.batch)
        .filter(|d| recipe.train.batch.is_multiple_of(*d))
        .collect();
    // One image at a time is rarely what is kept: it is measured, not listed.
    let quiet = Options {
        listings: false,
        ..*options
    };
    let mut best = train_program(recipe, library, &quiet, 1)?;
    loop {
        // Some of the arena does not grow with the images: what one takes is rather overstated, and what is foretold fits.
        let Cost { arena, state, .. } = best.cost;
        let per_image = arena.div_ceil(best.micro_batch as u64);
        let foretold = |d: &usize| state + per_image * *d as u64;
        let larger = divisors
            .iter()
            .rposition(|d| *d > best.micro_batch && foretold(d) <= budget);
        let Some(larger) = larger else {
            break;
        };
        let program = train_program(recipe, library, options, divisors[larger])?;
        if program.cost.memory() <= budget {
            best = program;
        } else {
            divisors.truncate(larger);
        }
    }
    if options.listings && best.listings.is_none() {
        return train_program(recipe, library, options, best.micro_batch);
    }
    Ok(best)
}

fn cost(plan: &Plan, nodes: usize) -> Cost {
    let bytes = |keep: fn(&plan::Place) -> bool| -> u64 {
        plan.buffers
            .iter()
            .filter(|b| keep(&b.place))
            .map(|b| 4 * b.len() as u64)
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
        arena: 4 * plan.arena as u64,
        state: bytes(|place| !matches!(place, plan::Place::Arena(_))),
        nodes,
        kernels: plan.accumulate.len() + plan.apply.len(),
    }
}

fn nearest_divisor(batch: usize, wanted: usize) -> usize {
    let divisors = (1..=batch).filter(|d| batch.is_multiple_of(*d));
    divisors.min_by_key(|d| d.abs_diff(wanted)).unwrap_or(1)
}

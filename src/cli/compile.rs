//! `mimc compile`: what a recipe amounts to.

use super::{
    Outcome,
    arguments::{self, BackendArgument, Sets},
    build::{self, Written},
    complete,
    failure::Failure,
    job::{Compiled, Job},
    screen,
};
use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use mimc::{
    backend::{
        AUTO, Cuda,
        cuda::{self, Target},
    },
    compile::compile_model,
    export, plan,
    summary::Summary,
};
use serde::Serialize;
use std::{path::PathBuf, process::ExitCode};

/// Compile a recipe and tell what it amounts to; needs no data
///
/// Elaborates, differentiates, fuses and plans. Writes the resolved recipe, the listings of every stage and a report to look
/// at, and prints a summary.
#[derive(Args)]
pub struct Arguments {
    /// A path, a name in ./recipes, or a built-in name
    #[arg(value_name = "RECIPE", add = ArgValueCompleter::new(complete::recipes))]
    recipe: String,
    /// Where to write the resolved recipe and the listings [default: build/<recipe name>]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Where to write the report, one page of HTML [default: report.html beside the listings]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print one listing, drawing or module instead of the summary
    #[arg(long, value_name = "STAGE", conflicts_with = "json")]
    emit: Option<Stage>,
    /// Compile for a GPU that need not be here, as the backend cuda does; the report and `--emit cuda` show kernels for it
    /// [default: the GPU of the backend, and for `--emit cuda` else sm_90]
    #[arg(long, value_name = "ARCH", value_parser = target)]
    target: Option<Target>,
    /// How far `--emit dot` and `mermaid` open parts: encoder.layers.0 is three deep
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    depth: u8,
    #[command(flatten)]
    backend: BackendArgument,
    #[command(flatten)]
    sets: Sets,
    /// Choose the largest micro-batch whose plan fits [default: 4GiB]; where none does, or with --micro-batch, blocks are computed
    /// again instead of kept
    #[arg(long, value_name = "SIZE", value_parser = arguments::size)]
    memory: Option<u64>,
    /// Images computed at once; must divide train.batch
    #[arg(long, value_name = "N")]
    micro_batch: Option<usize>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Stage {
    /// The model behind elaboration
    Graph,
    /// With the gradient of every weight
    Gradient,
    /// The whole step behind fusion
    Fused,
    /// Kernels and buffers
    Plan,
    /// The recipe with every key, and where each value came from
    Recipe,
    /// The model's parts and what flows between them, for Graphviz
    Dot,
    /// The same for Mermaid, which Markdown shows
    Mermaid,
    /// Every node, for Google's Model Explorer
    Json,
    /// The model as a PyTorch module
    Torch,
    /// Every kernel of the step for a GPU, and the order of their launches
    Cuda,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    folder: &'a PathBuf,
    files: &'a [&'static str],
    report: &'a PathBuf,
}

pub fn run(arguments: Arguments) -> Outcome {
    let backend = arguments.backend.name();
    let job = Job {
        recipe: arguments.recipe,
        sets: arguments.sets.sets,
        backend: backend.unwrap_or(AUTO).to_owned(),
        memory: arguments.memory,
        micro_batch: arguments.micro_batch,
    };
    let for_gpu = arguments.target.is_some() || matches!(arguments.emit, Some(Stage::Cuda));
    let backend = match job.backend.as_str() {
        AUTO if for_gpu => &Cuda,
        _ => job.backend(),
    };
    let compiled = job.compile_for(backend, job.load()?, true)?;
    let default = || build::default_folder(&compiled.recipe);
    let folder = arguments.output.unwrap_or_else(default);
    let target = arguments.target.or_else(|| job.target());
    let report = arguments.report.as_deref();
    let written = build::write(&job, &compiled, &folder, report, target)?;
    let Written {
        files,
        summary,
        report,
    } = &written;
    match arguments.emit {
        Some(stage) => {
            let depth = arguments.depth.into();
            screen::print(stage.text(&compiled, depth, target)?)?;
        }
        None if arguments.json => screen::print_json(&Document {
            summary,
            folder: &folder,
            files,
            report,
        })?,
        None => {
            let written = format!("{}: {}", folder.display(), files.join(", "));
            let more = [
                ("written", written),
                ("look at", report.display().to_string()),
                ("next", "mimc run".to_owned()),
            ];
            screen::print(summary.table(more.to_vec()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Stage {
    fn text(
        self,
        compiled: &Compiled,
        depth: usize,
        target: Option<Target>,
    ) -> Result<String, Failure> {
        let Compiled {
            recipe,
            library,
            program,
            ..
        } = compiled;
        let listings = program.listings.as_ref();
        let listings = listings.expect("a whole compilation lists the program");
        let model = || compile_model(recipe, library);
        Ok(match self {
            Stage::Graph => listings.graph.clone(),
            Stage::Gradient => listings.gradient.clone(),
            Stage::Fused => listings.fused.clone(),
            Stage::Plan => listings.plan.clone(),
            Stage::Recipe => recipe.to_yaml_with_origins(library)?,
            Stage::Dot => export::dot(&recipe.name, &export::flow(&model()?, depth)),
            Stage::Mermaid => export::mermaid(&export::flow(&model()?, depth)),
            Stage::Json => format!("{}\n", export::explorer(&recipe.name, &model()?)),
            Stage::Torch => export::torch(recipe, library)?,
            Stage::Cuda => {
                let target = target.unwrap_or(Target(90));
                let program = cuda::emit(&plan::lower(&compiled.program.graph), target);
                cuda::print(&program, target)
            }
        })
    }
}

/// `sm_90`: a compute capability from 8.0 on, where products of bf16 begin.
fn target(text: &str) -> Result<Target, String> {
    let number = text.strip_prefix("sm_").and_then(|n| n.parse().ok());
    match number {
        Some(capability @ 80..=999) => Ok(Target(capability)),
        _ => Err("an architecture is `sm_80`, `sm_90` or another from `sm_80` on".into()),
    }
}

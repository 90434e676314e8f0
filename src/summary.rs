//! What a compiled recipe is, for a person to read in ten seconds and for a machine.

mod learning_rate;
mod outline;
mod recomputed;

use crate::{
    compile::Program,
    data::survey::Found,
    diagnostic::Diagnostic,
    pace::Pace,
    recipe::{Images, Precision, Recipe},
    text::{
        columns::{Align, columns},
        units::{bytes, duration, flops, grouped, lasting, seconds},
    },
    train::schedule::{Rates, ScheduleConfig},
};
pub use learning_rate::LearningRate;
use learning_rate::epochs;
use outline::{numbered, outline};
pub use recomputed::Recomputed;
use serde::Serialize;
use std::fmt;

/// What a compiled recipe is. `Display` writes it as a table.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Its name.
    pub recipe: String,
    /// What it says of itself.
    pub doc: String,
    /// The parts of the model, each followed by its stages.
    pub parts: Vec<Part>,
    /// Of the whole model.
    pub parameters: usize,
    /// Of matrix products, per image; a multiply-add counts as two.
    pub forward_flops: u64,
    /// As [`forward_flops`](Self::forward_flops).
    pub backward_flops: u64,
    /// Bytes of the plan.
    pub memory: Memory,
    /// Of what products read and activations are stored in.
    pub precision: Precision,
    /// What is computed again so that it need not be kept; `null` where nothing is.
    pub recomputed: Option<Recomputed>,
    /// Images per optimizer step.
    pub batch: usize,
    /// Images computed at once.
    pub micro_batch: usize,
    /// Micro-batches per optimizer step.
    pub accumulations: usize,
    /// What fusion made of it.
    pub kernels: Kernels,
    /// Its schedule.
    pub learning_rate: LearningRate,
    /// What would run it.
    pub backend: String,
    /// Its images.
    pub data: Data,
    /// How long compiling took.
    pub compile_seconds: f64,
    /// How long a step takes here; `null` where the backend does not tell.
    pub prediction: Option<Prediction>,
    /// What is legal and doubtful.
    pub warnings: Vec<Diagnostic>,
}

/// A part of the model, or a stage of one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// `encoder`, `encoder.layers.0.blocks.0`: the first, where alike instances follow one another.
    pub path: String,
    /// The graph file, `swin.block`.
    pub graph: String,
    /// How many of them follow one another.
    pub repeats: usize,
    /// Per image, of what it returns: all axes but the image's.
    pub shape: Vec<usize>,
    /// Positions of the shape, where its last axis is a token's.
    pub tokens: Option<usize>,
    /// Of all of them.
    pub parameters: usize,
    /// 0 for a part, 1 for its stages.
    pub depth: usize,
}

/// Bytes that a plan takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Arena and state.
    pub total: u64,
    /// What lives only inside a run.
    pub arena: u64,
    /// Weights, gradients, moments and constants.
    pub state: u64,
}

/// How much fusion leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Kernels {
    /// Nodes of the whole step before fusion.
    pub nodes: usize,
    /// What runs.
    pub kernels: usize,
}

/// Foretold from the pace of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Prediction {
    /// That compute.
    pub threads: usize,
    /// Of an optimizer step.
    pub step_seconds: f64,
    /// Images of a step over its seconds.
    pub images_per_second: f64,
    /// Of all epochs over so many images: those there are, or a million where there are none yet.
    pub images: usize,
    /// Of the whole run.
    pub run_seconds: f64,
}

/// Where images come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Data {
    /// As the recipe says.
    pub images: Images,
    /// Whether the folder is there; generated images always are.
    pub found: bool,
    /// How many there are, where they can be listed.
    pub count: Option<usize>,
}

impl Summary {
    /// Compiling took so many seconds; the backend is named only.
    pub fn new(
        recipe: &Recipe,
        program: &Program,
        backend: &str,
        compile_seconds: f64,
        pace: Option<&Pace>,
    ) -> Self {
        let cost = &program.cost;
        let data = Data::of(recipe);
        Self {
            recipe: recipe.name.clone(),
            doc: recipe.doc.clone(),
            parts: outline(&program.instances, program.micro_batch),
            parameters: program.weights.iter().map(|weight| weight.len()).sum(),
            forward_flops: cost.forward_flops,
            backward_flops: cost.backward_flops,
            memory: Memory {
                total: cost.memory(),
                arena: cost.arena,
                state: cost.state,
            },
            precision: recipe.train.computed_in(),
            recomputed: program.recomputed.as_ref().map(|of| Recomputed {
                blocks: of.blocks,
                of: of.of,
                saved: of.without.memory().saturating_sub(cost.memory()),
                flops: cost
                    .backward_flops
                    .saturating_sub(of.without.backward_flops),
                step_seconds: pace.map(|pace| program.seconds_recomputing(pace)),
            }),
            batch: recipe.train.batch,
            micro_batch: program.micro_batch,
            accumulations: program.accumulations,
            kernels: Kernels {
                nodes: cost.nodes,
                kernels: cost.kernels,
            },
            learning_rate: learning_rate(recipe),
            backend: backend.to_owned(),
            prediction: pace.map(|pace| prediction(recipe, program.seconds(pace), data.count)),
            data,
            compile_seconds,
            warnings: program.warnings.clone(),
        }
    }
}

impl Data {
    fn of(recipe: &Recipe) -> Self {
        let images = recipe.data.images.clone();
        let (found, count) = match &images {
            Images::Synthetic => (true, Some(recipe.data.count)),
            Images::Folder(path) => {
                // What is wrong with a folder, a run tells.
                let found = Found::at(path).ok();
                (path.exists(), found.map(|found| found.images()))
            }
        };
        Data {
            images,
            found,
            count,
        }
    }
}

fn prediction(recipe: &Recipe, step_seconds: f64, images: Option<usize>) -> Prediction {
    const MILLION: usize = 1_000_000;
    let images = images.unwrap_or(MILLION);
    // A batch that an epoch does not fill is left out.
    let steps = (images / recipe.train.batch).max(1) as f64 * recipe.train.epochs;
    Prediction {
        threads: rayon::current_num_threads(),
        step_seconds,
        images_per_second: recipe.train.batch as f64 / step_seconds,
        images,
        run_seconds: steps * step_seconds,
    }
}

fn learning_rate(recipe: &Recipe) -> LearningRate {
    let schedule = &recipe.train.schedule;
    let Rates { base, warmup, min } = ScheduleConfig::from(schedule).rates(recipe.train.batch);
    LearningRate {
        schedule: schedule.name,
        base,
        warmup,
        min,
        warmup_epochs: schedule.warmup_epochs,
        epochs: recipe.train.epochs,
        base_per_512: schedule.base_lr,
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table(Vec::new()))
    }
}

impl Summary {
    /// Everything as text, with more facts behind its own.
    pub fn table(&self, more: Vec<(&'static str, String)>) -> String {
        let doc = self.doc.lines().next().unwrap_or("");
        let head = columns(&[Align::Left; 2], &[vec![&*self.recipe, doc]]);
        let facts = self.facts().into_iter().chain(more);
        let facts: Vec<_> = facts
            .map(|(name, fact)| vec![name.to_owned(), fact])
            .collect();
        let facts = columns(&[Align::Left; 2], &facts);
        format!("{head}\n{}\n{facts}", self.parts_table())
    }

    fn parts_table(&self) -> String {
        use Align::{Left, Right};
        let header = ["model", "graph", "tokens", "shape", "parameters"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(self.parts.iter().map(Part::row));
        let mut total = vec![String::new(); header.len()];
        (total[0], total[4]) = ("total".into(), grouped(self.parameters));
        rows.push(total);
        columns(&[Left, Left, Right, Left, Right], &rows)
    }

    /// What there is to know besides the parts: names with sentences.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let Self {
            memory, kernels, ..
        } = self;
        let compute = format!(
            "{} per image: {} forward, {} backward",
            flops(self.forward_flops + self.backward_flops),
            flops(self.forward_flops),
            flops(self.backward_flops)
        );
        let memory = format!(
            "{}: {} for a run, {} for weights and their state",
            bytes(memory.total),
            bytes(memory.arena),
            bytes(memory.state)
        );
        let batch = match self.accumulations {
            1 => format!("{} images at once", self.batch),
            parts => format!(
                "{} images: {parts} micro-batches of {}, accumulated",
                self.batch, self.micro_batch
            ),
        };
        let kernels = format!(
            "{} behind fusion, of {} nodes before it",
            grouped(kernels.kernels),
            grouped(kernels.nodes)
        );
        let precision = match self.precision {
            // What is not said is f32 throughout.
            Precision::F32 => "",
            Precision::Bf16 => {
                "bf16: activations stored and products read in bf16, sums and weights in f32"
            }
        };
        let facts = [
            ("compute", compute),
            ("memory", memory),
            (
                "again",
                self.recomputed.map_or(String::new(), |of| of.to_string()),
            ),
            ("precision", precision.to_owned()),
            ("batch", batch),
            ("kernels", kernels),
            ("time", self.time()),
            ("rate", self.learning_rate.to_string()),
            ("data", self.data.to_string()),
            ("backend", self.backend.clone()),
            ("compiled", format!("in {}", seconds(self.compile_seconds))),
        ];
        let facts = facts.into_iter().filter(|(_, fact)| !fact.is_empty());
        facts.collect()
    }

    fn time(&self) -> String {
        let Some(foretold) = self.prediction else {
            return String::new();
        };
        let epochs = epochs(self.learning_rate.epochs);
        format!(
            "about {} per step here, {:.1} images/s: {} for {epochs} of {} images",
            lasting(foretold.step_seconds),
            foretold.images_per_second,
            duration(foretold.run_seconds),
            grouped(foretold.images),
        )
    }
}

impl Part {
    fn row(&self) -> Vec<String> {
        let path = match numbered(&self.path) {
            Some((path, _)) if self.repeats > 1 => path,
            _ => &self.path,
        };
        let name = match path.split_once('.') {
            Some((_, inner)) if self.depth > 0 => format!("  {inner}"),
            _ => path.to_owned(),
        };
        let repeats = match self.repeats {
            1 => String::new(),
            n => format!(" ×{n}"),
        };
        vec![
            name + &repeats,
            self.graph.clone(),
            self.tokens.map_or(String::new(), grouped),
            format!("{:?}", self.shape),
            grouped(self.parameters),
        ]
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.images {
            Images::Synthetic => f.write_str("generated images"),
            Images::Folder(path) if self.found => match self.count {
                Some(count) => write!(f, "{} images in {}", grouped(count), path.display()),
                None => write!(f, "images in {}", path.display()),
            },
            Images::Folder(path) => write!(
                f,
                "there is no folder {} yet: `mimc run --data DIR` names another",
                path.display()
            ),
        }
    }
}

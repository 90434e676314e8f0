//! What a model masks, drawn as a run draws it, without the rest of the model.

use super::average_distance;
use crate::{
    backend::cpu::CpuStep,
    elaborate::{Setting, elaborate_output},
    ir::{
        Graph, meta,
        ops::{Input, InputKind, own},
    },
    language::library::Library,
    passes::{self, Broken, PASSES},
    plan::{self, Plan},
    recipe::GraphRef,
    train::step::{Draw, Step},
};

/// The output of a model that is its mask.
const MASK: &str = "mask";
/// Masks that a mean is taken over, unless more are wanted: at 192 px and with units of 32 it is then a third of a pixel wide.
pub const MASKS: usize = 16;
/// Pixels and numbers that a mean may take on the way of compiling.
pub const WORK: usize = 1 << 20;

/// The masks of a model's first images.
#[derive(Debug, Clone)]
pub struct Sample {
    /// `[units, units]` each, row by row, 1 = hidden.
    pub masks: Vec<Vec<f32>>,
    /// Pixels per side of what is hidden together.
    pub unit: usize,
    /// AvgDist of each in pixels; nothing where one hides all or nothing.
    pub distances: Option<Vec<f64>>,
    /// Graphs that make the mask, the outer ones first.
    pub graphs: Vec<String>,
    /// How much was computed, in pixels and numbers.
    pub work: usize,
}

/// What drawing masks may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Masks, at least 1; fewer where they are large.
    pub masks: usize,
    /// Pixels and numbers of one mask.
    pub each: usize,
    /// The same of all, unless a single mask has more.
    pub all: usize,
}

/// Draws masks for images of `size` pixels per side. Nothing where they are not to be had: the model has no output `mask`
/// `[batch, units, units]` in squares of whole pixels, it wants more than random numbers for it, or one takes too much.
///
/// # Errors
/// If a pass breaks the graph: a fault of ours.
pub fn sample(
    library: &Library,
    model: &GraphRef,
    size: usize,
    limits: Limits,
) -> Result<Option<Sample>, Broken> {
    let setting = Setting::training(1, size);
    let Ok(elaborated) = elaborate_output(library, model, MASK, &setting) else {
        return Ok(None);
    };
    let (mut graph, instances) = (elaborated.graph, elaborated.instances);
    let Some(unit) = unit(&graph, size).filter(|_| is_drawn(&graph)) else {
        return Ok(None);
    };
    let each = numbers(&graph) + size * size;
    if each > limits.each {
        return Ok(None);
    }
    let count = (limits.all / each).clamp(1, limits.masks);
    passes::run(PASSES, &mut graph)?;
    let masks = draw(plan::lower(&graph), count);
    Ok(masks.map(|masks| Sample {
        distances: masks
            .iter()
            .map(|mask| average_distance(mask, unit))
            .collect(),
        masks,
        unit,
        graphs: instances.into_iter().map(|one| one.graph).collect(),
        work: count * each,
    }))
}

impl Sample {
    /// The mean AvgDist in pixels, and its deviation from mask to mask.
    pub fn distance(&self) -> Option<(f64, f64)> {
        self.distances.as_deref().map(mean_and_deviation)
    }

    /// The mean share of an image that is hidden, and its deviation from mask to mask.
    pub fn coverage(&self) -> (f64, f64) {
        let share = |mask: &Vec<f32>| f64::from(mask.iter().sum::<f32>()) / mask.len() as f64;
        mean_and_deviation(&self.masks.iter().map(share).collect::<Vec<_>>())
    }
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / count;
    (mean, square.sqrt())
}

/// The masks of the first images, which are the same whatever the seed of a run is.
fn draw(plan: Plan, masks: usize) -> Option<Vec<Vec<f32>>> {
    // The pool that trains is started later, with the threads it is told to have. A machine without a thread or the memory
    // for a mask is told so then.
    let alone = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .ok()?;
    alone.install(|| {
        let mut step = CpuStep::new(plan).ok()?;
        let mask = |image: usize| {
            let draw = Draw {
                seed: 0,
                step: 0,
                first_sample: image as u64,
            };
            step.run(draw).expect("nothing is fed, and nobody stops it");
            step.output(MASK).expect("it is the root")
        };
        Some((0..masks).map(mask).collect())
    })
}

/// Pixels per side of what is hidden together.
fn unit(graph: &Graph, size: usize) -> Option<usize> {
    let root = meta(graph).roots.first()?;
    match root.dims[..] {
        [1, units, same] if units == same && size.is_multiple_of(units) => Some(size / units),
        _ => None,
    }
}

/// Whether nothing is fed, and nothing learned.
fn is_drawn(graph: &Graph) -> bool {
    let inputs = graph.graph.node_indices();
    let mut inputs = inputs.filter_map(|node| own::<Input>(graph, node));
    inputs.all(|input| matches!(input.kind, InputKind::Draw { .. } | InputKind::Table(_)))
}

fn numbers(graph: &Graph) -> usize {
    let outputs = meta(graph).nodes.values().flat_map(|node| &node.dims);
    outputs.map(|dims| dims.iter().product::<usize>()).sum()
}

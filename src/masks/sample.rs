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
/// Masks that a mean is taken over: at 192 px and with units of 32 it is then a third of a pixel wide.
const MASKS: usize = 16;
/// Pixels and numbers that one mean may take, unless a single mask has more.
const WORK: usize = 1 << 20;

/// The masks of a model's first images.
pub struct Sample {
    /// AvgDist in pixels.
    pub distance: f64,
    /// Graphs that make the mask, the outer ones first.
    pub graphs: Vec<String>,
    /// How much was computed, in pixels and numbers.
    pub work: usize,
}

/// Draws masks for images of `size` pixels per side. Nothing where they are not to be had or have no AvgDist: the model has no
/// output `mask` `[batch, units, units]` in squares of whole pixels, it wants more than random numbers for it, the masks hide all
/// or nothing, or one takes more than `most` pixels and numbers.
///
/// # Errors
/// If a pass breaks the graph: a fault of ours.
pub fn sample(
    library: &Library,
    model: &GraphRef,
    size: usize,
    most: usize,
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
    if each > most {
        return Ok(None);
    }
    let masks = (WORK / each).clamp(1, MASKS);
    passes::run(PASSES, &mut graph)?;
    let distances = distances(plan::lower(&graph), masks, unit);
    Ok(distances.map(|distances| Sample {
        distance: distances.iter().sum::<f64>() / masks as f64,
        graphs: instances.into_iter().map(|one| one.graph).collect(),
        work: masks * each,
    }))
}

/// AvgDist of the masks of the first images, which are the same whatever the seed of a run is. Nothing where one has none.
fn distances(plan: Plan, masks: usize, unit: usize) -> Option<Vec<f64>> {
    // The pool that trains is started later, with the threads it is told to have. A machine without a thread or the memory
    // for a mask is told so then.
    let alone = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .ok()?;
    alone.install(|| {
        let mut step = CpuStep::new(plan).ok()?;
        let distance = |image: usize| {
            let draw = Draw {
                seed: 0,
                step: 0,
                first_sample: image as u64,
            };
            step.run(draw).expect("nothing is fed, and nobody stops it");
            let mask = step.output(MASK).expect("it is the root");
            average_distance(&mask, unit)
        };
        (0..masks).map(distance).collect()
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

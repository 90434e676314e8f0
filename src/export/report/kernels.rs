//! Nodes and kernels as data: what the page's script looks up, lists and compares.

use super::{
    page::json,
    sources::{Cuda, Source},
    words::Words,
    work::{Costed, Phase},
};
use crate::{
    anatomy::{Anatomy, Role},
    backend::cuda::Target,
    listing::{self, Line},
    plan::{Plan, print},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything that the script knows.
#[derive(Serialize)]
pub struct Data {
    /// Every text once; other fields name texts by their places here.
    words: Vec<String>,
    nodes: Vec<Node>,
    kernels: Vec<Kernel>,
    /// The pictures of each part that opens: before fusion, and behind it.
    scopes: BTreeMap<String, [Option<usize>; 2]>,
    /// When each kernel of the memory chart ends, in its unit; bytes by what they are for.
    memory: super::memory::Told,
    /// Images of a micro-batch, and micro-batches of a step.
    batch: [usize; 2],
}

/// A node that computes something, or is read by one that does: path, label, shape; then what it is.
#[derive(Serialize)]
struct Node(usize, usize, usize, Kind);

/// 0 for forward, 1 for backward, 2 for what is not computed.
type Kind = u8;

#[derive(Serialize)]
struct Kernel {
    path: usize,
    phase: &'static str,
    /// `gemm`
    kind: &'static str,
    shape: usize,
    /// What it is and over which loops: `rows[4 x 48 | 128]`.
    title: usize,
    /// What it does to each element; empty where the title says it.
    formula: usize,
    /// As text for a person or a compiler; one for each language there is.
    sources: Vec<Source>,
    flops: u64,
    pointwise: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    /// Kernels that compute its nodes one behind the other.
    kernels: usize,
    nodes: Vec<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    again: Vec<usize>,
}

/// The data of a page as JSON. Where a GPU is named, kernels are shown as it would get them.
pub fn data(
    anatomy: &Anatomy,
    kernels: &[Costed],
    target: Option<Target>,
    scopes: BTreeMap<String, [Option<usize>; 2]>,
    memory: super::memory::Told,
    batch: [usize; 2],
) -> String {
    let mut words = Words::default();
    let nodes = anatomy.nodes.iter().map(|node| {
        let kind = match (node.role, node.origin.backward) {
            (Role::Computes, false) => 0,
            (Role::Computes, true) => 1,
            _ => 2,
        };
        Node(
            words.at(&node.origin.path),
            words.at(&node.label),
            words.at(&node.dims.first().map_or(String::new(), |dims| shape(dims))),
            kind,
        )
    });
    let nodes = nodes.collect();
    let sections = print::sections(&anatomy.plan);
    let texts = listing::lines(&sections);
    let lines: Vec<(&Line, String)> = sections
        .iter()
        .flat_map(|section| &section.lines)
        .zip(texts)
        .collect();
    // Inputs and weights come first.
    let lines = &lines[lines.len() - kernels.len()..];
    let cuda = target.map(|target| Cuda::new(anatomy, target));
    let sources = |at: usize, text: &str, words: &mut Words| {
        let plan = Source::of_plan(text, words);
        let cuda = cuda.as_ref().map(|cuda| cuda.of(at, words));
        [plan]
            .into_iter()
            .chain(cuda.into_iter().flatten())
            .collect()
    };
    let listed = kernels.iter().zip(lines).zip(&anatomy.made_of).enumerate();
    let kernels = listed.map(|(at, ((kernel, (line, text)), of))| Kernel {
        path: words.at(kernel.path),
        phase: match kernel.phase {
            Phase::Forward => "forward",
            Phase::Backward => "backward",
            Phase::Update => "update",
        },
        kind: kernel.scheduled.kernel.label(),
        shape: words.at(&written(&anatomy.plan, kernel)),
        title: words.at(&line.label),
        formula: words.at(&line.code),
        sources: sources(at, text, &mut words),
        flops: kernel.work.flops,
        pointwise: kernel.work.pointwise,
        bytes: kernel.work.bytes,
        seconds: kernel.seconds.map(three_digits),
        kernels: of.kernels,
        nodes: of.nodes.clone(),
        again: of.again.clone(),
    });
    let kernels = kernels.collect();
    json(&Data {
        nodes,
        kernels,
        words: words.all(),
        scopes,
        memory,
        batch,
    })
}

/// The shape of what a kernel writes first.
fn written(plan: &Plan, kernel: &Costed) -> String {
    let written = kernel.scheduled.kernel.writes();
    let dims = written.first().map(|buffer| &plan.buffers[*buffer].dims);
    dims.map_or(String::new(), |dims| shape(dims))
}

/// `[4, 48, 48, 128]`
pub fn shape(dims: &[usize]) -> String {
    format!("{dims:?}")
}

/// More would say that a forecast is better than it is.
pub fn three_digits(value: f64) -> f64 {
    match value == 0.0 || !value.is_finite() {
        true => value,
        false => {
            let scale = 10f64.powf(2.0 - value.abs().log10().floor());
            (value * scale).round() / scale
        }
    }
}

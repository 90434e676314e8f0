//! Random graphs through the whole pipeline: legal behind every pass, with the values and gradients that they have without any
//! pass, and a plan that is sound and computes them too.

mod grow;

use crate::values::{self, Values};
use grow::graph;
use mimc::{
    backend::{cpu::CpuStep, reference},
    gradient::differentiate,
    ir::{
        Graph,
        copy::copy,
        ops::{Input, InputKind},
        print::print,
        roots,
        verify::verify,
    },
    optimizer,
    passes::{BEFORE_GRADIENT, PASSES, Pass, run},
    plan::{check::check, lower},
    train::step::{Draw, Part, Step},
};
use rayon::prelude::*;

const SEEDS: u64 = 200;
/// Relative to the largest value of a tensor: sums are reordered.
const TOLERANCE: f32 = 2e-4;
const DRAW: Draw = Draw {
    seed: 3,
    step: 1,
    first_sample: 0,
};

const SETTINGS: optimizer::Settings = optimizer::Settings {
    betas: [0.9, 0.999],
    eps: 1e-8,
    decay: 0.05,
    clip: Some(1.0),
};

#[test]
fn random_graphs_compute_the_same_behind_every_pass() {
    let failed: Vec<String> = (0..SEEDS).into_par_iter().filter_map(failure).collect();
    assert!(
        failed.is_empty(),
        "{} of {SEEDS} graphs:\n\n{}",
        failed.len(),
        failed[..failed.len().min(20)].join("\n")
    );
}

fn failure(seed: u64) -> Option<String> {
    match std::panic::catch_unwind(|| trial(seed)) {
        Ok(outcome) => outcome.err(),
        Err(_) => Some(format!("seed {seed} panics, as told above")),
    }
}

fn trial(seed: u64) -> Result<(), String> {
    let mut whole = graph(seed);
    verify(&whole).map_err(|violation| format!("seed {seed} grows no graph: {violation}"))?;
    let mut plain = copy(&whole);
    differentiate(&mut plain, 1).expect("the loss is a number");
    let expected = computed(&plain);

    let through = |pass: &'static Pass, graph: &mut Graph, expected: &Values| {
        let before = print(graph);
        if let Err(broken) = run(&[*pass], graph) {
            return Err(format!(
                "seed {seed}: {broken}
{before}
{}",
                print(graph)
            ));
        }
        values::same(expected, &computed(graph), TOLERANCE).map_err(|why| {
            format!(
                "seed {seed}, `{}`: {why}\n{before}\n{}",
                pass.name,
                print(graph)
            )
        })
    };
    let forward = computed(&whole);
    for pass in BEFORE_GRADIENT {
        through(pass, &mut whole, &forward)?;
    }
    differentiate(&mut whole, 1).expect("the loss is a number");
    // Without an update there is no training, and a plan keeps no gradients.
    optimizer::append(&mut whole, &SETTINGS);
    for pass in PASSES {
        through(pass, &mut whole, &expected)?;
    }
    let found =
        by_kernels(&whole).map_err(|why| format!("seed {seed}: {why}\n{}", print(&whole)))?;
    values::same(&expected, &found, TOLERANCE)
        .map_err(|why| format!("seed {seed}, kernels: {why}\n{}", print(&whole)))
}

fn computed(graph: &Graph) -> Values {
    reference::run_roots(graph, &|root| !roots::in_update(root), &leaf)
}

/// As [`crate::leaf`], draws as kernels draw them.
fn leaf(input: &Input) -> Vec<f32> {
    match input.kind {
        InputKind::Draw { per_sample } => reference::uniform(input, per_sample, DRAW),
        _ => crate::leaf(input),
    }
}

/// What the kernels compute of the graph: its outputs and gradients.
fn by_kernels(graph: &Graph) -> Result<Values, String> {
    let plan = lower(graph);
    check(&plan).map_err(|fault| format!("{fault:?}"))?;
    let mut step = CpuStep::new(plan).map_err(|e| e.to_string())?;
    let weights = step.weights().to_vec();
    let of = |input: &str, kind: InputKind, dims: &[usize]| {
        let (name, dims) = (input.to_owned(), dims.to_vec());
        leaf(&Input { name, dims, kind })
    };
    for (index, info) in weights.iter().enumerate() {
        let value = of(&info.name, grow::weight(), &info.dims);
        step.write(Part::Value, index, &value).expect("held");
        let state = InputKind::State(mimc::ir::ops::Part::Gradient);
        step.write(Part::Gradient, index, &of(&info.name, state, &info.dims))
            .expect("held");
    }
    for (name, dims) in grow::feeds(graph) {
        let value = of(&name, InputKind::Feed, &dims);
        step.feed(&name, &value).map_err(|e| e.to_string())?;
    }
    step.accumulate(DRAW).map_err(|e| e.to_string())?;
    let mut found = Values::new();
    let outputs = mimc::ir::meta(graph).roots.iter();
    for root in outputs.filter(|root| !roots::in_update(&root.name)) {
        let weight = root.name.strip_prefix("gradient.");
        let values = match weight {
            Some(weight) => {
                let index = weights.iter().position(|info| info.name == weight);
                let index = index.ok_or_else(|| format!("the plan has no weight `{weight}`"))?;
                let mut values = vec![0.0; weights[index].len()];
                step.read(Part::Gradient, index, &mut values).expect("held");
                values
            }
            None => step.output(&root.name).map_err(|e| e.to_string())?,
        };
        found.insert(root.name.clone(), values);
    }
    Ok(found)
}

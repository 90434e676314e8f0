//! Whole programs beside the CPU's kernels: loss, outputs, gradients and one update.

use crate::{
    cases::assert_close,
    emulator::{Machine, Memory, noise, there_is_a_compiler},
};
use mimc::{
    Draw, Library, Options, Recipe,
    backend::{
        cpu,
        cuda::{self, Target},
    },
    compile::compile,
    optimizer,
    plan::{self, Kernel, Plan, Training, Weight},
};

pub const WINDOWS: &str =
    "{ graph: swin.encoder, dim: 24, depths: [2, 2], heads: [3, 3], window: 4 }";
pub const TOKENS: &str =
    "{ graph: vit.encoder, dim: 24, depth: 2, heads: 3, patch: 16, drop_path: 0.1 }";

pub fn tiny(encoder: &str, precision: &str) -> Plan {
    let sets = [
        format!("model.encoder={encoder}"),
        format!("train.precision={precision}"),
        "train.batch=4".into(),
        "train.micro_batch=2".into(),
        "data.size=64".into(),
        "train.optimizer.clip=1.0".into(),
    ];
    let recipe = Recipe::load("quickstart", &sets).expect("a sound recipe");
    let program = compile(&recipe, &Library::new(&[]), &Options::default()).expect("it compiles");
    plan::lower(&program.graph)
}

/// Initial weights, an image for each of the batch, and what an update is fed.
fn prepared(plan: &Plan) -> Memory {
    let mut memory = Memory::new(plan);
    for (seed, weight) in plan.weights.iter().enumerate() {
        let len: usize = weight.dims.iter().product();
        // As wide as keeps signals at their size, around what scales and shifts begin with.
        let wide = weight.dims.len() > 1;
        let spread = if wide {
            (weight.dims[1] as f32).sqrt().recip()
        } else {
            0.1
        };
        let centre = f32::from(u8::from(
            !wide && weight.name.contains("norm") && weight.name.ends_with("weight"),
        ));
        let values: Vec<f32> = noise(seed as u64, len)
            .iter()
            .map(|x| centre + spread * x)
            .collect();
        memory.write(plan, weight.value, &values);
    }
    for (name, buffer) in &plan.feeds {
        if name == "image" {
            memory.write(plan, *buffer, &noise(99, plan.buffers[*buffer].len()));
        }
    }
    let betas = plan
        .apply
        .iter()
        .find_map(|scheduled| match &scheduled.kernel {
            Kernel::AdamW(sweep) => Some(sweep.betas),
            _ => None,
        });
    for (name, value) in optimizer::scalars(betas.expect("it trains"), 1e-3, 1) {
        let feed = plan.feeds.iter().find(|(known, _)| known == name);
        memory.write(plan, feed.expect("an update is fed it").1, &[value]);
    }
    memory
}

/// Both micro-batches of a step.
fn launches() -> [cpu::Launch; 2] {
    [0, 2].map(|first_sample| {
        let draw = Draw {
            seed: 5,
            step: 0,
            first_sample,
        };
        cpu::Launch {
            key: draw.key(),
            first_sample,
        }
    })
}

/// The gradient of every weight, of the CPU's kernels.
fn gradients(plan: &Plan) -> Vec<Vec<f32>> {
    let memory = prepared(plan);
    for launch in launches() {
        memory.run_on_cpu(plan, &plan.accumulate, &launch);
    }
    let of = |weight: &Weight| memory.read(plan, training(weight).gradient);
    plan.weights.iter().map(of).collect()
}

fn training(weight: &Weight) -> &Training {
    weight.training.as_ref().expect("it trains")
}

/// The length of the difference: what is near zero has another sign in single elements of a gradient.
fn off(got: &[f32], wanted: &[f32]) -> f64 {
    let length = |numbers: &mut dyn Iterator<Item = f32>| {
        let squares = numbers.map(|x| f64::from(x).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let difference = length(&mut got.iter().zip(wanted).map(|(a, b)| a - b));
    difference / length(&mut wanted.iter().copied())
}

/// `tolerance` of outputs; gradients may be off by as much again, and by a quarter more than the CPU's own are from those of f32.
fn agree(encoder: &str, precision: &str, tolerance: f64) {
    if !there_is_a_compiler() {
        return;
    }
    let plan = tiny(encoder, precision);
    let program = cuda::emit(&plan, Target(90));
    let machine = Machine::new(&plan, &program);
    let ours = prepared(&plan);
    let theirs = ours.clone();
    for launch in launches() {
        machine.run(&program.accumulate, &ours, &launch);
        theirs.run_on_cpu(&plan, &plan.accumulate, &launch);
        for (name, buffer) in &plan.outputs {
            if ["loss", "decoder", "mask"].contains(&name.as_str()) {
                let [got, wanted] = [&ours, &theirs].map(|memory| memory.read(&plan, *buffer));
                let off = off(&got, &wanted);
                assert!(off <= tolerance, "{name} is off by {off:.1e}");
            }
        }
    }
    for (weight, exact) in plan.weights.iter().zip(gradients(&tiny(encoder, "f32"))) {
        let gradient = training(weight).gradient;
        let [own, cpus] = [&ours, &theirs].map(|m| off(&m.read(&plan, gradient), &exact));
        assert!(
            own <= tolerance + 1.25 * cpus,
            "the gradient of {} is off by {own:.1e}, the CPU's by {cpus:.1e}",
            weight.name
        );
    }
    // From the same gradients: a small one's sign decides where its weight goes.
    let same = theirs.clone();
    let launch = &launches()[0];
    machine.run(&program.apply, &same, launch);
    theirs.run_on_cpu(&plan, &plan.apply, launch);
    ours.check_guards();
    same.check_guards();
    for weight in &plan.weights {
        let state = training(weight);
        let moments = [state.first_moment, state.second_moment];
        for buffer in [weight.value, state.gradient, moments[0], moments[1]] {
            let [got, wanted] = [&same, &theirs].map(|memory| memory.read(&plan, buffer));
            assert_close(&got, &wanted, 2e-6, &weight.name);
        }
    }
}

#[test]
fn windows_agree_in_f32() {
    agree(WINDOWS, "f32", 1e-4);
}

#[test]
fn windows_agree_in_bf16() {
    agree(WINDOWS, "bf16", 1e-2);
}

#[test]
fn tokens_agree_in_f32() {
    agree(TOKENS, "f32", 1e-4);
}

#[test]
fn tokens_agree_in_bf16() {
    agree(TOKENS, "bf16", 1e-2);
}

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
    plan::{self, BufferId, Kernel, Plan},
    random::Key,
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

struct Tolerances {
    loss: f64,
    gradients: f64,
    update: f32,
}

fn agree(encoder: &str, precision: &str, tolerances: &Tolerances) {
    if !there_is_a_compiler() {
        return;
    }
    let plan = tiny(encoder, precision);
    let program = cuda::emit(&plan, Target(90));
    let machine = Machine::new(&plan, &program);
    let ours = prepared(&plan);
    let theirs = ours.clone();
    let mut steps = (0..2).map(|micro_batch| {
        let draw = Draw {
            seed: 5,
            step: 0,
            first_sample: 2 * micro_batch,
        };
        cpu::Launch {
            key: draw.key(),
            first_sample: draw.first_sample,
        }
    });
    // By the length of the difference: what is near zero on either side has another sign in single elements of a gradient.
    let compare = |what: &str, buffer: BufferId, tolerance: f64| {
        let [got, wanted] = [&ours, &theirs].map(|memory| memory.read(&plan, buffer));
        let length = |numbers: &[f32]| -> f64 {
            let squares = numbers.iter().map(|&x| f64::from(x).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let difference: Vec<f32> = got.iter().zip(&wanted).map(|(a, b)| a - b).collect();
        let off = length(&difference) / length(&wanted);
        assert!(off <= tolerance, "{what} is off by {off:.1e}");
    };
    for launch in &mut steps {
        machine.run(&program.accumulate, &ours, &launch);
        theirs.run_on_cpu(&plan, &plan.accumulate, &launch);
        for (name, buffer) in &plan.outputs {
            if name == "loss" || name == "decoder" || name == "mask" {
                compare(name, *buffer, tolerances.loss);
            }
        }
    }
    for weight in &plan.weights {
        let training = weight.training.as_ref().expect("it trains");
        let zero = theirs
            .read(&plan, training.gradient)
            .iter()
            .all(|x| *x == 0.0);
        assert!(!zero, "{} has a gradient", weight.name);
        compare(
            &format!("gradient of {}", weight.name),
            training.gradient,
            tolerances.gradients,
        );
    }
    let launch = cpu::Launch {
        key: Key::new(0),
        first_sample: 0,
    };
    // From the same gradients: a small one's sign decides where its weight goes.
    let same = theirs.clone();
    machine.run(&program.apply, &same, &launch);
    theirs.run_on_cpu(&plan, &plan.apply, &launch);
    ours.check_guards();
    same.check_guards();
    for weight in &plan.weights {
        let training = weight.training.as_ref().expect("it trains");
        for buffer in [
            weight.value,
            training.gradient,
            training.first_moment,
            training.second_moment,
        ] {
            let [got, wanted] = [&same, &theirs].map(|memory| memory.read(&plan, buffer));
            assert_close(&got, &wanted, tolerances.update, &weight.name);
        }
    }
}

const EXACT: Tolerances = Tolerances {
    loss: 1e-5,
    gradients: 1e-4,
    update: 2e-6,
};
/// Sums in another order round to other numbers of bf16: either side is off by some hundredths from a gradient in f64.
const HALF: Tolerances = Tolerances {
    loss: 1e-2,
    gradients: 1e-1,
    update: 2e-6,
};

#[test]
fn windows_agree_in_f32() {
    agree(WINDOWS, "f32", &EXACT);
}

#[test]
fn windows_agree_in_bf16() {
    agree(WINDOWS, "bf16", &HALF);
}

#[test]
fn tokens_agree_in_f32() {
    agree(TOKENS, "f32", &EXACT);
}

#[test]
fn tokens_agree_in_bf16() {
    agree(TOKENS, "bf16", &HALF);
}

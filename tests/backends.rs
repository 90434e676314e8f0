//! Every backend computes what luminal's primitives compute: loss, gradients and one update of a graph that holds every
//! operator a model can be written in.

#[path = "gpu/emulator.rs"]
mod emulator;

use mimc::{
    backend::{BACKENDS, usable},
    gradient::differentiate,
    ir::{
        Graph, Rewriter, Value, new_graph,
        ops::{Abs, Concat, Detach, Erf, Init, InputKind, Roll, Take},
    },
    optimizer::{self, Settings},
    random::Key,
    train::step::{Draw, Part, Step},
};

const BATCH: usize = 2;

/// Says that every backend can be used.
const ALL: &str = "MIMC_TEST_ALL_BACKENDS";

fn model() -> Graph {
    let mut graph = new_graph(BATCH);
    let mut r = Rewriter::new(&mut graph);
    let image = r.input("image", &[BATCH, 6, 4], InputKind::Feed);
    let normal = |r: &mut Rewriter, name: &str, dims: &[usize]| {
        r.input(
            name,
            dims,
            InputKind::Weight {
                decay: dims.len() > 1,
                init: Init::Normal { std: 0.5 },
            },
        )
    };
    let w = normal(&mut r, "fc.weight", &[8, 4]);
    let b = normal(&mut r, "fc.bias", &[8]);
    let x = linear(&mut r, &image, &w, &b);
    let x = r
        .op(
            Roll {
                shifts: vec![(1, -2), (2, 3)],
            },
            &[&x],
        )
        .remove(0);
    let table = normal(&mut r, "table", &[5, 8]);
    let index = r.table(&[0.0, 4.0, 4.0, 1.0, 2.0, 0.0], &[6]);
    let position = r.op(Take, &[&table, &index]).remove(0);
    let x = r.add(&x, &position);
    let x = layer_norm(&mut r, &x);
    let halves = [r.slice(&x, 2, 0, 3), r.slice(&x, 2, 3, 8)];
    let back = r
        .op(Concat { axis: 2 }, &[&halves[1], &halves[0]])
        .remove(0);
    let scores = softmax(&mut r, &back);
    let gate = r.op(Erf, &[&x]).remove(0);
    let x = r.mul(&scores, &gate);
    let draw = r.input("drop", &[BATCH, 6, 8], InputKind::Draw { per_sample: true });
    let rate = r.constant(0.25, &[BATCH, 6, 8]);
    let dropped = r.less(&draw, &rate);
    let kept = r.neg(&dropped);
    let kept = r.offset(&kept, 1.0);
    let x = r.mul(&x, &kept);
    // Tokens to the front, in a buffer of their own, then a product over them.
    let turned = r.contiguous(&x.permute(&[1, 0, 2]));
    let w2 = normal(&mut r, "mix.weight", &[3, 6]);
    let turned = r.reshape(&turned, &[6, BATCH * 8]);
    let mixed = r.matmul(&w2, &turned);
    let target = r.slice(&image, 1, 0, 1);
    let target = r.sum(&target, 1);
    let target = r.sum(&target, 1);
    let error = r.reshape(&mixed, &[3, BATCH, 8]);
    let error = r.sub(&error, &target.expand(0, 3).expand(2, 8));
    let error = r.op(Abs, &[&error]).remove(0);
    let mut loss = error;
    for _ in 0..3 {
        loss = r.sum(&loss, 0);
    }
    let loss = r.scale(&loss, 0.1);
    r.add_root("loss", &loss);
    r.add_root("mixed", &mixed);
    differentiate(&mut graph, 1).expect("the loss has a gradient");
    let settings = Settings {
        betas: [0.9, 0.999],
        eps: 1e-8,
        decay: 0.05,
        clip: Some(1.0),
    };
    optimizer::append(&mut graph, &settings);
    graph
}

fn linear(r: &mut Rewriter, x: &Value, w: &Value, b: &Value) -> Value {
    let dims = x.dims();
    let out = w.dims()[0];
    let wide = x.expand(2, out);
    let weights = w.expand(0, dims[1]).expand(0, dims[0]);
    let product = r.mul(&wide, &weights);
    let y = r.sum(&product, 3);
    r.add(&y, b)
}

fn mean(r: &mut Rewriter, x: &Value) -> Value {
    let n = x.dims()[2];
    let y = r.sum(x, 2);
    r.scale(&y, 1.0 / n as f32).expand(2, n)
}

fn layer_norm(r: &mut Rewriter, x: &Value) -> Value {
    let m = mean(r, x);
    let centred = r.sub(x, &m);
    let squares = r.mul(&centred, &centred);
    let variance = mean(r, &squares);
    let variance = r.offset(&variance, 1e-5);
    let deviation = r.sqrt(&variance);
    r.div(&centred, &deviation)
}

fn softmax(r: &mut Rewriter, x: &Value) -> Value {
    let n = x.dims()[2];
    let top = r.max(x, 2);
    let top = r.op(Detach, &[&top]).remove(0).expand(2, n);
    let shifted = r.sub(x, &top);
    let e = r.exp(&shifted);
    let sum = r.sum(&e, 2).expand(2, n);
    r.div(&e, &sum)
}

/// Loss, outputs and gradients of two micro-batches, and the state after one update.
fn trained(step: &mut dyn Step) -> Vec<(String, Vec<f32>)> {
    let key = Key::new(3);
    let weights = step.weights().to_vec();
    for (i, weight) in weights.iter().enumerate() {
        let values: Vec<f32> = (0..weight.len())
            .map(|p| key.with(&weight.name).normal(p as u64) as f32 * 0.5)
            .collect();
        step.write(Part::Value, i, &values).expect("held");
    }
    let mut seen = Vec::new();
    for micro in 0..2 {
        let image: Vec<f32> = (0..BATCH * 24)
            .map(|p| key.at(micro).normal(p as u64) as f32)
            .collect();
        step.feed("image", &image).unwrap();
        let draw = Draw {
            seed: 5,
            step: 7,
            first_sample: micro * BATCH as u64,
        };
        let loss = step.accumulate(draw).unwrap();
        seen.push((format!("loss {micro}"), vec![loss]));
        seen.push((format!("mixed {micro}"), step.output("mixed").unwrap()));
    }
    let read = |step: &dyn Step, part: Part, i: usize| {
        let mut values = vec![0.0; weights[i].len()];
        step.read(part, i, &mut values).expect("held");
        values
    };
    for (i, weight) in weights.iter().enumerate() {
        seen.push((
            format!("gradient of {}", weight.name),
            read(step, Part::Gradient, i),
        ));
    }
    seen.push(("norm".into(), vec![step.apply(1e-3, 1).unwrap()]));
    for (i, weight) in weights.iter().enumerate() {
        for part in [
            Part::Value,
            Part::Gradient,
            Part::FirstMoment,
            Part::SecondMoment,
        ] {
            seen.push((format!("{part:?} of {}", weight.name), read(step, part, i)));
        }
    }
    seen
}

#[test]
fn backends_agree_with_luminals_primitives() {
    let all: Vec<_> = usable()
        .map(|b| {
            (
                b.name(),
                trained(&mut *b.prepare(model()).expect("usable here")),
            )
        })
        .collect();
    if std::env::var_os(ALL).is_some() {
        let names: Vec<_> = BACKENDS.iter().map(|b| b.name()).collect();
        assert_eq!(all.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    }
    let (_, oracle) = all
        .iter()
        .find(|(name, _)| *name == "reference")
        .expect("the oracle is a backend");
    for (name, results) in &all {
        assert_eq!(results.len(), oracle.len());
        for ((what, got), (same, want)) in results.iter().zip(oracle) {
            assert_eq!(what, same);
            let norm = want.iter().map(|x| (x * x) as f64).sum::<f64>().sqrt();
            let off = got
                .iter()
                .zip(want)
                .map(|(a, b)| ((a - b) as f64).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!(
                off <= 2e-6 * norm + 1e-7,
                "{name}: {what} is off by {off:.2e} of {norm:.2e}"
            );
        }
    }
    let gradients = oracle
        .iter()
        .filter(|(what, _)| what.starts_with("gradient of"));
    assert!(
        gradients.clone().count() == 4
            && gradients.clone().all(|(_, g)| g.iter().any(|x| *x != 0.0))
    );
}

/// The same once more, where a driver is emulated: each process asks once what it can use.
#[test]
fn backends_for_gpus_agree_on_an_emulated_driver() {
    let Some(emulator) = emulator::emulator() else {
        return;
    };
    let own = std::env::current_exe().expect("a running test has a file");
    let said = std::process::Command::new(own)
        .args(["--exact", "backends_agree_with_luminals_primitives"])
        .env("MIMC_CUDA_PATH", &emulator.folder)
        .env("XDG_CACHE_HOME", &emulator.cache)
        .env(ALL, "1")
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success() && told.contains("1 passed"), "{told}");
}

//! One batch, cut in every way that divides it.

use super::{TOKENS, WINDOWS, recipe};
use mimc::{
    backend::BACKENDS,
    compile::{Options, compile},
    language::library::Library,
    random::Key,
    recipe::Recipe,
    train::step::{Draw, Part},
};

const BATCH: usize = 12;
const SIZE: usize = 32;

struct Accumulated {
    loss: f64,
    masks: Vec<f32>,
    gradients: Vec<(String, Vec<f32>)>,
}

/// Loss and gradients of the batch. `place` tells a micro-batch where in the batch it stands.
fn accumulated(recipe: &Recipe, micro_batch: usize, place: fn(usize) -> usize) -> Accumulated {
    let options = Options {
        micro_batch: Some(micro_batch),
        ..Options::default()
    };
    let program = compile(recipe, &Library::new(&[]), &options);
    let program = program.unwrap_or_else(|error| panic!("{error}"));
    let mut step = program
        .prepare(BACKENDS[0], 1)
        .expect("a tiny plan fits any machine");
    let weights = step.weights().to_vec();
    for (index, info) in weights.iter().enumerate() {
        // Zeros would hide what multiplies them.
        let key = Key::new(2).with(&info.name);
        let mut values = vec![0.0; info.len()];
        step.read(Part::Value, index, &mut values).expect("held");
        for (value, at) in values.iter_mut().zip(0..) {
            *value += 0.02 * key.normal(at) as f32;
        }
        step.write(Part::Value, index, &values).expect("held");
    }
    let image = 3 * SIZE * SIZE;
    let pixels = 0..(BATCH * image) as u64;
    let images: Vec<f32> = pixels.map(|at| Key::new(3).normal(at) as f32).collect();
    let (mut loss, mut masks) = (0.0, Vec::new());
    for (part, first) in images
        .chunks(micro_batch * image)
        .zip((0..).step_by(micro_batch))
    {
        step.feed("image", part).expect("the model takes images");
        let draw = Draw {
            seed: 5,
            step: 7,
            first_sample: place(first) as u64,
        };
        loss += step.accumulate(draw).expect("it runs") as f64;
        masks.extend(step.output("mask").expect("it is kept"));
    }
    let gradient = |(index, info): (usize, &mimc::train::step::WeightInfo)| {
        let mut values = vec![0.0; info.len()];
        step.read(Part::Gradient, index, &mut values).expect("held");
        (info.name.clone(), values)
    };
    Accumulated {
        loss: loss / (BATCH / micro_batch) as f64,
        masks,
        gradients: weights.iter().enumerate().map(gradient).collect(),
    }
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|x| (x as f64).powi(2)).sum::<f64>().sqrt()
}

fn assert_cuts_agree(encoder: &str) {
    let recipe = recipe(encoder, SIZE, &format!("batch: {BATCH}"));
    let whole = accumulated(&recipe, BATCH, |first| first);
    for micro_batch in [1, 2, 3, 4, 6] {
        let parts = accumulated(&recipe, micro_batch, |first| first);
        assert_eq!(parts.masks, whole.masks, "micro-batches of {micro_batch}");
        let off = (parts.loss / whole.loss - 1.0).abs();
        assert!(
            off <= 1e-6,
            "micro-batches of {micro_batch}: loss off by {off:.1e}"
        );
        for ((name, got), (same, want)) in parts.gradients.iter().zip(&whole.gradients) {
            assert_eq!(name, same);
            let whole = norm(want.iter().copied());
            let off = norm(got.iter().zip(want).map(|(a, b)| a - b));
            assert!(whole > 0.0, "{name} has no gradient");
            assert!(
                off <= 1e-5 * whole,
                "micro-batches of {micro_batch}: {name} off by {off:.1e} of {whole:.1e}"
            );
        }
    }
    // Had every micro-batch the draws of the first, one would see it.
    let wrong = accumulated(&recipe, 4, |_| 0);
    assert!((wrong.loss / whole.loss - 1.0).abs() > 1e-4);
    assert_ne!(wrong.masks, whole.masks);
}

#[test]
fn windows_have_the_same_loss_and_gradients_however_the_batch_is_cut() {
    assert_cuts_agree(WINDOWS);
}

#[test]
fn tokens_have_the_same_loss_and_gradients_however_the_batch_is_cut() {
    assert_cuts_agree(TOKENS);
}

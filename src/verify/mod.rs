//! Holds a recipe against the numbers of another implementation: same weights, images and masks in; loss, activations,
//! gradients, the first optimizer steps and their results out.
//!
//! Loss, gradients and trajectory come from the training program as it trains. Activations come from a second program of
//! the same graph, for what is kept cannot be fused away.

mod activations;
mod check;
mod compare;
mod error;
mod gradients;
mod inputs;
mod reference;
mod trajectory;

pub use check::{CHECKS, Check, CheckInfo, Report, Row, Tolerance, Tolerances};
pub use error::VerifyError;
pub use reference::{Reference, ReferenceError};

use crate::{
    backend::Backend,
    compile::{Options, Program, compile},
    language::library::Library,
    recipe::Recipe,
    train::{
        mismatch::Mismatch,
        step::{Draw, Part, Step, WeightInfo},
    },
};
use check::Bench;
use std::collections::{BTreeMap, BTreeSet};

/// Compares everything that the file holds. The recipe must be loaded with the file's [`Reference::sets`].
///
/// # Errors
/// A recipe that does not compile, a file that does not fit its model, and a model that draws random numbers. A number
/// that is out of tolerance is no error: it stands in the report.
pub fn verify(
    recipe: &Recipe,
    library: &Library,
    backend: &dyn Backend,
    reference: &mut Reference,
    tolerances: &Tolerances,
) -> Result<Report, VerifyError> {
    let program = compile(recipe, library, &Options::default())?;
    let mask = inputs::mask(&program.graph, reference)?;
    let mut step = prepare(program, backend, reference)?;

    let mut bench = Bench::new(tolerances, recipe.train.computed_in());
    trajectory::check(&mut *step, mask, reference, &mut bench)?;
    activations::check(recipe, library, backend, mask, reference, &mut bench)?;
    check_decay(step.weights(), reference, &mut bench);
    bench.report()
}

/// Readies a program that starts from the file's weights.
fn prepare(
    program: Program,
    backend: &dyn Backend,
    reference: &mut Reference,
) -> Result<Box<dyn Step>, VerifyError> {
    // The seed is of no consequence: every weight is overwritten.
    let mut step = program.prepare(backend, 0)?;
    same_names(step.weights(), reference, "param/")?;
    for (index, weight) in step.weights().to_vec().iter().enumerate() {
        let values = reference.read(&format!("param/{}", weight.name))?;
        step.write(Part::Value, index, &values)?;
    }
    Ok(step)
}

/// Feeds the images and masks of a step.
fn feed(
    step: &mut dyn Step,
    mask: inputs::Mask,
    reference: &mut Reference,
    at: usize,
) -> Result<Draw, VerifyError> {
    step.feed("image", &reference.of_step("train/images", at)?)?;
    step.feed("mask", &reference.of_step(mask.key(), at)?)?;
    Ok(Draw {
        seed: 0,
        step: at as u64,
        first_sample: 0,
    })
}

/// Whether the file has, behind a prefix, exactly one tensor per weight, of its shape.
fn same_names(
    weights: &[WeightInfo],
    reference: &Reference,
    prefix: &'static str,
) -> Result<(), VerifyError> {
    let wanted = weights
        .iter()
        .map(|weight| (weight.name.as_str(), format!("{:?}", weight.dims)));
    let group = reference.group(prefix);
    let found: BTreeMap<_, _> = group
        .iter()
        .map(|(name, dims)| (name.as_str(), format!("{dims:?}")))
        .collect();
    match Mismatch::between(wanted.collect(), found) {
        None => Ok(()),
        Some(mismatch) => Err(VerifyError::Names { prefix, mismatch }),
    }
}

/// The weights without decay must be those of the file: not one more, not one fewer.
fn check_decay(weights: &[WeightInfo], reference: &Reference, bench: &mut Bench) {
    let Some(theirs) = reference.no_decay() else {
        return bench.lacks(Check::NoDecay);
    };
    let ours = weights.iter().filter(|weight| !weight.decay);
    let ours: BTreeSet<_> = ours.map(|weight| weight.name.as_str()).collect();
    let theirs: BTreeSet<_> = theirs.iter().map(String::as_str).collect();
    let mut differing = ours.symmetric_difference(&theirs);
    let count = differing.clone().count();
    let first = differing.next().map_or("", |name| name);
    bench.measure(Check::NoDecay, count as f64, || first.to_owned());
}

//! The first optimizer steps, by the program that trains.

use super::{
    Check, Reference, VerifyError,
    check::Bench,
    compare::{norm, over},
    feed,
    gradients::{self, Alive},
    inputs::Mask,
    same_names,
};
use crate::train::step::{Part, Step};

/// Makes the steps of the file: compares the loss, gradients and norms on the way and the weights at the end.
pub fn check(
    step: &mut dyn Step,
    mask: Mask,
    reference: &mut Reference,
    bench: &mut Bench,
) -> Result<(), VerifyError> {
    let draw = feed(step, mask, reference, 0)?;
    let first = step.accumulate(draw)?;
    compare_number(Check::Loss, "output/loss", first, reference, bench)?;
    let alive = gradients::check(step, reference, bench)?;

    let Some(rates) = reference.numbers("train/lrs")? else {
        for check in [Check::Trajectory, Check::GradientNorms, Check::Final] {
            bench.lacks(check);
        }
        return Ok(());
    };
    let (mut losses, mut norms) = (vec![first], Vec::new());
    for (at, &rate) in rates.iter().enumerate() {
        if at > 0 {
            let draw = feed(step, mask, reference, at)?;
            losses.push(step.accumulate(draw)?);
        }
        norms.push(step.apply(rate, at as u64 + 1)?);
    }
    compare_steps(Check::Trajectory, "train/losses", &losses, reference, bench)?;
    let key = "train/grad_norms";
    compare_steps(Check::GradientNorms, key, &norms, reference, bench)?;
    compare_final(step, alive, reference, bench)
}

fn compare_number(
    check: Check,
    key: &'static str,
    ours: f32,
    reference: &mut Reference,
    bench: &mut Bench,
) -> Result<(), VerifyError> {
    match reference.numbers(key)?.as_deref() {
        Some([theirs, ..]) => bench.measure(check, relative(ours, *theirs), String::new),
        _ => bench.lacks(check),
    }
    Ok(())
}

fn compare_steps(
    check: Check,
    key: &'static str,
    ours: &[f32],
    reference: &mut Reference,
    bench: &mut Bench,
) -> Result<(), VerifyError> {
    let Some(theirs) = reference.numbers(key)? else {
        bench.lacks(check);
        return Ok(());
    };
    for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        bench.measure(check, relative(*ours, *theirs), || format!("step {at}"));
    }
    Ok(())
}

/// Compares the weights behind the last step, relative to how far they went.
fn compare_final(
    step: &dyn Step,
    alive: Option<Alive>,
    reference: &mut Reference,
    bench: &mut Bench,
) -> Result<(), VerifyError> {
    if reference.group("final/").is_empty() {
        bench.lacks(Check::Final);
        return Ok(());
    }
    same_names(step.weights(), reference, "final/")?;
    let mut ours = Vec::new();
    for (index, weight) in step.weights().iter().enumerate() {
        ours.resize(weight.len(), 0.0);
        step.read(Part::Value, index, &mut ours)?;
        let start = reference.read(&format!("param/{}", weight.name))?;
        let end = reference.read(&format!("final/{}", weight.name))?;
        let counts = |i: &usize| alive.as_ref().is_none_or(|alive| alive.at(index, *i));
        let elements: Vec<usize> = (0..weight.len()).filter(counts).collect();
        let distance = |a: &[f32], b: &[f32]| {
            norm(elements.iter().map(|&i| f64::from(a[i]) - f64::from(b[i])))
        };
        let off = over(distance(&ours, &end), distance(&end, &start));
        bench.measure(Check::Final, off, || weight.name.clone());
    }
    Ok(())
}

fn relative(ours: f32, theirs: f32) -> f64 {
    let (ours, theirs) = (f64::from(ours), f64::from(theirs));
    over((ours - theirs).abs(), theirs.abs())
}

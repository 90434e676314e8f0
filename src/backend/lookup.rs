//! What a step is asked for by name, found in its plan.

use crate::{
    plan::{BufferId, Kernel, Plan, Weight},
    train::step::{Part, StepError, WeightInfo},
};

/// The weights of a plan, as those who train it see them.
pub fn weights(plan: &Plan) -> Vec<WeightInfo> {
    let info = |weight: &Weight| WeightInfo {
        name: weight.name.clone(),
        dims: weight.dims.clone(),
        decay: weight.decay,
    };
    plan.weights.iter().map(info).collect()
}

/// A tensor of a weight. A program that only looks has no gradients and no moments: `None`.
pub fn part(plan: &Plan, part: Part, weight: usize) -> Option<BufferId> {
    let weight = &plan.weights[weight];
    let training = weight.training.as_ref();
    match part {
        Part::Value => Some(weight.value),
        Part::Gradient => training.map(|t| t.gradient),
        Part::FirstMoment => training.map(|t| t.first_moment),
        Part::SecondMoment => training.map(|t| t.second_moment),
    }
}

/// The index of a feed that takes so many numbers.
///
/// # Errors
/// Where there is none of the name, and where it takes another number.
pub fn feed(plan: &Plan, name: &str, numbers: usize) -> Result<usize, StepError> {
    let feeds = &plan.feeds;
    let Some(at) = feeds.iter().position(|(known, _)| known == name) else {
        return Err(StepError::UnknownInput {
            name: name.into(),
            known: names(feeds),
        });
    };
    let wanted = plan.buffers[feeds[at].1].len();
    match wanted == numbers {
        true => Ok(at),
        false => Err(StepError::InputLength {
            name: name.into(),
            wanted,
            got: numbers,
        }),
    }
}

/// Whether a micro-batch reads what is fed there, so that it must be fed.
pub fn is_read(plan: &Plan, feed: usize) -> bool {
    let buffer = plan.feeds[feed].1;
    let mut kernels = plan.accumulate.iter().map(|s| &s.kernel);
    kernels.any(|kernel| kernel.reads().contains(&buffer))
}

/// # Errors
/// Where the program keeps no such output.
pub fn output(plan: &Plan, name: &str) -> Result<BufferId, StepError> {
    let found = plan.outputs.iter().find(|(known, _)| known == name);
    found
        .map(|(_, buffer)| *buffer)
        .ok_or_else(|| StepError::UnknownOutput {
            name: name.into(),
            known: names(&plan.outputs),
        })
}

/// The decay of both moments.
///
/// # Errors
/// Where the program does not train.
pub fn betas(plan: &Plan) -> Result<[f64; 2], StepError> {
    let sweep = plan.apply.iter().find_map(|s| match &s.kernel {
        Kernel::AdamW(sweep) => Some(sweep.betas),
        _ => None,
    });
    sweep.ok_or_else(|| StepError::Backend("this program does not train".into()))
}

fn names(of: &[(String, BufferId)]) -> Vec<String> {
    of.iter().map(|(name, _)| name.clone()).collect()
}

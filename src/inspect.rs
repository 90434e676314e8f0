//! What a checkpoint holds, in numbers.

use crate::train::{
    checkpoint::{Checkpoint, CheckpointError, State},
    metrics,
    step::Part,
};
use serde::Serialize;
use std::path::Path;

/// A checkpoint, its tensors summed up.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// Where the run stood.
    pub state: State,
    /// Of the last step before it, where the run's `metrics.jsonl` lies beside its checkpoints.
    pub loss: Option<f32>,
    /// In the order of the model.
    pub weights: Vec<Numbers>,
    /// All numbers of all weights.
    pub parameters: usize,
    /// Numbers that are no numbers or without end, in weights and moments.
    pub not_finite: usize,
}

/// A weight, and how the optimizer saw its gradient.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Numbers {
    /// Of the weight.
    pub name: String,
    /// Of the weight.
    pub shape: Vec<usize>,
    /// Over its finite numbers, as all that follows.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
    /// Largest absolute value.
    pub largest: f64,
    /// Euclidean.
    pub norm: f64,
    /// Root of the mean of the running squared gradient: the size of a usual entry of the gradient.
    pub gradient: f64,
    /// In the weight and both of its moments.
    pub not_finite: usize,
}

/// Sums up every tensor of a checkpoint; one is in memory at a time.
///
/// # Errors
/// The file cannot be read.
pub fn inspect(checkpoint: &mut Checkpoint) -> Result<Inspection, CheckpointError> {
    let mut values = Vec::new();
    let mut weights = Vec::new();
    for (name, shape) in checkpoint.weights() {
        values.resize(shape.iter().product(), 0.0);
        checkpoint.read(Part::Value, &name, &mut values)?;
        let of = Sums::over(&values);
        let mean = of.sum / of.count;
        // Around the mean, not around zero: the squares of a weight near 1 would swallow it.
        let finite = values.iter().filter(|value| value.is_finite());
        let squares: f64 = finite.map(|&value| (f64::from(value) - mean).powi(2)).sum();
        let deviation = (squares / of.count).sqrt();
        checkpoint.read(Part::FirstMoment, &name, &mut values)?;
        let first = Sums::over(&values);
        checkpoint.read(Part::SecondMoment, &name, &mut values)?;
        let second = Sums::over(&values);
        weights.push(Numbers {
            name,
            shape,
            mean,
            deviation,
            largest: of.largest,
            norm: of.squares.sqrt(),
            gradient: (second.sum / second.count).max(0.0).sqrt(),
            not_finite: of.not_finite + first.not_finite + second.not_finite,
        });
    }
    Ok(Inspection {
        state: checkpoint.state().clone(),
        loss: loss(checkpoint),
        parameters: weights
            .iter()
            .map(|w| w.shape.iter().product::<usize>())
            .sum(),
        not_finite: weights.iter().map(|w| w.not_finite).sum(),
        weights,
    })
}

/// Checkpoints lie in a folder of their own, below the run's.
fn loss(checkpoint: &Checkpoint) -> Option<f32> {
    let run = checkpoint.path().parent().and_then(Path::parent)?;
    let records = metrics::read(&run.join("metrics.jsonl")).ok()?;
    let step = checkpoint.state().step;
    records
        .into_iter()
        .find(|record| record.step == step)
        .map(|record| record.loss)
}

/// Over the finite values of a tensor.
#[derive(Default)]
struct Sums {
    count: f64,
    sum: f64,
    squares: f64,
    largest: f64,
    not_finite: usize,
}

impl Sums {
    fn over(values: &[f32]) -> Self {
        let mut sums = Self::default();
        for &value in values {
            if !value.is_finite() {
                sums.not_finite += 1;
                continue;
            }
            let value = f64::from(value);
            sums.count += 1.0;
            sums.sum += value;
            sums.squares += value * value;
            sums.largest = sums.largest.max(value.abs());
        }
        // The mean of nothing is 0.
        sums.count = sums.count.max(1.0);
        sums
    }
}

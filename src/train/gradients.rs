//! How large the gradient of each weight is.

use super::step::{Part, Step, StepError};

/// Norms of the gradients that are summed up for the next update, in the order of [`Step::weights`]. Read one weight at a
/// time: the memory of the largest is all it takes.
///
/// # Errors
/// Where the backend cannot read them.
pub fn norms(program: &dyn Step) -> Result<Vec<f32>, StepError> {
    let mut gradient = Vec::new();
    let weights = program.weights().iter().enumerate();
    let norms = weights.map(|(index, weight)| {
        gradient.resize(weight.len(), 0.0);
        program.read(Part::Gradient, index, &mut gradient)?;
        let squares = gradient.iter().map(|&x| f64::from(x) * f64::from(x));
        Ok(squares.sum::<f64>().sqrt() as f32)
    });
    norms.collect()
}

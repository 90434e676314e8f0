//! Gradients by name, and which of their elements are zero but for rounding.
//!
//! Some gradients are zero by mathematics: a bias of the keys shifts all scores of a query alike, which softmax does not
//! notice. Computed, they are rounding noise, which no other implementation has in common, and which Adam, dividing by its
//! own size, turns into steps. Such elements are told by their size, compared by absolute size, and left out where
//! trained weights are compared.

use super::{
    Check, Reference, VerifyError,
    check::Bench,
    compare::{norm, over, rms},
    same_names,
};
use crate::{
    recipe::Precision,
    train::step::{Part, Step},
};

/// Of each weight, which elements have a gradient worth the name.
pub struct Alive(Vec<Vec<bool>>);

impl Alive {
    /// Whether an element of a weight has a gradient that is more than noise.
    pub fn at(&self, weight: usize, element: usize) -> bool {
        self.0[weight][element]
    }
}

/// Compares the gradients that wait in the program with those of the file; nothing where it holds none.
pub fn check(
    step: &dyn Step,
    reference: &mut Reference,
    bench: &mut Bench,
) -> Result<Option<Alive>, VerifyError> {
    if reference.group("grad/").is_empty() {
        bench.lacks(Check::Gradients);
        return Ok(None);
    }
    same_names(step.weights(), reference, "grad/")?;
    bench.allow_gradients(reference.gradient_floor());
    bench.allow_whole_gradient(reference.autocast());
    let mut theirs = Vec::new();
    for weight in step.weights() {
        theirs.push(reference.read(&format!("grad/{}", weight.name))?);
    }
    let whole = whole_rms(&theirs);
    let mut alive = Vec::new();
    let mut ours = Vec::new();
    let (mut off, mut size) = (0.0, 0.0);
    for (index, weight) in step.weights().iter().enumerate() {
        ours.resize(weight.len(), 0.0);
        step.read(Part::Gradient, index, &mut ours)?;
        let gradient = Gradient::new(&ours, &theirs[index], whole);
        if let Some(off) = gradient.relative() {
            bench.measure(Check::Gradients, off, || weight.name.clone());
        }
        if let Some(off) = gradient.of_zeros() {
            bench.measure(Check::ZeroGradients, off, || weight.name.clone());
        }
        off += norm(gradient.all().map(|(ours, theirs)| ours - theirs)).powi(2);
        size += norm(gradient.all().map(|(_, theirs)| theirs)).powi(2);
        alive.push(gradient.alive);
    }
    // In f32 the gradient of each weight says more.
    if bench.precision() == Precision::Bf16 {
        bench.measure(
            Check::WholeGradient,
            over(off.sqrt(), size.sqrt()),
            String::new,
        );
    }
    Ok(Some(Alive(alive)))
}

/// The gradient of one weight.
struct Gradient<'a> {
    ours: &'a [f32],
    theirs: &'a [f32],
    /// The size of a typical element, of this weight or of the whole gradient.
    scale: f64,
    alive: Vec<bool>,
}

impl<'a> Gradient<'a> {
    fn new(ours: &'a [f32], theirs: &'a [f32], whole: f64) -> Self {
        let scale = rms(theirs).max(whole);
        // What rounding leaves of a sum that cancels is below the last bit of its terms.
        let noise = f64::from(f32::EPSILON) * scale;
        Self {
            ours,
            theirs,
            scale,
            alive: theirs.iter().map(|g| f64::from(g.abs()) > noise).collect(),
        }
    }

    /// ‖Δ‖/‖g‖ over the elements that are alive.
    fn relative(&self) -> Option<f64> {
        let size = norm(self.pairs(true).map(|(_, theirs)| theirs));
        let off = norm(self.pairs(true).map(|(ours, theirs)| ours - theirs));
        self.alive.contains(&true).then(|| over(off, size))
    }

    /// The largest difference over the scale, among the elements that are zero.
    fn of_zeros(&self) -> Option<f64> {
        let off = self
            .pairs(false)
            .map(|(ours, theirs)| (ours - theirs).abs());
        // `f64::max` would pass over what is not a number.
        let worst = off.reduce(|a, b| if b > a || b.is_nan() { b } else { a })?;
        Some(over(worst, self.scale))
    }

    fn all(&self) -> impl Iterator<Item = (f64, f64)> {
        let pairs = self.ours.iter().zip(self.theirs);
        pairs.map(|(ours, theirs)| (f64::from(*ours), f64::from(*theirs)))
    }

    fn pairs(&self, alive: bool) -> impl Iterator<Item = (f64, f64)> {
        let wanted = self.all().zip(&self.alive);
        let wanted = wanted.filter(move |(_, a)| **a == alive);
        wanted.map(|(pair, _)| pair)
    }
}

/// Root mean square over all weights.
fn whole_rms(gradients: &[Vec<f32>]) -> f64 {
    let elements: usize = gradients.iter().map(Vec::len).sum();
    let all = gradients.iter().flatten().map(|g| f64::from(*g));
    norm(all) / (elements.max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_told_from_gradients() {
        let theirs = [0.3, 1e-11, -0.4, -2e-11, 0.0];
        let exact = Gradient::new(&theirs, &theirs, 1e-3);
        assert_eq!(exact.alive, [true, false, true, false, false]);
        assert_eq!(exact.relative(), Some(0.0));

        let noisy = [0.3, -3e-11, -0.4, 1e-11, 1e-12];
        let noisy = Gradient::new(&noisy, &theirs, 1e-3);
        assert_eq!(noisy.relative(), Some(0.0));
        assert!(noisy.of_zeros().is_some_and(|off| off < 1e-9));

        let wrong = [0.3, 1e-3, -0.4, 0.0, 0.0];
        let wrong = Gradient::new(&wrong, &theirs, 1e-3);
        assert_eq!(wrong.relative(), Some(0.0));
        assert!(wrong.of_zeros().is_some_and(|off| off > 1e-3));
    }

    #[test]
    fn a_weight_of_noise_alone_is_measured_by_the_whole_gradient() {
        let theirs = [1e-11, -2e-11];
        let gradient = Gradient::new(&[2e-11, 2e-11], &theirs, 1e-3);
        assert_eq!(gradient.relative(), None);
        assert!(gradient.of_zeros().is_some_and(|off| off < 1e-7));
    }

    #[test]
    fn a_gradient_that_is_no_number_is_not_passed_over() {
        let theirs = [1.0, 0.0, 0.0];
        let gradient = Gradient::new(&[1.0, f32::NAN, 0.0], &theirs, 1.0);
        assert!(gradient.of_zeros().is_some_and(f64::is_nan));
    }
}

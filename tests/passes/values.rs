//! What graphs compute, by luminal's primitives.

use crate::leaf;
use mimc::{
    backend::reference,
    ir::{
        Graph,
        ops::{Input, InputKind, Part, own},
        rewrite, roots,
    },
};
use std::collections::BTreeMap;

/// The values of every root.
pub type Values = BTreeMap<String, Vec<f32>>;

pub fn all(graph: &Graph) -> Values {
    reference::run(graph, &leaf)
}

/// Whether every root of `before` has its values in `after`: numbers up to `tolerance` of the largest, infinities and what is
/// no number in the same places.
pub fn same(before: &Values, after: &Values, tolerance: f32) -> Result<(), String> {
    for (name, a) in before {
        let b = after.get(name);
        let b = b.ok_or_else(|| format!("the output `{name}` is gone"))?;
        if a.len() != b.len() {
            return Err(format!(
                "`{name}` has {} elements, not {}",
                b.len(),
                a.len()
            ));
        }
        let finite = a.iter().filter(|x| x.is_finite());
        let largest = finite.fold(0.0, |most: f32, x| most.max(x.abs()));
        for (place, (&x, &y)) in a.iter().zip(b).enumerate() {
            let near = (x - y).abs() <= tolerance * largest.max(0.1);
            if !(x == y || (x.is_nan() && y.is_nan()) || near) {
                return Err(format!("`{name}` is {y} at {place}, and was {x}"));
            }
        }
    }
    Ok(())
}

/// Step of the differences: what the leaves hold are sixteenths, so no kink lies within it.
const STEP: f32 = 1.0 / 128.0;
/// Of a slope's own size, or of 1.
const SLOPE_TOLERANCE: f64 = 5e-3;

/// Whether the gradients in `after` are the slopes of the loss of `graph`.
pub fn slopes(graph: &Graph, after: &Values) -> Result<(), String> {
    let weights = rewrite::schedule(graph)
        .into_iter()
        .filter_map(|node| own::<Input>(graph, node))
        .filter(|input| matches!(input.kind, InputKind::Weight { .. }));
    for weight in weights {
        let root = roots::next(Part::Gradient, &weight.name);
        let gradient = &after[&root];
        let earlier = leaf(&Input {
            kind: InputKind::State(Part::Gradient),
            ..weight.clone()
        });
        for place in 0..gradient.len() {
            let loss = |step: f32| {
                let shifted = |input: &Input| {
                    let mut values = leaf(input);
                    if input == weight {
                        values[place] += step;
                    }
                    values
                };
                let of = reference::run_roots(graph, &|name| name == roots::LOSS, &shifted);
                f64::from(of[roots::LOSS][0])
            };
            let slope = (loss(STEP) - loss(-STEP)) / f64::from(2.0 * STEP);
            let found = f64::from(gradient[place] - earlier[place]);
            if (found - slope).abs() > SLOPE_TOLERANCE * slope.abs().max(1.0) {
                return Err(format!(
                    "`{root}` is {found} at {place}, and the loss rises by {slope}"
                ));
            }
        }
    }
    Ok(())
}

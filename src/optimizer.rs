//! The update, appended to the graph: the norm of the whole gradient, the factor that clips it, one AdamW node per weight.

use crate::ir::{
    Graph, Origin, Rewriter, Value,
    ops::{AdamW, Input, InputKind, Part, SumSquares, own},
    rewrite, roots,
};

/// AdamW (Loshchilov & Hutter 2019).
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Decay of the mean gradient and of its square, each in \[0, 1).
    pub betas: [f64; 2],
    /// Keeps the division away from zero.
    pub eps: f32,
    /// Of the weights that decay.
    pub decay: f32,
    /// Largest norm of the whole gradient; a longer one is scaled down to it.
    pub clip: Option<f32>,
}

/// Scalars that the caller feeds to every update, see [`scalars`].
pub const RATE: &str = "lr";
/// The feeds with which the moments are divided: `1 − βᵗ` of each beta.
pub const CORRECTIONS: [&str; 2] = ["correction1", "correction2"];

/// Adds, for every weight, the roots `weight.<name>`, `first_moment.<name>` and `second_moment.<name>`, its values after
/// the update, and the root `gradient_norm`, the norm before clipping. The update reads the accumulated gradients.
pub fn append(graph: &mut Graph, settings: &Settings) {
    let weights = weights(graph);
    let mut r = Rewriter::new(graph);
    let gradients: Vec<Value> = weights
        .iter()
        .map(|w| state(&mut r, w, Part::Gradient))
        .collect();
    let squares = weights
        .iter()
        .zip(&gradients)
        .map(|(weight, gradient)| {
            at(&mut r, &format!("squares.{}", weight.name));
            r.op(SumSquares, &[gradient]).remove(0)
        })
        .collect();
    at(&mut r, "norm");
    let total = sum(&mut r, squares);
    let norm = r.sqrt(&total);
    r.add_root(roots::GRADIENT_NORM, &norm);
    at(&mut r, "clip");
    let clip = clip_factor(&mut r, &norm, settings.clip);
    let [rate, correction1, correction2] =
        [RATE, CORRECTIONS[0], CORRECTIONS[1]].map(|name| r.input(name, &[], InputKind::Feed));
    for (weight, gradient) in weights.iter().zip(&gradients) {
        let value = r.input(&weight.name, &weight.dims, weight.kind.clone());
        let first = state(&mut r, weight, Part::FirstMoment);
        let second = state(&mut r, weight, Part::SecondMoment);
        let decays = matches!(weight.kind, InputKind::Weight { decay: true, .. });
        let update = AdamW {
            betas: settings.betas,
            eps: settings.eps,
            decay: if decays { settings.decay } else { 0.0 },
        };
        let inputs = [
            &value,
            gradient,
            &first,
            &second,
            &rate,
            &correction1,
            &correction2,
            &clip,
        ];
        at(&mut r, &format!("update.{}", weight.name));
        let next = r.op(update, &inputs);
        let parts = [Part::Value, Part::FirstMoment, Part::SecondMoment];
        for (part, value) in parts.into_iter().zip(&next) {
            r.add_root(&roots::next(part, &weight.name), value);
        }
    }
}

/// What an update is fed: the rate, and how much of each moment's limit `update` steps (from 1) have reached.
pub fn scalars(betas: [f64; 2], lr: f32, update: u64) -> [(&'static str, f32); 3] {
    let reached = |beta: f64| (1.0 - beta.powf(update as f64)) as f32;
    [
        (RATE, lr),
        (CORRECTIONS[0], reached(betas[0])),
        (CORRECTIONS[1], reached(betas[1])),
    ]
}

/// The weights of a graph, in its order.
fn weights(graph: &Graph) -> Vec<Input> {
    rewrite::schedule(graph)
        .into_iter()
        .filter_map(|n| own::<Input>(graph, n))
        .filter(|input| matches!(input.kind, InputKind::Weight { .. }))
        .cloned()
        .collect()
}

/// Nodes added from now on are of a part of the update.
fn at(r: &mut Rewriter, part: &str) {
    r.set_origin(Origin {
        path: format!("optimizer.{part}").into(),
        backward: false,
    });
}

fn state(r: &mut Rewriter, weight: &Input, part: Part) -> Value {
    r.input(&weight.name, &weight.dims, InputKind::State(part))
}

/// The sum of scalars, by pairs: the rounding error grows with the logarithm of their number.
fn sum(r: &mut Rewriter, mut terms: Vec<Value>) -> Value {
    if terms.is_empty() {
        return r.constant(0.0, &[]);
    }
    while terms.len() > 1 {
        terms = terms
            .chunks(2)
            .map(|pair| match pair {
                [a, b] => r.add(a, b),
                rest => rest[0].clone(),
            })
            .collect();
    }
    terms.remove(0)
}

/// `min(1, clip / (norm + 1e-6))`, as PyTorch's `clip_grad_norm_` has it.
fn clip_factor(r: &mut Rewriter, norm: &Value, clip: Option<f32>) -> Value {
    let Some(clip) = clip else {
        return r.constant(1.0, &[]);
    };
    let norm = r.offset(norm, 1e-6);
    let factor = r.recip(&norm);
    let factor = r.scale(&factor, clip);
    // min(1, x), exactly: 1 where 1 < x, else x.
    let one = r.constant(1.0, &[]);
    let above = r.less(&one, &factor);
    let below = r.sub(&one, &above);
    let kept = r.mul(&factor, &below);
    r.add(&kept, &above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::reference,
        ir::{new_graph, ops::Init, verify::verify},
    };

    /// Two weights, of which the first decays, with gradients of norm 5.
    fn update(clip: Option<f32>) -> std::collections::BTreeMap<String, Vec<f32>> {
        let mut graph = new_graph(1);
        let mut r = Rewriter::new(&mut graph);
        for (name, dims, decay) in [("w", vec![2], true), ("b", vec![], false)] {
            let init = Init::Fill(0.0);
            let weight = r.input(name, &dims, InputKind::Weight { decay, init });
            r.add_root(name, &weight);
        }
        let settings = Settings {
            betas: [0.9, 0.99],
            eps: 1e-8,
            decay: 0.5,
            clip,
        };
        append(&mut graph, &settings);
        assert_eq!(verify(&graph), Ok(()));
        let scalars = scalars(settings.betas, 0.1, 1);
        reference::run(&graph, &|input| match (&*input.name, &input.kind) {
            ("w", InputKind::State(Part::Gradient)) => vec![3.0, 0.0],
            ("b", InputKind::State(Part::Gradient)) => vec![-4.0],
            ("w", InputKind::Weight { .. }) => vec![1.0, 2.0],
            ("b", InputKind::Weight { .. }) => vec![1.0],
            ("w", InputKind::State(_)) => vec![0.0; 2],
            ("b", InputKind::State(_)) => vec![0.0],
            (name, _) => {
                let found = scalars.iter().find(|s| s.0 == name);
                vec![found.expect("only scalars are fed").1]
            }
        })
    }

    fn near(a: f32, b: f32) -> bool {
        (a - b).abs() < 1e-5
    }

    #[test]
    fn the_first_step_is_as_long_as_the_rate() {
        let after = update(None);
        assert!(near(after["gradient_norm"][0], 5.0));
        // Shrunk by 1 - 0.1 · 0.5, then moved by the rate against the gradient's sign.
        assert!(near(after["weight.w"][0], 0.95 - 0.1));
        assert!(near(after["weight.w"][1], 1.9));
        assert!(near(after["weight.b"][0], 1.0 + 0.1));
        assert!(near(after["first_moment.w"][0], 0.3));
        assert!(near(after["second_moment.b"][0], 0.16));
    }

    #[test]
    fn a_long_gradient_is_clipped_and_a_short_one_is_not() {
        let clipped = update(Some(1.0));
        assert!(near(clipped["gradient_norm"][0], 5.0));
        assert!(near(clipped["first_moment.w"][0], 0.06));
        assert_eq!(
            update(Some(10.0))["first_moment.w"],
            update(None)["first_moment.w"]
        );
    }
}

//! How the weights of an emitted module start: as the recipe says, by mean, spread and bound.

use mimc::{elaborate::Weight, ir::ops::Init};
use serde_json::Value;

/// Compares mean, spread and largest size of every weight with what its initialiser has; `started` is of PyTorch.
pub fn assert_starts(name: &str, weights: &[Weight], started: &Value) {
    for weight in weights {
        let got: Vec<f64> = match started[&weight.name].as_array() {
            Some(of) => of.iter().filter_map(Value::as_f64).collect(),
            None => panic!("{name}: no weight `{}` in PyTorch", weight.name),
        };
        let [mean, spread, largest] = got[..] else {
            panic!(
                "{name}: `{}` starts with what is no number: {got:?}",
                weight.name
            );
        };
        let (centre, std, bound) = match weight.init {
            Init::Fill(value) => (value, 0.0, value.abs()),
            Init::Normal { std } => (0.0, std, 6.0 * std),
            Init::TruncNormal { std, bound } => (0.0, std * cut(bound / std), bound),
            Init::Uniform { bound } => (0.0, bound / 3.0_f64.sqrt(), bound),
        };
        // Five standard errors, and what f32 rounds.
        let room = 5.0 / (weight.len() as f64).sqrt();
        let told = format!(
            "{name}: `{}` is {:?}, started as {got:?}",
            weight.name, weight.init
        );
        assert!((mean - centre).abs() <= room * std + 1e-6, "{told}");
        assert!(
            weight.len() < 30 || (spread - std).abs() <= room * std + 1e-6,
            "{told}"
        );
        assert!(largest <= bound + 1e-6, "{told}");
    }
}

/// The spread of a standard normal that is cut off beyond ±a: √(1 - 2aφ(a) / (2Φ(a) - 1)).
fn cut(a: f64) -> f64 {
    let density = (-a * a / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let inside = libm::erf(a / 2.0_f64.sqrt());
    (1.0 - 2.0 * a * density / inside).sqrt()
}

//! The first values of weights.

use rayon::prelude::*;

use crate::{ir::ops::Init, random::Key};

/// The first values of a weight, row-major: a pure function of (seed, name, element), on all threads.
pub fn initial(init: &Init, name: &str, dims: &[usize], seed: u64) -> Vec<f32> {
    /// Tries before a truncated draw is cut instead: at one standard deviation the chance to get here is 0.32^64.
    const TRIES: u64 = 64;
    let key = Key::new(seed).with("initial").with(name);
    let elements = dims.iter().product::<usize>();
    let draw = |p: u64| match *init {
        Init::Fill(x) => x,
        Init::Normal { std } => std * key.normal(p),
        Init::TruncNormal { std, bound } => {
            let tries = (0..TRIES).map(|attempt| std * key.at(p).normal(attempt));
            tries
                .clone()
                .find(|x| x.abs() <= bound)
                .unwrap_or_else(|| (std * key.at(p).normal(0)).clamp(-bound, bound))
        }
        Init::Uniform { bound } => bound * (2.0 * key.uniform(p) - 1.0),
    };
    let values = (0..elements).into_par_iter();
    values.map(|p| draw(p as u64) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(init: Init) -> (f64, f64, f64) {
        let values = initial(&init, "w", &[200, 200], 3);
        let n = values.len() as f64;
        let mean = values.iter().map(|&x| x as f64).sum::<f64>() / n;
        let spread = values
            .iter()
            .map(|&x| (x as f64 - mean).powi(2))
            .sum::<f64>()
            / n;
        let most = values.iter().fold(0.0, |m: f64, x| m.max(x.abs() as f64));
        (mean, spread.sqrt(), most)
    }

    #[test]
    fn draws_have_the_stated_spread_and_bounds() {
        let (mean, std, _) = moments(Init::Normal { std: 0.02 });
        assert!(
            mean.abs() < 5e-4 && (std - 0.02).abs() < 3e-4,
            "{mean} {std}"
        );
        let (mean, std, most) = moments(Init::TruncNormal {
            std: 0.02,
            bound: 0.02,
        });
        // A normal cut at one deviation has a deviation of 0.5396 of it.
        assert!(
            mean.abs() < 3e-4 && (std - 0.02 * 0.5396).abs() < 2e-4 && most <= 0.02,
            "{mean} {std} {most}"
        );
        let (mean, std, most) = moments(Init::Uniform { bound: 0.1 });
        assert!(
            mean.abs() < 1e-3 && (std - 0.1 / 3f64.sqrt()).abs() < 1e-3 && most <= 0.1,
            "{mean} {std} {most}"
        );
        assert_eq!(initial(&Init::Fill(0.1), "w", &[2], 0), [0.1, 0.1]);
    }

    #[test]
    fn values_belong_to_the_seed_and_the_name() {
        let of = |name: &str, seed| initial(&Init::Normal { std: 1.0 }, name, &[8], seed);
        assert_eq!(of("a", 1), of("a", 1));
        assert!(of("a", 1) != of("b", 1) && of("a", 1) != of("a", 2));
    }
}

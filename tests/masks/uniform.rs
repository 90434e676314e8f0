//! Whether every choice of units is equally likely: single units, pairs of units, and masks that follow one another.
//!
//! Let k of n units be hidden, any k alike. How often a unit was hidden and how often a pair was hidden then deviates from the
//! mean in two independent ways: by unit (n - 1 degrees of freedom), and by what the units do not explain of the pairs
//! (n(n - 3) / 2 degrees). Both sums of squares, over their variance, are chi-squared.

use super::{Grid, of_smallest};
use mimc::random::Key;

const UNITS: usize = 36;
const HIDDEN: usize = 22;
const MASKS: usize = 20_000;
/// One fair test in a thousand is beyond, on each side.
const DEVIATIONS: f64 = 3.09;

fn grid() -> Grid {
    Grid {
        size: 192,
        unit: 32,
        ratio: 0.6,
    }
}

/// Counts of what was hidden, and of what was hidden together.
struct Tally {
    masks: f64,
    singles: Vec<f64>,
    pairs: Vec<Vec<f64>>,
}

impl Tally {
    fn of(masks: &[Vec<f32>]) -> Self {
        let mut tally = Tally {
            masks: masks.len() as f64,
            singles: vec![0.0; UNITS],
            pairs: vec![vec![0.0; UNITS]; UNITS],
        };
        for mask in masks {
            let hidden: Vec<_> = (0..UNITS).filter(|&at| mask[at] == 1.0).collect();
            assert_eq!(hidden.len(), HIDDEN);
            for (i, &a) in hidden.iter().enumerate() {
                tally.singles[a] += 1.0;
                hidden[i + 1..]
                    .iter()
                    .for_each(|&b| tally.pairs[a][b] += 1.0);
            }
        }
        tally
    }

    /// Chi-squared of the units.
    fn by_unit(&self) -> f64 {
        let (n, k) = (UNITS as f64, HIDDEN as f64);
        let (mean, p) = (self.masks * k / n, k / n);
        let squares: f64 = self
            .singles
            .iter()
            .map(|count| (count - mean).powi(2))
            .sum();
        squares / (self.masks * p * (1.0 - p) * n / (n - 1.0))
    }

    /// Chi-squared of the pairs, without what the units explain.
    fn by_pair(&self) -> f64 {
        let (n, k) = (UNITS as f64, HIDDEN as f64);
        let count = n * (n - 1.0) / 2.0;
        let (p, together) = (k / n, k * (k - 1.0) / (n * (n - 1.0)));
        // A unit that was hidden once more is in k - 1 more pairs.
        let unit = |at: usize| (k - 1.0) / (n - 2.0) * (self.singles[at] - self.masks * p);
        let pairs = (0..UNITS).flat_map(|a| (a + 1..UNITS).map(move |b| (a, b)));
        let left = pairs.map(|(a, b)| self.pairs[a][b] - self.masks * together - unit(a) - unit(b));
        let all = count * together * (1.0 - together);
        let by_unit = (k - 1.0).powi(2) / (n - 2.0) * n * p * (1.0 - p);
        let variance = (all - by_unit) / pair_freedom();
        left.map(|x| x * x).sum::<f64>() / (self.masks * variance)
    }

    fn is_fair(&self) -> (bool, bool) {
        let fair = |found, freedom| {
            let [low, high] = [-DEVIATIONS, DEVIATIONS].map(|z| quantile(freedom, z));
            low < found && found < high
        };
        let units = fair(self.by_unit(), UNITS as f64 - 1.0);
        (units, fair(self.by_pair(), pair_freedom()))
    }
}

fn pair_freedom() -> f64 {
    (UNITS * (UNITS - 3) / 2) as f64
}

/// Of chi-squared, `z` normal deviations from its middle (Wilson & Hilferty 1931).
fn quantile(freedom: f64, z: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    freedom * (1.0 - spread + z * spread.sqrt()).powi(3)
}

fn assert_fair(masks: &[Vec<f32>], what: &str) {
    let tally = Tally::of(masks);
    let (units, pairs) = (tally.by_unit(), tally.by_pair());
    assert_eq!(
        tally.is_fair(),
        (true, true),
        "{what}: chi-squared {units:.1} by unit, {pairs:.1} by pair"
    );
}

/// Deviations from what chance says of how much consecutive masks overlap.
fn overlap(masks: &[Vec<f32>]) -> f64 {
    let (n, k) = (UNITS as f64, HIDDEN as f64);
    let shared =
        |pair: &[Vec<f32>]| -> f32 { pair[0].iter().zip(&pair[1]).map(|(a, b)| a * b).sum() };
    let total: f64 = masks.windows(2).map(|pair| shared(pair) as f64).sum();
    let pairs = masks.len() as f64 - 1.0;
    let variance = (k * (n - k) / n).powi(2) / (n - 1.0);
    (total - pairs * k * k / n) / (pairs * variance).sqrt()
}

#[test]
fn units_and_pairs_are_hidden_evenly_from_image_to_image() {
    let mut masks = grid().on_kernels(1000);
    let all: Vec<_> = (0..MASKS / 1000)
        .flat_map(|part| masks.draw(3, 1000 * part))
        .collect();
    assert_fair(&all, "one step");
    assert!(overlap(&all).abs() < DEVIATIONS, "{}", overlap(&all));
}

#[test]
fn units_and_pairs_are_hidden_evenly_from_step_to_step() {
    let mut masks = grid().on_kernels(1);
    let all: Vec<_> = (0..MASKS as u64)
        .flat_map(|step| masks.draw(step, 7))
        .collect();
    assert_fair(&all, "one image");
    assert!(overlap(&all).abs() < DEVIATIONS, "{}", overlap(&all));
}

/// Masks from numbers for each mask and unit: the smallest are hidden.
fn ranked(draw: impl Fn(u64, u64) -> f32) -> Vec<Vec<f32>> {
    let one = |mask| {
        (0..UNITS as u64)
            .map(|unit| draw(mask, unit))
            .collect::<Vec<_>>()
    };
    (0..MASKS as u64)
        .map(|mask| of_smallest(&one(mask), HIDDEN))
        .collect()
}

#[test]
fn the_tests_pass_a_fair_sampler_and_catch_unfair_ones() {
    let key = Key::new(4);
    let uniform = |mask: u64, unit: u64| key.at(mask).uniform(unit) as f32;
    assert_fair(&ranked(uniform), "fair");

    // The first unit is a little likelier.
    let biased = ranked(|mask, unit| uniform(mask, unit) * if unit == 0 { 0.95 } else { 1.0 });
    assert!(!Tally::of(&biased).is_fair().0);
    // Six bits: ties are many, and go to the first.
    let coarse = ranked(|mask, unit| (uniform(mask, unit) * 64.0).floor());
    assert!(!Tally::of(&coarse).is_fair().0);
    // Units all alike, but the last two are mostly hidden together.
    let friends = ranked(|mask, unit| match unit {
        35 if key.at(mask).uniform(99) < 0.2 => uniform(mask, 34),
        _ => uniform(mask, unit),
    });
    assert_eq!(Tally::of(&friends).is_fair(), (true, false));
    // One mask, moved along: every unit is hidden equally often, to the last mask.
    let moved = ranked(|mask, unit| ((unit + mask) % UNITS as u64) as f32);
    let (units, pairs) = (Tally::of(&moved).by_unit(), Tally::of(&moved).is_fair().1);
    assert!(units < 1.0 && !pairs);
    // Every other mask is the one before it.
    let repeated = ranked(|mask, unit| uniform(mask / 2, unit));
    assert!(overlap(&repeated) > 100.0);
}

//! What is compared, how far it may be off, and how far it is.

use super::VerifyError;
use crate::recipe::Precision;
use serde::Serialize;
use std::{collections::BTreeMap, str::FromStr};

/// One kind of comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Of the first step.
    Loss,
    /// Of each named module.
    Activations,
    /// The predicted images.
    Reconstruction,
    /// Of each weight.
    Gradients,
    /// Of all weights together; in bf16 alone.
    WholeGradient,
    /// Elements whose gradient is zero but for rounding.
    ZeroGradients,
    /// The loss of each step.
    Trajectory,
    /// Of each step, before clipping.
    GradientNorms,
    /// Each weight behind the last step.
    Final,
    /// Which weights do not decay.
    NoDecay,
}

/// How a check is called and what it tolerates: between the rounding noise of right implementations and the smallest
/// effect of wrong ones (another GELU, no clipping, one weight's decay), both measured on small models over ten steps. Each step
/// starts from the rounding of those before it, so what compares steps tolerates too little of many more.
#[derive(Debug)]
pub struct CheckInfo {
    /// Which it is.
    pub check: Check,
    /// As reports and `--tolerance` call it.
    pub name: &'static str,
    /// Unless the command line says otherwise.
    pub limit: f64,
    /// As `limit`, of a program in bf16.
    pub in_bf16: f64,
    /// What is compared, and how.
    pub doc: &'static str,
}

const fn info(
    check: Check,
    name: &'static str,
    limit: f64,
    in_bf16: f64,
    doc: &'static str,
) -> CheckInfo {
    CheckInfo {
        check,
        name,
        limit,
        in_bf16,
        doc,
    }
}

/// Every check, in the order of a report.
#[rustfmt::skip]
pub const CHECKS: &[CheckInfo] = &[
    info(Check::Loss, "loss", 2e-6, 1e-3, "of the first step, relative"),
    info(Check::Activations, "activations", 1e-5, 2e-2, "of each named module, ‖Δ‖/‖a‖"),
    info(Check::Reconstruction, "reconstruction", 1e-5, 2e-2, "the predicted images, ‖Δ‖/‖x‖"),
    info(Check::Gradients, "gradients", 5e-5, 1.5e-1, "of each weight, ‖Δ‖/‖g‖; at least five times the file's own rounding"),
    info(Check::WholeGradient, "whole-gradient", 5e-5, 3e-2, "of all weights together, ‖Δ‖/‖g‖, in bf16; if the file says, 1.25 times what autocast is off by"),
    info(Check::ZeroGradients, "zero-gradients", 5e-5, 2.5e-1, "elements whose gradient is zero but for rounding, over the scale of the others"),
    info(Check::Trajectory, "trajectory", 5e-6, 1e-3, "loss of each step, relative"),
    info(Check::GradientNorms, "gradient-norms", 2e-3, 1e-1, "of each step before clipping, relative"),
    info(Check::Final, "final", 5e-3, 5e-1, "each weight behind the last step, ‖Δ‖/‖update‖"),
    info(Check::NoDecay, "no-decay", 0.0, 0.0, "weights whose decay differs"),
];

impl Check {
    /// Its row of [`CHECKS`].
    pub fn info(self) -> &'static CheckInfo {
        let found = CHECKS.iter().find(|info| info.check == self);
        found.expect("the table has every check")
    }
}

/// Limits in place of those of [`CHECKS`].
#[derive(Debug, Clone, Default)]
pub struct Tolerances(BTreeMap<Check, f64>);

impl Tolerances {
    /// Puts a limit in the place of the check's own.
    pub fn set(&mut self, Tolerance(check, limit): Tolerance) {
        self.0.insert(check, limit);
    }

    /// The limit of a check, and for gradients no less than `floor`.
    fn limit(&self, check: Check, precision: Precision, floor: f64) -> f64 {
        let usual = match precision {
            Precision::F32 => check.info().limit,
            Precision::Bf16 => check.info().in_bf16,
        };
        let usual = match check {
            Check::Gradients | Check::ZeroGradients => floor.max(usual),
            _ => usual,
        };
        self.0.get(&check).copied().unwrap_or(usual)
    }
}

/// `gradients=1e-4`
#[derive(Debug, Clone, Copy)]
pub struct Tolerance(Check, f64);

impl FromStr for Tolerance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || {
            let names: Vec<_> = CHECKS.iter().map(|info| info.name).collect();
            format!("wanted CHECK=LIMIT with one of {}", names.join(", "))
        };
        let (name, limit) = text.split_once('=').ok_or_else(wanted)?;
        let info = CHECKS.iter().find(|info| info.name == name);
        let info = info.ok_or_else(wanted)?;
        match limit.parse() {
            Ok(limit) if limit >= 0.0 => Ok(Self(info.check, limit)),
            _ => Err(format!("`{limit}` is no limit: wanted a number, 0 or more")),
        }
    }
}

/// The worst of one kind of comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Which it is.
    pub check: Check,
    /// Not a number where a compared number was none.
    pub worst: f64,
    /// What it may be at most.
    pub limit: f64,
    /// What was worst: a weight, a module, a step. Empty where there is but one.
    pub place: String,
    /// Comparisons made.
    pub compared: usize,
}

impl Row {
    /// Whether the worst is within the limit.
    pub fn passes(&self) -> bool {
        self.worst <= self.limit
    }
}

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// In the order of [`CHECKS`].
    pub rows: Vec<Row>,
    /// What the file holds nothing about.
    pub absent: Vec<Check>,
}

impl Report {
    /// Whether every row does.
    pub fn passes(&self) -> bool {
        self.rows.iter().all(Row::passes)
    }

    /// The row of a check, unless the file holds nothing about it.
    pub fn row(&self, check: Check) -> Option<&Row> {
        self.rows.iter().find(|row| row.check == check)
    }
}

/// Where measurements are collected.
pub(super) struct Bench<'a> {
    tolerances: &'a Tolerances,
    precision: Precision,
    /// What autocast is off by with the same model.
    autocast: Option<f64>,
    /// What the file's own gradients may be off by, times a margin.
    gradient_floor: f64,
    rows: BTreeMap<Check, Row>,
    absent: Vec<Check>,
}

impl<'a> Bench<'a> {
    pub fn new(tolerances: &'a Tolerances, precision: Precision) -> Self {
        Self {
            tolerances,
            precision,
            autocast: None,
            gradient_floor: 0.0,
            rows: BTreeMap::new(),
            absent: Vec::new(),
        }
    }

    /// Lets gradients be off by so much, whatever the table says.
    pub fn allow_gradients(&mut self, floor: f64) {
        self.gradient_floor = floor;
    }

    /// Lets the whole gradient be off by so much, whatever the table says.
    pub fn allow_whole_gradient(&mut self, autocast: Option<f64>) {
        self.autocast = autocast;
    }

    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The file holds nothing about a check.
    pub fn lacks(&mut self, check: Check) {
        self.absent.push(check);
    }

    /// Adds one comparison. What is not a number is worse than any number.
    pub fn measure(&mut self, check: Check, off: f64, place: impl FnOnce() -> String) {
        let given = self.tolerances.0.contains_key(&check);
        let limit = match (check, self.autocast) {
            (Check::WholeGradient, Some(autocast)) if !given => autocast,
            _ => (self.tolerances).limit(check, self.precision, self.gradient_floor),
        };
        let row = self.rows.entry(check).or_insert_with(|| Row {
            check,
            worst: f64::NEG_INFINITY,
            limit,
            place: String::new(),
            compared: 0,
        });
        row.compared += 1;
        if !row.worst.is_nan() && (off.is_nan() || off > row.worst) {
            (row.worst, row.place) = (off, place());
        }
    }

    /// # Errors
    /// If nothing was compared but the names of weights.
    pub fn report(self) -> Result<Report, VerifyError> {
        let numbers = |check: &Check| *check != Check::NoDecay;
        if !self.rows.keys().any(numbers) {
            return Err(VerifyError::NothingToCompare);
        }
        let mut absent = self.absent;
        absent.sort_unstable();
        Ok(Report {
            rows: self.rows.into_values().collect(),
            absent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_checks() {
        assert!(CHECKS.is_sorted_by(|a, b| a.check < b.check));
    }

    #[test]
    fn the_worst_is_kept_and_what_is_no_number_is_worst() {
        let tolerances = Tolerances::default();
        let mut bench = Bench::new(&tolerances, Precision::F32);
        for (step, off) in [1e-7, 3e-6, f64::NAN, 1.0].into_iter().enumerate() {
            bench.measure(Check::Loss, 1e-6, String::new);
            bench.measure(Check::Trajectory, off, || format!("step {step}"));
        }
        let report = bench.report().expect("something was compared");
        let row = report.row(Check::Trajectory).expect("measured");
        assert!(row.worst.is_nan() && row.place == "step 2" && row.compared == 4);
        assert!(!row.passes() && !report.passes());
        assert!(report.row(Check::Loss).is_some_and(Row::passes));
    }

    #[test]
    fn a_report_about_nothing_is_an_error() {
        let tolerances = Tolerances::default();
        let mut bench = Bench::new(&tolerances, Precision::F32);
        bench.measure(Check::NoDecay, 0.0, String::new);
        assert!(bench.report().is_err());
    }

    #[test]
    fn tolerances_are_read_and_apply() {
        let mut tolerances = Tolerances::default();
        let limit = |t: &Tolerances, floor| t.limit(Check::Gradients, Precision::F32, floor);
        assert_eq!(limit(&tolerances, 1e-4), 1e-4);
        assert_eq!(limit(&tolerances, 1e-6), 5e-5);
        let half = tolerances.limit(Check::Gradients, Precision::Bf16, 1e-6);
        assert!(half > 1e-2);
        tolerances.set("gradients=1e-3".parse().expect("sound"));
        assert_eq!(limit(&tolerances, 1e-4), 1e-3);
        for wrong in ["gradients", "gradient=1", "loss=-1", "loss=NaN", "loss=x"] {
            assert!(wrong.parse::<Tolerance>().is_err(), "{wrong}");
        }
    }
}

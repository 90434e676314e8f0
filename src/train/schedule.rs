//! The learning rate of every optimizer step, as the official SimMIM code computes it.
//!
//! Rates are written per 512 images and scale with the batch. Warm-up is linear per step; the cosine runs over the whole
//! run, with no offset for the warm-up, so that the rate drops a little where the warm-up ends. The official scheduler
//! advances *after* the optimizer: step 0 uses the rate it starts with, step `t` the curve at `t − 1`, so steps 0 and 1
//! are alike. <https://github.com/microsoft/SimMIM/blob/main/lr_scheduler.py>

use std::f64::consts::PI;

/// The batch that rates are written for.
const REFERENCE_BATCH: f64 = 512.0;

/// A schedule as a recipe writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleConfig {
    /// What the rate does behind the warm-up.
    pub curve: Curve,
    /// Rate at the end of the warm-up, per 512 images.
    pub base_lr: f64,
    /// Rate of the first step, per 512 images; unused without warm-up.
    pub warmup_lr: f64,
    /// Rate at the end of the run, per 512 images; used by [`Curve::Cosine`] and [`Curve::Linear`].
    pub min_lr: f64,
    /// May be a fraction; the official code rounds the steps down.
    pub warmup_epochs: f64,
}

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Length {
    /// May be a fraction; the official code rounds the steps down.
    pub epochs: f64,
    /// Whole batches in an epoch, at least 1.
    pub steps_per_epoch: u64,
    /// Images per optimizer step, over all devices and micro-batches.
    pub batch: usize,
}

/// What the rate does behind the warm-up.
#[derive(Debug, Clone, PartialEq)]
pub enum Curve {
    /// Half a cosine from the base rate at step 0 to the least rate at the end of the run.
    Cosine,
    /// A line from the base rate at the end of the warm-up to the least rate at the end of the run. The official code
    /// ends at a hundredth of the base rate.
    Linear,
    /// Times `gamma` at each of the milestones, in epochs, rising.
    Multistep {
        /// In epochs, rising.
        milestones: Vec<f64>,
        /// Factor of each.
        gamma: f64,
    },
    /// Times `gamma` every so many epochs.
    Step {
        /// In epochs.
        every: f64,
        /// Factor of each.
        gamma: f64,
    },
    /// The base rate throughout.
    Constant,
}

/// Rates as the optimizer sees them: scaled to the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// After the warm-up.
    pub base: f64,
    /// Where the warm-up starts.
    pub warmup: f64,
    /// At the end of the run.
    pub min: f64,
}

/// Gives the rate of each step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    rates: Rates,
    curve: Steps,
    warmup: u64,
    total: u64,
}

/// [`Curve`] in steps.
#[derive(Debug, Clone, PartialEq)]
enum Steps {
    Cosine,
    Linear,
    Multistep { milestones: Vec<f64>, gamma: f64 },
    Step { every: u64, gamma: f64 },
    Constant,
}

/// Why a schedule makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "a variant's message says what its fields hold")]
pub enum ScheduleError {
    #[error(
        "the run ends within its warm-up: train.schedule.warmup_epochs = {warmup}, train.epochs = {epochs}"
    )]
    WarmupPastEnd { warmup: f64, epochs: f64 },
    #[error(
        "the rate falls within the warm-up: train.schedule.milestones starts at epoch {milestone}, train.schedule.warmup_epochs = {warmup}"
    )]
    WarmupPastMilestone { warmup: f64, milestone: f64 },
    #[error("train.schedule.milestones must rise, got {0:?}")]
    Unordered(Vec<f64>),
    #[error("schedule `step` needs at least one step between drops, got {0} epochs")]
    NoInterval(f64),
}

impl ScheduleConfig {
    /// The rates scaled to a batch.
    pub fn rates(&self, batch: usize) -> Rates {
        let scale = |lr: f64| lr * batch as f64 / REFERENCE_BATCH;
        Rates {
            base: scale(self.base_lr),
            warmup: scale(self.warmup_lr),
            min: scale(self.min_lr),
        }
    }
}

impl Schedule {
    /// # Errors
    /// A warm-up that outlasts the run or the first milestone, milestones that do not rise, or an interval of no steps.
    pub fn new(config: &ScheduleConfig, length: Length) -> Result<Self, ScheduleError> {
        let in_steps = |epochs: f64| (epochs * length.steps_per_epoch as f64) as u64;
        let (warmup, total) = (in_steps(config.warmup_epochs), in_steps(length.epochs));
        if warmup > total {
            return Err(ScheduleError::WarmupPastEnd {
                warmup: config.warmup_epochs,
                epochs: length.epochs,
            });
        }
        let curve = match &config.curve {
            Curve::Cosine => Steps::Cosine,
            Curve::Linear => Steps::Linear,
            Curve::Constant => Steps::Constant,
            Curve::Multistep { milestones, gamma } => {
                check_milestones(milestones, config.warmup_epochs)?;
                let steps = |epochs: &f64| epochs * length.steps_per_epoch as f64;
                Steps::Multistep {
                    milestones: milestones.iter().map(steps).collect(),
                    gamma: *gamma,
                }
            }
            Curve::Step { every, gamma } => match in_steps(*every) {
                0 => return Err(ScheduleError::NoInterval(*every)),
                steps => Steps::Step {
                    every: steps,
                    gamma: *gamma,
                },
            },
        };
        Ok(Self {
            rates: config.rates(length.batch),
            curve,
            warmup,
            total,
        })
    }

    /// The rate of an optimizer step, counted from 0.
    pub fn lr(&self, step: u64) -> f64 {
        self.at(step.saturating_sub(1))
    }

    /// The rates after scaling to the batch.
    pub fn rates(&self) -> Rates {
        self.rates
    }

    /// Steps of the warm-up.
    pub fn warmup_steps(&self) -> u64 {
        self.warmup
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.total
    }

    /// The curve itself, at a number of updates already made.
    fn at(&self, t: u64) -> f64 {
        let Rates { base, warmup, min } = self.rates;
        if t < self.warmup {
            return warmup + t as f64 * ((base - warmup) / self.warmup as f64);
        }
        let ended = t >= self.total;
        match &self.curve {
            Steps::Cosine | Steps::Linear if ended => min,
            Steps::Cosine => {
                min + 0.5 * (base - min) * (1.0 + (PI * t as f64 / self.total as f64).cos())
            }
            Steps::Linear => {
                let share = (t - self.warmup) as f64 / (self.total - self.warmup) as f64;
                base - (base - min) * share
            }
            Steps::Multistep { milestones, gamma } => {
                let passed = milestones.partition_point(|&milestone| milestone <= t as f64);
                base * gamma.powf(passed as f64)
            }
            Steps::Step { every, gamma } => base * gamma.powf((t / every) as f64),
            Steps::Constant => base,
        }
    }
}

fn check_milestones(milestones: &[f64], warmup: f64) -> Result<(), ScheduleError> {
    if !milestones.is_sorted() {
        return Err(ScheduleError::Unordered(milestones.to_vec()));
    }
    match milestones.first() {
        Some(&milestone) if milestone < warmup => {
            Err(ScheduleError::WarmupPastMilestone { warmup, milestone })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ImageNet's 1,281,167 images in batches of 2048.
    const IMAGENET: Length = Length {
        epochs: 100.0,
        steps_per_epoch: 625,
        batch: 2048,
    };

    fn swin_b_100() -> ScheduleConfig {
        ScheduleConfig {
            curve: Curve::Cosine,
            base_lr: 2e-4,
            warmup_lr: 1e-6,
            min_lr: 1e-5,
            warmup_epochs: 10.0,
        }
    }

    fn multistep(milestones: &[f64]) -> ScheduleConfig {
        ScheduleConfig {
            curve: Curve::Multistep {
                milestones: milestones.to_vec(),
                gamma: 0.1,
            },
            ..swin_b_100()
        }
    }

    fn every(epochs: f64) -> ScheduleConfig {
        ScheduleConfig {
            curve: Curve::Step {
                every: epochs,
                gamma: 0.1,
            },
            ..swin_b_100()
        }
    }

    #[track_caller]
    fn assert_rates(config: &ScheduleConfig, length: Length, expected: &[(u64, f64)]) {
        let schedule = Schedule::new(config, length).expect("the schedule is valid");
        for &(step, lr) in expected {
            let got = schedule.lr(step);
            let close = (got / lr - 1.0).abs() < 1e-9;
            assert!(close, "step {step}: got {got:e}, want {lr:e}");
        }
    }

    #[test]
    fn swin_b_100_epochs() {
        // Scaled by 2048/512: 4e-6 rising by (8e-4 − 4e-6) / 6250 a step, then the cosine at 0.1, 0.5 and almost 1 of π.
        let expected = [
            (0, 4e-6),
            (1, 4e-6),
            (2, 4.12736e-6),
            (6250, 7.9987264e-4),
            (6251, 7.814_014_761_921_584e-4),
            (31_251, 4.2e-4),
            (62_500, 4.000_000_048e-5),
        ];
        assert_rates(&swin_b_100(), IMAGENET, &expected);
    }

    #[test]
    fn swin_b_800_epochs() {
        let config = ScheduleConfig {
            base_lr: 1e-4,
            warmup_lr: 5e-7,
            ..multistep(&[700.0])
        };
        let length = Length {
            epochs: 800.0,
            ..IMAGENET
        };
        let expected = [
            (0, 2e-6),
            (6250, 2e-6 + 6249.0 * (4e-4 - 2e-6) / 6250.0),
            (6251, 4e-4),
            (437_500, 4e-4),
            (437_501, 4e-5),
            (499_999, 4e-5),
        ];
        assert_rates(&config, length, &expected);
    }

    #[test]
    fn rates_scale_with_the_batch() {
        let half = Rates {
            base: 1e-4,
            warmup: 5e-7,
            min: 5e-6,
        };
        assert_eq!(swin_b_100().rates(256), half);
    }

    #[test]
    fn linear_ends_at_the_least_rate() {
        let config = ScheduleConfig {
            curve: Curve::Linear,
            min_lr: 2e-6,
            ..swin_b_100()
        };
        // Behind the warm-up 56,250 steps remain; a third of them leaves two thirds of 8e-4 − 8e-6.
        let third = 8e-6 + 7.92e-4 * 2.0 / 3.0;
        let expected = [(6251, 8e-4), (25_001, third), (62_501, 8e-6)];
        assert_rates(&config, IMAGENET, &expected);
    }

    #[test]
    fn step_falls_again_and_again() {
        let expected = [(18_750, 8e-4), (18_751, 8e-5), (37_501, 8e-6)];
        assert_rates(&every(30.0), IMAGENET, &expected);
    }

    #[test]
    fn without_warm_up_a_run_starts_at_the_base_rate() {
        for curve in [Curve::Cosine, Curve::Constant] {
            let config = ScheduleConfig {
                curve,
                warmup_epochs: 0.0,
                ..swin_b_100()
            };
            assert_rates(&config, IMAGENET, &[(0, 8e-4), (1, 8e-4)]);
        }
    }

    #[test]
    fn fractions_of_an_epoch_round_down() {
        let config = ScheduleConfig {
            warmup_epochs: 0.5,
            ..swin_b_100()
        };
        let length = Length {
            epochs: 1.5,
            steps_per_epoch: 7,
            ..IMAGENET
        };
        let schedule = Schedule::new(&config, length).expect("valid");
        assert_eq!((schedule.warmup_steps(), schedule.total_steps()), (3, 10));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused =
            |config: &ScheduleConfig| Schedule::new(config, IMAGENET).expect_err("refused");
        let long = ScheduleConfig {
            warmup_epochs: 101.0,
            ..swin_b_100()
        };
        assert_eq!(
            refused(&long).to_string(),
            "the run ends within its warm-up: train.schedule.warmup_epochs = 101, train.epochs = 100"
        );
        let early = ScheduleError::WarmupPastMilestone {
            warmup: 10.0,
            milestone: 5.0,
        };
        assert_eq!(refused(&multistep(&[5.0])), early);
        let falling = ScheduleError::Unordered(vec![80.0, 60.0]);
        assert_eq!(refused(&multistep(&[80.0, 60.0])), falling);
        assert_eq!(refused(&every(0.001)), ScheduleError::NoInterval(0.001));
    }
}

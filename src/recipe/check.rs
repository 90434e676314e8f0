//! Rules that more than one key takes part in.

use super::{Data, ScheduleName, Train, reader::Values};
use crate::diagnostic::Diagnostic;

pub fn check(data: &Data, train: &Train, values: &Values) -> Vec<Diagnostic> {
    let mut check = Check {
        data,
        train,
        values,
        found: Vec::new(),
    };
    check.crop();
    check.batch();
    check.schedule();
    check.found
}

struct Check<'a> {
    data: &'a Data,
    train: &'a Train,
    values: &'a Values,
    found: Vec<Diagnostic>,
}

impl Check<'_> {
    /// Reports a mistake at the first of the keys, with the values of all, unless one of them is wrong by itself.
    fn report(&mut self, message: String, keys: &[(&str, String)], help: &str) {
        if keys
            .iter()
            .any(|(path, _)| self.values.broken.contains(path))
        {
            return;
        }
        let spans = &self.values.spans;
        let mut error = Diagnostic::error("keys-disagree", message).help(help);
        let written = keys.iter().find_map(|(path, _)| spans.get(path));
        if let Some(span) = written {
            error = error.at(span);
        }
        for (path, value) in keys {
            let fact = format!("{path} = {value}");
            error = match spans.get(path) {
                Some(span) => error.note_at(fact, span),
                None => error.note(format!("{fact}, the default")),
            };
        }
        self.found.push(error);
    }

    fn crop(&mut self) {
        let crop = &self.data.crop;
        for (path, [low, high]) in [
            ("data.crop.scale", crop.scale),
            ("data.crop.ratio", crop.ratio),
        ] {
            if low > high {
                let message = format!("`{path}` ends at {high} before it starts at {low}");
                let keys = [(path, format!("[{low}, {high}]"))];
                self.report(message, &keys, "the smaller number comes first");
            }
        }
    }

    fn batch(&mut self) {
        let train = self.train;
        let Some(micro) = train.micro_batch else {
            return;
        };
        if !train.batch.is_multiple_of(micro) {
            let message = format!(
                "a batch of {} does not split into micro-batches of {micro}",
                train.batch
            );
            let fitting = (1..=micro.min(train.batch))
                .rev()
                .find(|n| train.batch.is_multiple_of(*n));
            let help = format!(
                "the largest that does and is no larger: {}",
                fitting.unwrap_or(1)
            );
            let keys = [
                ("train.micro_batch", micro.to_string()),
                ("train.batch", train.batch.to_string()),
            ];
            self.report(message, &keys, &help);
        }
    }

    fn schedule(&mut self) {
        let train = self.train;
        let schedule = &train.schedule;
        let epochs = ("train.epochs", train.epochs.to_string());
        let warmup = (
            "train.schedule.warmup_epochs",
            schedule.warmup_epochs.to_string(),
        );
        let milestones = (
            "train.schedule.milestones",
            format!("{:?}", schedule.milestones),
        );
        let name = |name: &str| ("train.schedule.name", name.to_owned());
        if schedule.warmup_epochs > train.epochs {
            let message = "the warm-up is longer than the run".to_owned();
            self.report(
                message,
                &[warmup.clone(), epochs.clone()],
                "shorten the warm-up, or leave it out for a tenth of the run",
            );
        }
        match schedule.name {
            ScheduleName::Cosine | ScheduleName::Linear if schedule.min_lr > schedule.base_lr => {
                let keys = [
                    ("train.schedule.min_lr", schedule.min_lr.to_string()),
                    ("train.schedule.base_lr", schedule.base_lr.to_string()),
                ];
                let message = "the learning rate would rise towards its end".to_owned();
                self.report(message, &keys, "a schedule falls from base_lr to min_lr");
            }
            ScheduleName::Multistep => self.milestones(&milestones, &epochs, &warmup),
            ScheduleName::Step if schedule.milestones.len() != 1 => {
                let message = "`step` has one milestone, its period in epochs".to_owned();
                self.report(
                    message,
                    &[milestones, name("step")],
                    "for example milestones: [30]",
                );
            }
            _ => {}
        }
    }

    fn milestones(
        &mut self,
        milestones: &(&str, String),
        epochs: &(&str, String),
        warmup: &(&str, String),
    ) {
        let train = self.train;
        let at = &train.schedule.milestones;
        let (message, keys, help) = match (at.first(), at.last()) {
            (None, _) | (_, None) => (
                "`multistep` without milestones never falls",
                vec![
                    milestones.clone(),
                    ("train.schedule.name", "multistep".to_owned()),
                ],
                "name the epochs, or take the schedule `constant`",
            ),
            _ if !at.is_sorted_by(|a, b| a < b) => (
                "the milestones do not rise",
                vec![milestones.clone()],
                "each comes after the one before it",
            ),
            (Some(first), _) if *first < train.schedule.warmup_epochs => (
                "the first milestone falls into the warm-up",
                vec![milestones.clone(), warmup.clone()],
                "the rate falls after it has risen",
            ),
            (_, Some(last)) if *last >= train.epochs => (
                "the last milestone is not reached",
                vec![milestones.clone(), epochs.clone()],
                "leave it out, or train longer",
            ),
            _ => return,
        };
        self.report(message.to_owned(), &keys, help);
    }
}

//! What a recipe says of a run, in the terms of the loop.

use std::{collections::BTreeMap, num::NonZeroUsize};

use super::{
    checkpoint::checksum,
    output::Output,
    run::{Run, Validation},
    schedule::{Curve, ScheduleConfig},
};
use crate::{
    data::{Crop, DataConfig, Source},
    language::library::Library,
    recipe::{Images, Recipe, Schedule, ScheduleName},
};

impl Run {
    /// The whole run of a recipe, from its start. The library is that which compiled it: checkpoints tell by it whether a
    /// graph file has changed.
    pub fn from_recipe(recipe: &Recipe, library: &Library, output: Output) -> Self {
        let train = &recipe.train;
        Self {
            title: recipe.name.clone(),
            recipe: recipe.to_yaml(),
            graphs: checksums(library),
            output,
            resume: false,
            data: data_config(recipe),
            batch: train.batch,
            epochs: train.epochs,
            schedule: ScheduleConfig::from(&train.schedule),
            steps: None,
            checkpoint_every: train.checkpoint_every,
            // The last checkpoint stays whatever is asked for.
            keep: NonZeroUsize::new(train.keep).unwrap_or(NonZeroUsize::MIN),
            picture_every: train.picture_every,
            validation: recipe.data.validation.clone().map(|images| Validation {
                images,
                count: recipe.data.validation_count,
                every: train.validate_every,
            }),
        }
    }
}

/// Checksums of the graph files that were loaded, by their paths.
pub fn checksums(library: &Library) -> BTreeMap<String, String> {
    let graphs = library.loaded();
    let files = graphs.iter().map(|graph| &graph.span.file);
    files
        .map(|file| (file.path.clone(), checksum([&*file.text])))
        .collect()
}

impl From<&Schedule> for ScheduleConfig {
    fn from(schedule: &Schedule) -> Self {
        let Schedule {
            milestones, gamma, ..
        } = schedule.clone();
        let curve = match schedule.name {
            ScheduleName::Cosine => Curve::Cosine,
            ScheduleName::Linear => Curve::Linear,
            ScheduleName::Constant => Curve::Constant,
            ScheduleName::Multistep => Curve::Multistep { milestones, gamma },
            ScheduleName::Step => Curve::Step {
                // No period is refused as one of no steps is.
                every: milestones.first().copied().unwrap_or(0.0),
                gamma,
            },
        };
        Self {
            curve,
            base_lr: schedule.base_lr,
            warmup_lr: schedule.warmup_lr,
            min_lr: schedule.min_lr,
            warmup_epochs: schedule.warmup_epochs,
        }
    }
}

/// The images that a recipe names, and what is done to them.
pub fn data_config(recipe: &Recipe) -> DataConfig {
    let data = &recipe.data;
    DataConfig {
        images: match &data.images {
            Images::Folder(path) => Source::Folder(path.clone()),
            Images::Synthetic => Source::Synthetic { count: data.count },
        },
        size: data.size,
        crop: Crop {
            scale: data.crop.scale,
            ratio: data.crop.ratio,
        },
        flip: data.flip,
        mean: data.mean.map(|value| value as f32),
        std: data.std.map(|value| value as f32),
        shuffle_buffer: data.shuffle_buffer,
        workers: data.workers,
        seed: recipe.train.seed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::schedule::{Length, Schedule};

    fn run(recipe: &str, sets: &[&str]) -> Run {
        let sets: Vec<_> = sets.iter().map(|set| (*set).to_owned()).collect();
        let recipe = Recipe::load(recipe, &sets).expect("a sound recipe");
        Run::from_recipe(&recipe, &Library::new(&[]), Output::new("runs/test"))
    }

    #[test]
    fn swin_b_is_the_official_run() {
        let run = run("swin_b", &["data.images=photos"]);
        let expected = ScheduleConfig {
            curve: Curve::Cosine,
            base_lr: 2e-4,
            warmup_lr: 1e-6,
            min_lr: 1e-5,
            warmup_epochs: 10.0,
        };
        assert_eq!(
            (run.batch, run.epochs, run.schedule),
            (2048, 100.0, expected)
        );
        let data = DataConfig {
            images: Source::Folder("photos".into()),
            size: 192,
            crop: Crop {
                scale: [0.67, 1.0],
                ratio: [0.75, 1.333_333_3],
            },
            flip: true,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            shuffle_buffer: None,
            workers: 0,
            seed: 0,
        };
        assert_eq!(run.data, data);
        assert!(run.recipe.contains("base_lr"));
    }

    #[test]
    fn every_schedule_that_a_recipe_can_name_is_a_schedule() {
        let length = Length {
            epochs: 100.0,
            steps_per_epoch: 10,
            batch: 512,
        };
        let at_the_end = [
            ("cosine", "[]", 1e-5),
            ("linear", "[]", 1e-5),
            ("constant", "[]", 2e-4),
            ("multistep", "[50, 80]", 2e-6),
            ("step", "[30]", 2e-7),
        ];
        for (name, milestones, lr) in at_the_end {
            let name = format!("train.schedule.name={name}");
            let milestones = format!("train.schedule.milestones={milestones}");
            let run = run("swin_b", &[&name, &milestones]);
            let schedule = Schedule::new(&run.schedule, length).expect("sound");
            assert!(
                (schedule.lr(1001) / lr - 1.0).abs() < 1e-9,
                "{name}: {}",
                schedule.lr(1001)
            );
        }
    }
}

//! What has changed between the recipe of a checkpoint and the one that goes on from it, and what that means.

use std::{collections::BTreeMap, fmt};

use serde_yaml::Value;

use crate::recipe::{FIELDS, Fallback, Precision};

/// What becomes of a run when a key changes behind a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It makes the same bits.
    Same,
    /// It goes on, to other bits; the words say how.
    Goes(&'static str),
    /// It would be another run: refused.
    Another,
}

use Meaning::{Another, Goes, Same};

const FROM_HERE: &str = "from the next step on";
const ROUNDING: &str = "same images and masks; sums are rounded otherwise";
const REORDERED: &str =
    "in another order; in the epoch it stands in, some images come twice and others not at all";
const STRETCHED: &str = "the schedule is laid out anew; the step it stands at stays";

/// The meaning of each key, and of all keys below it. The first row that fits counts.
pub const MEANINGS: &[(&str, Meaning)] = &[
    ("doc", Same),
    ("model", Another),
    // Where images lie is nothing; which they are is compared by their names.
    ("data.images", Same),
    ("data.count", Same),
    ("data.shuffle_buffer", Goes(REORDERED)),
    ("data.validation", Same),
    ("data.validation_count", Same),
    ("data.size", Another),
    ("data.crop", Goes(FROM_HERE)),
    ("data.flip", Goes(FROM_HERE)),
    ("data.mean", Another),
    ("data.std", Another),
    ("data.workers", Same),
    ("train.epochs", Goes(STRETCHED)),
    ("train.batch", Another),
    ("train.micro_batch", Goes(ROUNDING)),
    ("train.precision", Another),
    ("train.recompute", Same),
    ("train.optimizer.name", Another),
    ("train.optimizer", Goes(FROM_HERE)),
    ("train.schedule", Goes(STRETCHED)),
    ("train.seed", Another),
    ("train.checkpoint_every", Same),
    ("train.keep", Same),
    ("train.picture_every", Same),
    ("train.validate_every", Same),
    ("train.log_every", Same),
];

/// The meaning of a key such as `train.schedule.base_lr`; a key that is in no row makes another run.
pub fn meaning(key: &str) -> Meaning {
    let below = |above: &str| {
        let rest = key.strip_prefix(above);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let row = MEANINGS.iter().find(|(above, _)| below(above));
    row.map_or(Another, |(_, meaning)| *meaning)
}

/// One key with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `model.encoder.depth`
    pub key: String,
    /// In the checkpoint, as YAML.
    pub was: String,
    /// Now, as YAML.
    pub is: String,
    /// What becomes of the run.
    pub meaning: Meaning,
}

impl fmt::Display for Change {
    /// `model.encoder.depth was 12 and is 6`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was {} and is {}", self.key, self.was, self.is)
    }
}

/// A resolved recipe, key by key.
pub type Settings = BTreeMap<String, String>;

/// Takes a resolved recipe apart: `model.encoder.depth` is `6`, `data.mean` is `[0.5, 0.5, 0.5]`. Keys that are younger
/// than the recipe have their defaults. A text that is no recipe is one setting, so that two of them differ.
pub fn settings(recipe: &str) -> Settings {
    let mut settings = Settings::new();
    match serde_yaml::from_str::<Value>(recipe) {
        Ok(root) => collect("", &root, &mut settings),
        Err(_) => drop(settings.insert("recipe".into(), recipe.into())),
    }
    for field in FIELDS {
        if let Fallback::Is(text) = field.default {
            let default = serde_yaml::from_str(text).expect("the table's defaults are YAML");
            let younger = || plain(&default);
            settings.entry(field.path.into()).or_insert_with(younger);
        }
    }
    // What nobody has settled was computed in f32.
    if let Some(precision) = settings.get_mut("train.precision")
        && precision == "auto"
    {
        *precision = Precision::F32.to_string();
    }
    settings
}

fn collect(path: &str, value: &Value, settings: &mut Settings) {
    let Value::Mapping(mapping) = value else {
        settings.insert(path.to_owned(), plain(value));
        return;
    };
    for (key, value) in mapping {
        let key = plain(key);
        let path = match path {
            "" => key,
            above => format!("{above}.{key}"),
        };
        collect(&path, value, settings);
    }
}

/// As a person writes it in one line.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(text) => text.clone(),
        Value::Sequence(items) => {
            let items: Vec<_> = items.iter().map(plain).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Mapping(mapping) => {
            let pairs = mapping.iter();
            let pairs: Vec<_> = pairs
                .map(|(key, value)| format!("{}: {}", plain(key), plain(value)))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Tagged(tagged) => plain(&tagged.value),
    }
}

/// The keys whose values differ, in the order of their names.
pub fn between(was: &Settings, is: &Settings) -> Vec<Change> {
    let mut keys: Vec<_> = was.keys().chain(is.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let absent = "absent".to_owned();
    let value = |of: &Settings, key: &String| of.get(key).unwrap_or(&absent).clone();
    keys.into_iter()
        .filter(|key| was.get(*key) != is.get(*key))
        .map(|key| Change {
            key: key.clone(),
            was: value(was, key),
            is: value(is, key),
            meaning: meaning(key),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    #[test]
    fn every_key_of_a_recipe_has_a_meaning_and_every_row_a_key() {
        let under = |above: &str, key: &str| {
            key == above || key.strip_prefix(above).is_some_and(|r| r.starts_with('.'))
        };
        for field in FIELDS {
            let told = MEANINGS.iter().any(|(above, _)| under(above, field.path));
            assert!(told, "{}", field.path);
        }
        for (above, _) in MEANINGS {
            assert!(FIELDS.iter().any(|f| under(above, f.path)), "{above}");
        }
        assert_eq!(meaning("train.optimizer.name"), Another);
        assert_eq!(meaning("train.optimizer.eps"), Goes(FROM_HERE));
        assert_eq!(meaning("modelling"), Another);
    }

    #[test]
    fn the_documentation_lists_the_same_meanings() {
        let docs = include_str!("../../docs/checkpoints.md");
        for (key, meaning) in MEANINGS {
            let told = match meaning {
                Same => "same bits",
                Goes(how) => how,
                Another => "refused",
            };
            let row = docs
                .lines()
                .find(|line| line.starts_with("| `") && line.contains(&format!("`{key}`")));
            let row = row.unwrap_or_else(|| panic!("docs/checkpoints.md has no row for {key}"));
            assert!(row.contains(told), "{row}: {told}");
        }
    }

    #[test]
    fn a_key_that_is_younger_than_a_checkpoint_has_its_default() {
        let now = Recipe::load("quickstart", &[])
            .expect("a sound recipe")
            .to_yaml();
        let before = now.replace("  shuffle_buffer: null\n", "");
        assert_ne!(now, before);
        assert_eq!(between(&settings(&before), &settings(&now)), []);
        let buffered = now.replace("shuffle_buffer: null", "shuffle_buffer: 8");
        let changes = between(&settings(&before), &settings(&buffered));
        let told: Vec<_> = changes.iter().map(Change::to_string).collect();
        assert_eq!(told, ["data.shuffle_buffer was null and is 8"]);
    }

    #[test]
    fn a_precision_that_nobody_settled_is_f32() {
        let recipe = |set: &str| {
            let recipe = Recipe::load("quickstart", &[format!("train.precision={set}")]);
            settings(&recipe.expect("a sound recipe").to_yaml())
        };
        assert_eq!(between(&recipe("auto"), &recipe("f32")), []);
        let changes = between(&recipe("auto"), &recipe("bf16"));
        let told: Vec<_> = changes.iter().map(Change::to_string).collect();
        assert_eq!(told, ["train.precision was f32 and is bf16"]);
    }

    #[test]
    fn differences_are_told_key_by_key() {
        let recipe = |sets: &[&str]| {
            let sets: Vec<_> = sets.iter().map(|set| (*set).to_owned()).collect();
            let recipe = Recipe::load("quickstart", &sets).expect("a sound recipe");
            settings(&recipe.to_yaml())
        };
        let changes = between(
            &recipe(&[]),
            &recipe(&[
                "model.encoder.depths=[2, 2]",
                "model.encoder.heads=[2, 4]",
                "model.masking.ratio=0.5",
                "train.epochs=2.5",
                "train.micro_batch=4",
            ]),
        );
        let told: Vec<_> = changes.iter().map(Change::to_string).collect();
        assert_eq!(
            told,
            [
                "model.encoder.depths was [2, 2, 2] and is [2, 2]",
                "model.encoder.heads was [2, 4, 8] and is [2, 4]",
                "model.masking.ratio was 0.6 and is 0.5",
                "train.epochs was 1 and is 2.5",
                "train.micro_batch was null and is 4",
            ]
        );
        let vit = recipe(&[
            "model.encoder={ graph: vit.encoder, dim: 24, depth: 2, heads: 3, patch: 8 }",
        ]);
        let changes = between(&recipe(&[]), &vit);
        assert_eq!(
            changes[0].to_string(),
            "model.encoder.depth was absent and is 2"
        );
        assert!(changes.iter().all(|change| change.meaning == Another));
        assert_eq!(between(&vit, &vit), []);
    }
}

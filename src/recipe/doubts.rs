//! What is legal and yet probably not meant: warnings, which stop nothing.

use super::{Images, Recipe};
use crate::diagnostic::Diagnostic;
use std::ops::RangeInclusive;

/// Each looks at a recipe that is sound.
const DOUBTS: &[fn(&Recipe) -> Option<Diagnostic>] = &[rate, warmup, batch, epoch, buffer];

/// Peak learning rates, per 512 images or as the optimizer sees them, that transformers are trained with.
const RATES: RangeInclusive<f64> = 1e-5..=1e-2;
/// Beyond this, a rate that grows with the batch is known to fail (You et al. 2020 train with batches up to 32k).
const LARGEST_BATCH: usize = 32_768;

pub fn doubts(recipe: &Recipe) -> Vec<Diagnostic> {
    DOUBTS.iter().filter_map(|doubt| doubt(recipe)).collect()
}

impl Recipe {
    /// A warning at a key, with the values of others that it comes from.
    fn doubt(&self, code: &'static str, message: String, keys: &[(&str, String)]) -> Diagnostic {
        let mut warning = Diagnostic::warning(code, message);
        if let Some(span) = keys.iter().find_map(|(path, _)| self.span(path)) {
            warning = warning.at(span);
        }
        for (path, value) in keys {
            let fact = format!("{path} = {value}");
            warning = match self.span(path) {
                Some(span) => warning.note_at(fact, span),
                None => warning.note(format!("{fact}, the default")),
            };
        }
        warning
    }
}

/// A rate is doubted where neither the rule nor the batch makes it a usual one.
fn rate(recipe: &Recipe) -> Option<Diagnostic> {
    let per_512 = recipe.train.schedule.base_lr;
    let seen = per_512 * recipe.train.batch as f64 / 512.0;
    if RATES.contains(&per_512) || RATES.contains(&seen) {
        return None;
    }
    let message = match per_512 == 0.0 {
        true => "a learning rate of 0 trains nothing".to_owned(),
        false => format!(
            "a learning rate of {per_512:e} per 512 images, {seen:.1e} at this batch, is far from any usual one"
        ),
    };
    let keys = [
        ("train.schedule.base_lr", per_512.to_string()),
        ("train.batch", recipe.train.batch.to_string()),
    ];
    let warning = recipe.doubt("doubtful-rate", message, &keys);
    let (low, high) = (RATES.start(), RATES.end());
    Some(warning.help(format!("usual are {low:e} to {high:e} per 512 images")))
}

fn warmup(recipe: &Recipe) -> Option<Diagnostic> {
    let (warmup, epochs) = (recipe.train.schedule.warmup_epochs, recipe.train.epochs);
    if warmup <= epochs / 2.0 {
        return None;
    }
    let message = "the warm-up takes more than half of the run".to_owned();
    let keys = [
        ("train.schedule.warmup_epochs", warmup.to_string()),
        ("train.epochs", epochs.to_string()),
    ];
    let warning = recipe.doubt("doubtful-warmup", message, &keys);
    Some(warning.help("a tenth of the run is usual, and the default"))
}

fn batch(recipe: &Recipe) -> Option<Diagnostic> {
    let batch = recipe.train.batch;
    if batch <= LARGEST_BATCH {
        return None;
    }
    let message =
        format!("a batch of {batch} images is larger than any that is known to train well");
    let keys = [("train.batch", batch.to_string())];
    let warning = recipe.doubt("doubtful-batch", message, &keys);
    Some(warning.help("did you mean several steps of a smaller one? 2048 is usual"))
}

/// How many images a folder holds is not known here.
fn epoch(recipe: &Recipe) -> Option<Diagnostic> {
    let (batch, count) = (recipe.train.batch, recipe.data.count);
    if recipe.data.images != Images::Synthetic || batch <= count {
        return None;
    }
    let message = format!("a batch of {batch} takes more images than the {count} there are");
    let keys = [
        ("train.batch", batch.to_string()),
        ("data.count", count.to_string()),
    ];
    let warning = recipe.doubt("doubtful-batch", message, &keys);
    Some(warning.help(format!(
        "a run needs a batch of {count} at most, or more images"
    )))
}

fn buffer(recipe: &Recipe) -> Option<Diagnostic> {
    let (batch, buffer) = (recipe.train.batch, recipe.data.shuffle_buffer?);
    if buffer >= batch {
        return None;
    }
    let message = format!("where {buffer} images wait, most of a batch of {batch} are neighbours");
    let keys = [
        ("data.shuffle_buffer", buffer.to_string()),
        ("train.batch", batch.to_string()),
    ];
    let warning = recipe.doubt("doubtful-buffer", message, &keys);
    Some(warning.help("the more wait, the better they are mixed: as many as the memory holds"))
}

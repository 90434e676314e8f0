//! A mask that is probably not meant: hidden pixels are too near to visible ones to be worth guessing, or too far to be guessed.

use super::{
    knobs::{Knob, knobs},
    sample::{Limits, MASKS, WORK, sample},
};
use crate::{
    diagnostic::Diagnostic,
    elaborate::{Setting, elaborate},
    language::library::Library,
    passes::Broken,
    recipe::{GraphRef, Recipe},
};
use std::ops::RangeInclusive;

/// AvgDist in pixels with which models fine-tune best, whatever the strategy of masking (Xie et al. 2022).
const KNOWN: RangeInclusive<f64> = 10.0..=20.0;
/// Pixels per image side that this was found with.
const KNOWN_AT: usize = 192;
/// What looking for a better number of one param may compute, in pixels and numbers: for one mask, and in all.
const ONE: usize = 1 << 24;
const ALL: usize = 1 << 26;

/// A warning where the masks of a model keep hidden pixels nearer to visible ones, or farther from them, than is known to train
/// well. The model is one that elaborates. Nothing where its masks cannot be drawn without images.
///
/// # Errors
/// If a pass breaks the graph: a fault of ours.
pub fn doubt(recipe: &Recipe, library: &Library) -> Result<Option<Diagnostic>, Broken> {
    let (model, size) = (&recipe.model, recipe.data.size);
    let few = Limits {
        masks: MASKS,
        each: usize::MAX,
        all: WORK,
    };
    let Some(sample) = sample(library, model, size, few)? else {
        return Ok(None);
    };
    let Some((distance, _)) = sample.distance() else {
        return Ok(None);
    };
    let graphs = sample.graphs;
    let wanted = wanted(size);
    if lies(distance, &wanted) {
        return Ok(None);
    }
    let (low, high) = (round(*wanted.start()), round(*wanted.end()));
    let message = format!(
        "a hidden pixel is {distance:.1} px from the nearest visible one on average, {low} to {high} px are known to train well"
    );
    let knobs = knobs(library, model, &graphs);
    let mut offers = Vec::new();
    let mut helpful = Vec::new();
    for knob in &knobs {
        if let Some(offer) = offer(knob, recipe, library, &wanted)? {
            offers.push(offer);
            helpful.push(knob);
        }
    }
    let mut blamed = helpful.into_iter().chain(&knobs);
    let written = blamed.find_map(|knob| knob.written.as_ref());
    let chosen = knobs.first().map_or(&model.graph.span, |knob| &knob.chosen);
    let warning = Diagnostic::warning("doubtful-mask", message).at(written.unwrap_or(chosen));
    let mut warning = knobs.iter().fold(warning, |told, knob| knob.told(told));
    if let Some(span) = recipe.span("data.size") {
        warning = warning.note_at(format!("data.size = {size}"), span);
    }
    if !offers.is_empty() {
        warning = warning.help(offers.join("; or "));
    }
    Ok(Some(warning))
}

/// Whether the range is one of pixels or one of shares of the image is not known: smaller images may have a smaller distance,
/// larger ones a larger.
pub fn wanted(size: usize) -> RangeInclusive<f64> {
    let scale = size as f64 / KNOWN_AT as f64;
    KNOWN.start() * scale.min(1.0)..=KNOWN.end() * scale.max(1.0)
}

/// To the digit that is told.
pub fn lies(distance: f64, wanted: &RangeInclusive<f64>) -> bool {
    (round(*wanted.start())..=round(*wanted.end())).contains(&round(distance))
}

fn round(pixels: f64) -> f64 {
    (10.0 * pixels).round() / 10.0
}

/// The nearest other number of a param that brings the distance into the range, in a model that is as sound as it was.
fn offer(
    knob: &Knob,
    recipe: &Recipe,
    library: &Library,
    wanted: &RangeInclusive<f64>,
) -> Result<Option<String>, Broken> {
    let (model, size) = (&recipe.model, recipe.data.size);
    let mut work = 0;
    for other in knob.others() {
        let turned = knob.turned(model, other);
        let cheap = Limits {
            masks: MASKS,
            each: ONE,
            all: WORK,
        };
        let Some(found) = sample(library, &turned, size, cheap)? else {
            continue;
        };
        let Some((distance, _)) = found.distance() else {
            continue;
        };
        if lies(distance, wanted) && is_as_sound(library, &turned, model, size) {
            let name = knob.name();
            return Ok(Some(format!(
                "a `{name}` of {other} makes it {distance:.1} px"
            )));
        }
        work += found.work;
        if work > ALL {
            break;
        }
    }
    Ok(None)
}

fn is_as_sound(library: &Library, turned: &GraphRef, model: &GraphRef, size: usize) -> bool {
    let setting = Setting::training(1, size);
    let warnings = |model| Some(elaborate(library, model, &setting).ok()?.warnings.len());
    warnings(turned).is_some_and(|more| warnings(model).is_some_and(|known| more <= known))
}

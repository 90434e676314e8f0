//! The report of a run: its curves, pictures, times, and what it was.

use super::{
    chart::{Frame, short},
    curves::{curves, losses},
    kernels::three_digits,
    page::{Page, Section, Tile, facts, json, tiles},
};
use crate::{
    text::units::{duration, grouped, lasting, precise},
    train::{curve::smooth, metrics::Record},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{Markup, html};
use serde::Serialize;

const SCRIPT: &str = include_str!("run.js");

/// All that a page tells of a run.
pub struct Ran<'a> {
    /// The name of the recipe.
    pub title: &'a str,
    /// What it says of itself.
    pub doc: &'a str,
    /// `running`, `finished`
    pub state: &'a str,
    /// Resolved, as YAML.
    pub recipe: &'a str,
    /// Of every step, in order.
    pub records: &'a [Record],
    /// The step at which it ends.
    pub goal: u64,
    /// Steps of the whole schedule.
    pub total: u64,
    /// PNG files by their steps, the last one first.
    pub pictures: Vec<(u64, Vec<u8>)>,
    /// Where the time of this session went.
    pub times: Times,
    /// Seconds of a step by kind of kernel, foretold; empty where nothing was.
    pub foretold: &'a [(String, f64)],
    /// The norm of each weight's gradient, and the step it was of.
    pub gradients: (u64, &'a [(String, f32)]),
    /// Where and when it ran.
    pub facts: Vec<(String, String)>,
}

/// In seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// Of steps.
    pub steps: f64,
    /// Of that, waiting for images.
    pub waiting: f64,
    /// Of pictures, checkpoints and whatever else is no step.
    pub besides: f64,
}

/// For the script: values by step, thinned.
#[derive(Serialize)]
struct Data {
    steps: Vec<u64>,
    loss: Vec<f64>,
    lr: Vec<f64>,
    grad_norm: Vec<f64>,
    images_per_s: Vec<f64>,
    data_wait: Vec<f64>,
    left: f64,
    right: f64,
}

/// The page of a run.
pub fn run(of: &Ran) -> String {
    let mut sections = vec![overview(of)];
    if !of.records.is_empty() {
        sections.push(curves(of.records));
    }
    if !of.pictures.is_empty() {
        sections.push(pictures(of));
    }
    sections.push(times(of));
    if !of.gradients.1.is_empty() {
        sections.push(gradients(of));
    }
    sections.push(Section {
        id: "origin",
        title: "Where and when",
        lead: html! { p { "The same as data is in " code { "manifest.json" } "." } },
        body: facts(&of.facts),
    });
    sections.push(Section {
        id: "recipe",
        title: "Recipe",
        lead: html! { p { "Every key with the value that the run used." } },
        body: html! { pre tabindex="0" { code { (of.recipe) } } },
    });
    let page = Page {
        title: of.title,
        doc: of.doc,
        foot: format!("mimc {}", env!("CARGO_PKG_VERSION")),
        sections,
        data: data(of.records),
        script: SCRIPT,
    };
    page.render()
}

/// As many points as can be told apart.
fn data(records: &[Record]) -> String {
    const MOST: usize = 1500;
    let every = records.len().div_ceil(MOST).max(1);
    let last = records.len().saturating_sub(1);
    let kept = records.iter().enumerate();
    let kept = kept.filter(|(at, _)| at % every == 0 || *at == last);
    let kept: Vec<&Record> = kept.map(|(_, record)| record).collect();
    let all = |value: fn(&Record) -> f64| -> Vec<f64> {
        kept.iter()
            .map(|record| three_digits(value(record)))
            .collect()
    };
    json(&Data {
        steps: kept.iter().map(|record| record.step).collect(),
        loss: kept.iter().map(|record| f64::from(record.loss)).collect(),
        lr: all(|record| record.lr),
        grad_norm: all(|record| f64::from(record.grad_norm)),
        images_per_s: all(|record| record.images_per_s),
        data_wait: all(|record| record.data_wait),
        left: Frame::LEFT,
        right: Frame::WIDTH - Frame::RIGHT,
    })
}

fn overview(of: &Ran) -> Section {
    let last = of.records.last();
    let losses = losses(of.records);
    let smoothed = smooth(&losses).last().map(|(_, loss)| *loss);
    let held_out = of.records.iter().rev().find_map(|record| record.held_out);
    let seconds: f64 = of.records.iter().map(|record| record.seconds).sum();
    let images: f64 = of
        .records
        .iter()
        .map(|record| record.images_per_s * record.seconds)
        .sum();
    let schedule = match of.goal < of.total {
        true => format!(" in a schedule of {}", grouped(of.total as usize)),
        false => String::new(),
    };
    let told = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
    let shown = [
        Tile {
            name: "step",
            value: last.map_or("0".into(), |record| grouped(record.step as usize)),
            note: format!("of {}{}; {}", grouped(of.goal as usize), schedule, of.state),
        },
        Tile {
            name: "loss",
            value: told(smoothed),
            note: last.map_or(String::new(), |record| {
                format!("smoothed; the last step {:.4}", record.loss)
            }),
        },
        Tile {
            name: "held-out loss",
            value: told(held_out.map(f64::from)),
            note: "on images that are never trained on".into(),
        },
        Tile {
            name: "epoch",
            value: last.map_or(String::new(), |record| grouped(record.epoch as usize + 1)),
            note: "counted from 1".into(),
        },
        Tile {
            name: "speed",
            value: match images > 0.0 {
                true => format!("{:.1} images/s", images / seconds),
                false => String::new(),
            },
            note: "over all steps".into(),
        },
        Tile {
            name: "time",
            value: match seconds > 0.0 {
                true => duration(seconds),
                false => String::new(),
            },
            note: "of all steps".into(),
        },
    ];
    Section {
        id: "overview",
        title: "Overview",
        lead: html! {},
        body: tiles(&shown),
    }
}

fn pictures(of: &Ran) -> Section {
    let source = |png: &[u8]| format!("data:image/png;base64,{}", STANDARD.encode(png));
    let draw = |(step, png): &(u64, Vec<u8>)| {
        let name = format!("step {}", grouped(*step as usize));
        html! {
            figure {
                img src=(source(png)) alt={ "Reconstructions behind " (name) } loading="lazy";
                figcaption { "behind " (name) }
            }
        }
    };
    Section {
        id: "pictures",
        title: "Pictures",
        lead: html! {
            p {
                "Each image four times: as it is, with the hidden patches greyed out, as the network reconstructs it, "
                "and with the visible pixels pasted back in."
            }
        },
        body: html! {
            @if let Some((last, earlier)) = of.pictures.split_first() {
                (draw(last))
                @if !earlier.is_empty() {
                    details {
                        summary { "earlier ones" }
                        @for picture in earlier { (draw(picture)) }
                    }
                }
            }
        },
    }
}

fn times(of: &Ran) -> Section {
    let Times {
        steps,
        waiting,
        besides,
    } = of.times;
    let whole = (steps + besides).max(1e-9);
    let parts = [
        ("computing", steps - waiting, "share-0"),
        ("waiting for images", waiting, "share-1"),
        ("pictures, checkpoints, images held out", besides, "share-2"),
    ];
    let foretold: f64 = of.foretold.iter().map(|(_, seconds)| seconds).sum();
    let middle = median(of.records.iter().map(|record| record.seconds).collect());
    let told = match (middle, foretold > 0.0) {
        (Some(middle), true) => format!(
            "A step takes {}; {} were foretold.",
            lasting(middle),
            lasting(foretold)
        ),
        (Some(middle), false) => format!("A step takes {}.", lasting(middle)),
        (None, _) => String::new(),
    };
    Section {
        id: "time",
        title: "Time",
        lead: html! { p { "Of this session: " (duration(whole)) ". " (told) } },
        body: html! {
            div.shares role="img" aria-label="Where the time went" {
                @for (_, seconds, class) in parts {
                    span class=(class) style={ "flex-grow:" (short(1000.0 * seconds / whole)) } {}
                }
            }
            div.legend {
                @for (name, seconds, class) in parts {
                    span { i class={ "swatch " (class) } {} (name) ": " (precise(seconds)) ", " (format!("{:.0} %", 100.0 * seconds / whole)) }
                }
            }
            @if foretold > 0.0 {
                (bars("kernels of a step, foretold", of.foretold, precise))
            }
        },
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Values as bars, in their order.
fn bars(name: &str, values: &[(String, f64)], text: impl Fn(f64) -> String) -> Markup {
    let most = values.iter().map(|(_, value)| *value).fold(1e-30, f64::max);
    html! {
        div.scroll {
            table {
                thead { tr { th scope="col" { (name) } th.number scope="col" {} } }
                tbody style="--depth:0" {
                    @for (name, value) in values {
                        tr {
                            th scope="row" { (name) }
                            td.number.bar style={ "--share:" (format!("{:.3}", value / most)) } { (text(*value)) }
                        }
                    }
                }
            }
        }
    }
}

fn gradients(of: &Ran) -> Section {
    let (step, norms) = of.gradients;
    let norms: Vec<_> = norms
        .iter()
        .map(|(name, norm)| (name.clone(), f64::from(*norm)))
        .collect();
    Section {
        id: "gradients",
        title: "Gradients",
        lead: html! {
            p {
                "The norm of each weight's gradient behind step " (grouped(step as usize)) ", before clipping. "
                "TensorBoard shows how they change."
            }
        },
        body: bars("weight", &norms, |norm| format!("{norm:.2e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_none_is_none() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
    }
}

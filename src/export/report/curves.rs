//! Curves of a run by optimizer step: loss, learning rate, gradient norm, speed.

use super::{
    chart::{Frame, short, ticks},
    page::Section,
};
use crate::train::{
    curve::{format_step, smooth, thin},
    metrics::Record,
};
use maud::{Markup, html};
use std::ops::Range;

/// A curve of the page.
struct Curve<'a> {
    id: &'static str,
    title: &'static str,
    /// By step.
    points: Vec<(f64, f64)>,
    /// Drawn over the points, which are faint then.
    smooth: Vec<(f64, f64)>,
    /// Single values beside it.
    dots: Vec<(f64, f64)>,
    text: &'a dyn Fn(f64) -> String,
    /// Whether the axis begins at 0.
    from_zero: bool,
}

pub fn losses(records: &[Record]) -> Vec<(u64, f32)> {
    records
        .iter()
        .map(|record| (record.step, record.loss))
        .collect()
}

/// Loss and what goes with it, by optimizer step.
pub fn curves(records: &[Record]) -> Section {
    let all = |value: fn(&Record) -> f64| -> Vec<(f64, f64)> {
        let points = records
            .iter()
            .map(|record| (record.step as f64, value(record)));
        points.collect()
    };
    let held_out = records.iter();
    let held_out =
        held_out.filter_map(|record| Some((record.step as f64, f64::from(record.held_out?))));
    let decimals = |value: f64| format!("{}", short_number(value));
    let rate = |value: f64| {
        if value == 0.0 {
            "0".into()
        } else {
            format!("{value:.1e}")
        }
    };
    let percent = |value: f64| format!("{} %", short_number(100.0 * value));
    let curve = |id, title, points, text, from_zero| Curve {
        id,
        title,
        points,
        smooth: Vec::new(),
        dots: Vec::new(),
        text,
        from_zero,
    };
    let loss = Curve {
        smooth: smooth(&losses(records)),
        dots: held_out.collect(),
        ..curve(
            "loss",
            "loss",
            all(|record| f64::from(record.loss)),
            &decimals,
            false,
        )
    };
    let small = [
        curve("lr", "learning rate", all(|record| record.lr), &rate, true),
        curve(
            "grad_norm",
            "gradient norm",
            all(|record| f64::from(record.grad_norm)),
            &decimals,
            true,
        ),
        curve(
            "images_per_s",
            "images per second",
            all(|record| record.images_per_s),
            &decimals,
            true,
        ),
        curve(
            "data_wait",
            "share of a step that waits for images",
            all(|record| record.data_wait / record.seconds.max(1e-9)),
            &percent,
            true,
        ),
    ];
    let has_held_out = !loss.dots.is_empty();
    Section {
        id: "curves",
        title: "Curves",
        lead: html! { p { "By optimizer step. Point at a curve to read it." } },
        body: html! {
            p.readout id="readout" aria-live="off" {}
            div.legend {
                span { i.swatch.curve {} "smoothed" }
                span { i.swatch.curve-faint {} "each step" }
                @if has_held_out { span { i.swatch.curve-2 {} "held out" } }
            }
            (loss.draw(330.0))
            div.pairs {
                @for curve in &small { (curve.draw(300.0)) }
            }
        },
    }
}

impl Curve<'_> {
    fn draw(&self, height: f64) -> Markup {
        let last = self.points.last().map_or(1.0, |(step, _)| step.max(1.0));
        let frame = Frame {
            height,
            x: 0.0..last,
            y: self.range(),
        };
        let points = frame.line(thin(self.points.clone()));
        let smooth = frame.line(thin(self.smooth.clone()));
        let main = if self.smooth.is_empty() {
            "curve"
        } else {
            "curve-faint"
        };
        html! {
            figure {
                figcaption { (self.title) }
                svg.chart.curves id={ "curve-" (self.id) } viewBox=(frame.view_box()) role="img" aria-label=(self.title) {
                    (frame.axes("step", format_step, &ticks(&frame.y, 5), self.text))
                    path class=(main) d=(points) {}
                    @if !self.smooth.is_empty() { path.curve d=(smooth) {} }
                    @if !self.dots.is_empty() { path.curve-2 d=(frame.line(thin(self.dots.clone()))) {} }
                    @for &(x, y) in thin(self.dots.clone()).iter() {
                        circle.curve-2 cx=(short(frame.x(x))) cy=(short(frame.y(y))) r="3" {}
                    }
                    line.cursor y1="10" y2=(height - 34.0) {}
                }
            }
        }
    }

    fn range(&self) -> Range<f64> {
        let values = self
            .points
            .iter()
            .chain(&self.dots)
            .map(|(_, value)| *value);
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let room = (0.05 * (high - low)).max(1e-3 * high.abs()).max(1e-9);
        match self.from_zero {
            true => 0.0..high + room,
            false => low - room..high + room,
        }
    }
}

/// As many digits as a tick needs.
fn short_number(value: f64) -> f64 {
    let scale = 10f64.powf((3.0 - value.abs().max(1e-12).log10().floor()).clamp(0.0, 12.0));
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_digits_that_count() {
        assert_eq!(
            [0.123456, 12.3456, 1234.56, 0.0].map(short_number),
            [0.1235, 12.35, 1235.0, 0.0]
        );
    }
}

//! The loss curve of a run as a picture.

use std::ops::Range;

use image::RgbImage;
use plotters::{
    coord::types::RangedCoordf64,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::canvas::{self, Canvas, DrawError, INK, at, px, text};

const WIDTH: u32 = 1200;
const HEIGHT: u32 = 675;
/// At most so many points of a line are told apart.
const COLUMNS: usize = 600;

const FAINT: RGBColor = RGBColor(0x8a, 0x93, 0xa0);
const GRID: RGBColor = RGBColor(0xe6, 0xe9, 0xee);
const SHADE: RGBColor = RGBColor(0xf3, 0xf0, 0xe6);
const RAW: RGBColor = RGBColor(0xb4, 0xcc, 0xea);
const SMOOTH: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);

/// A curve to draw.
#[derive(Debug, Clone)]
pub struct LossCurve<'a> {
    /// What stands above it.
    pub title: &'a str,
    /// Optimizer step and loss, by step. At least one; the losses are finite.
    pub losses: &'a [(u64, f32)],
    /// Steps of the warm-up, shaded.
    pub warmup: u64,
}

type Chart<'a, 'b> =
    ChartContext<'a, BitMapBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

impl LossCurve<'_> {
    /// The picture, 1200 × 675 pixels.
    pub fn draw(&self) -> RgbImage {
        canvas::draw(WIDTH, HEIGHT, |canvas| self.draw_on(canvas))
    }

    fn draw_on(&self, canvas: &Canvas<'_>) -> Result<(), DrawError> {
        let smoothed = smooth(self.losses);
        let (steps, losses) = (self.steps(), self.range());
        canvas.draw(&Text::new(self.title, at(84, 16), text(26, INK)))?;
        let mut chart = ChartBuilder::on(canvas)
            .margin_top(px(80))
            .margin_right(px(84))
            .margin_bottom(px(18))
            .margin_left(px(18))
            .x_label_area_size(px(52))
            .y_label_area_size(px(66))
            .build_cartesian_2d(steps.clone(), losses.clone())?;
        self.shade_warmup(&mut chart, losses.end)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID.stroke_width(px(1)))
            .axis_style(FAINT.stroke_width(px(1)))
            .set_all_tick_mark_size(px(4))
            .x_labels(9)
            .y_labels(7)
            .x_label_formatter(&|step| format_step(*step))
            .y_label_formatter(&|loss| format_loss(*loss, losses.end - losses.start))
            .label_style(text(16, INK))
            .axis_desc_style(text(17, INK))
            .x_desc("optimizer step")
            .y_desc("loss")
            .draw()?;
        let raw = self
            .losses
            .iter()
            .map(|&(step, loss)| (step as f64, loss as f64));
        chart.draw_series(LineSeries::new(
            thin(raw.collect()),
            RAW.stroke_width(px(1) + 1),
        ))?;
        chart.draw_series(LineSeries::new(
            thin(smoothed.clone()),
            SMOOTH.stroke_width(px(3)),
        ))?;
        label_end(&mut chart, &smoothed)?;
        draw_legend(canvas)
    }

    fn steps(&self) -> Range<f64> {
        let last = self.losses.last().map_or(1, |(step, _)| *step);
        0.0..last.max(1) as f64
    }

    fn range(&self) -> Range<f64> {
        let losses = self.losses.iter().map(|(_, loss)| *loss as f64);
        let (low, high) = losses.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), loss| {
            (low.min(loss), high.max(loss))
        });
        let room = (0.06 * (high - low)).max(1e-3 * high.abs()).max(1e-6);
        low - room..high + room
    }

    fn shade_warmup(&self, chart: &mut Chart<'_, '_>, top: f64) -> Result<(), DrawError> {
        let end = (self.warmup as f64).min(self.steps().end);
        if self.warmup == 0 {
            return Ok(());
        }
        let bottom = self.range().start;
        let shade = Rectangle::new([(0.0, top), (end, bottom)], SHADE.filled());
        chart.draw_series([shade])?;
        let style = text(15, FAINT).pos(Pos::new(HPos::Left, VPos::Top));
        let label = EmptyElement::at((0.0, top)) + Text::new("warm-up", at(8, 6), style);
        chart.draw_series([label])?;
        Ok(())
    }
}

/// A dot on the last value, and the value beside it.
fn label_end(chart: &mut Chart<'_, '_>, smoothed: &[(f64, f64)]) -> Result<(), DrawError> {
    let Some(&end) = smoothed.last() else {
        return Ok(());
    };
    let style = text(18, SMOOTH).pos(Pos::new(HPos::Left, VPos::Center));
    let label = EmptyElement::at(end)
        + Circle::new((0, 0), px(5), SMOOTH.filled())
        + Text::new(format!("{:.4}", end.1), at(12, 0), style);
    chart.draw_series([label])?;
    Ok(())
}

fn draw_legend(canvas: &Canvas<'_>) -> Result<(), DrawError> {
    const TOP: u32 = 57;
    for (name, color, thickness, left) in [("smoothed", SMOOTH, 3, 84), ("per step", RAW, 2, 204)] {
        let line = vec![at(left, TOP), at(left + 28, TOP)];
        canvas.draw(&PathElement::new(line, color.stroke_width(px(thickness))))?;
        let style = text(16, INK).pos(Pos::new(HPos::Left, VPos::Center));
        canvas.draw(&Text::new(name, at(left + 36, TOP), style))?;
    }
    Ok(())
}

/// Exponential means of what comes before and after each step, together over about a twenty-fifth of the run: smooth
/// and without the lag of a mean over the past.
pub(crate) fn smooth(losses: &[(u64, f32)]) -> Vec<(f64, f64)> {
    let horizon = (losses.len() as f64 / 50.0).max(1.0);
    let keep = 1.0 - 1.0 / horizon;
    let add = |(sum, weight): &mut (f64, f64), loss: f32| {
        (*sum, *weight) = (keep * *sum + loss as f64, keep * *weight + 1.0);
        Some((*sum, *weight))
    };
    let losses_after = losses.iter().rev().map(|(_, loss)| *loss);
    let mut after: Vec<_> = losses_after.scan((0.0, 0.0), add).collect();
    after.reverse();
    let losses_before = losses.iter().map(|(_, loss)| *loss);
    let before = losses_before.scan((0.0, 0.0), add);
    let both = losses.iter().zip(before.zip(after));
    // Both sums hold the step itself.
    both.map(|(&(step, loss), (before, after))| {
        let sum = before.0 + after.0 - loss as f64;
        (step as f64, sum / (before.1 + after.1 - 1.0))
    })
    .collect()
}

/// Of many points, the lowest and the highest of each column, and the last of all.
pub(crate) fn thin(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() <= 2 * COLUMNS {
        return points;
    }
    let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
    let columns = points.chunks(points.len().div_ceil(COLUMNS));
    let extremes = columns.flat_map(|column| {
        let low = *column
            .iter()
            .min_by(by_value)
            .expect("chunks are not empty");
        let high = *column
            .iter()
            .max_by(by_value)
            .expect("chunks are not empty");
        if low.0 <= high.0 {
            [low, high]
        } else {
            [high, low]
        }
    });
    extremes.chain(points.last().copied()).collect()
}

/// `200`, `12.5k`, `1.2M`
pub(crate) fn format_step(step: f64) -> String {
    match step {
        s if s >= 1e6 => format!("{}M", s / 1e6),
        s if s >= 1e4 => format!("{}k", s / 1e3),
        s => format!("{s}"),
    }
}

/// With as many decimals as tell ticks apart over a span of losses.
fn format_loss(loss: f64, span: f64) -> String {
    let decimals = (1.0 - span.log10().floor()).clamp(1.0, 6.0) as usize;
    format!("{loss:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn falling(steps: u64) -> Vec<(u64, f32)> {
        let key = crate::random::Key::new(1);
        let loss = |step: u64| {
            let noise = key.normal(step) * 0.02;
            (0.21 + 0.6 * (-(step as f64) / 40.0).exp() + noise) as f32
        };
        (1..=steps).map(|step| (step, loss(step))).collect()
    }

    /// Pixels of exactly one colour, as x and y.
    fn pixels_of(picture: &RgbImage, color: RGBColor) -> Vec<(u32, u32)> {
        let wanted = image::Rgb([color.0, color.1, color.2]);
        let found = picture.enumerate_pixels().filter(|(.., p)| **p == wanted);
        found.map(|(x, y, _)| (x, y)).collect()
    }

    #[test]
    fn the_curve_falls_from_the_upper_left_to_the_lower_right() {
        let losses = falling(300);
        let curve = LossCurve {
            title: "quickstart",
            losses: &losses,
            warmup: 20,
        };
        let picture = curve.draw();
        let mut line = pixels_of(&picture, SMOOTH);
        line.retain(|&(_, y)| y > 80);
        let first = line.iter().min_by_key(|(x, _)| *x).expect("a line");
        let last = line.iter().max_by_key(|(x, _)| *x).expect("a line");
        assert!(first.0 < 150 && last.0 > 1050, "{first:?} to {last:?}");
        assert!(last.1 > first.1 + 200, "{first:?} to {last:?}");
        let shade = pixels_of(&picture, SHADE);
        let widest = shade.iter().map(|(x, _)| *x).max().expect("a shade");
        assert!(
            (120..200).contains(&widest),
            "20 of 300 steps end at {widest}"
        );
    }

    #[test]
    fn a_run_of_one_step_has_a_curve() {
        for loss in [0.0, 0.7, 1e30] {
            let curve = LossCurve {
                title: "",
                losses: &[(1, loss)],
                warmup: 0,
            };
            assert_eq!(curve.draw().dimensions(), (WIDTH, HEIGHT));
        }
    }

    #[test]
    fn smoothing_does_not_lag() {
        let constant: Vec<_> = (0..100).map(|step| (step, 0.5)).collect();
        let is_half = |(_, mean): &(f64, f64)| (mean - 0.5).abs() < 1e-12;
        assert!(smooth(&constant).iter().all(is_half));
        let line: Vec<_> = (0..200).map(|step| (step, step as f32)).collect();
        let (step, mean) = smooth(&line)[100];
        assert!(
            (step - mean).abs() < 1e-9,
            "a line stays a line, got {mean}"
        );
        let jump: Vec<_> = (0..200)
            .map(|step| (step, if step < 100 { 1.0 } else { 0.0 }))
            .collect();
        let means: Vec<_> = smooth(&jump).iter().map(|(_, mean)| *mean).collect();
        assert!(means[50] > 0.999 && means[150] < 0.001);
        assert!((means[99] - 4.0 / 7.0).abs() < 1e-6, "{}", means[99]);
    }

    #[test]
    fn thinning_keeps_the_extremes() {
        let mut points: Vec<_> = (0..100_000).map(|i| (i as f64, 1.0)).collect();
        points[33_333].1 = 9.0;
        points[66_666].1 = -9.0;
        let thinned = thin(points);
        assert!(thinned.len() <= 2 * COLUMNS + 1);
        assert!(thinned.contains(&(33_333.0, 9.0)) && thinned.contains(&(66_666.0, -9.0)));
        assert!(thinned.is_sorted_by(|a, b| a.0 <= b.0));
    }
}

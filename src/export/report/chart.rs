//! Charts as SVG: a frame with axes, lines and areas in it. Colours are the page's.

use maud::{Markup, html};
use std::ops::Range;

/// Where values lie on a chart of [`Frame::WIDTH`] by `height` units.
#[derive(Debug, Clone)]
pub struct Frame {
    pub height: f64,
    pub x: Range<f64>,
    pub y: Range<f64>,
}

impl Frame {
    pub const WIDTH: f64 = 1000.0;
    /// For the labels of the axes.
    pub const LEFT: f64 = 74.0;
    pub const RIGHT: f64 = 14.0;
    const TOP: f64 = 10.0;
    const BOTTOM: f64 = 34.0;

    pub fn x(&self, value: f64) -> f64 {
        let span = (self.x.end - self.x.start).max(f64::MIN_POSITIVE);
        let share = (value - self.x.start) / span;
        Self::LEFT + share * (Self::WIDTH - Self::LEFT - Self::RIGHT)
    }

    pub fn y(&self, value: f64) -> f64 {
        let span = (self.y.end - self.y.start).max(f64::MIN_POSITIVE);
        let share = (value - self.y.start) / span;
        self.bottom() - share * (self.bottom() - Self::TOP)
    }

    fn bottom(&self) -> f64 {
        self.height - Self::BOTTOM
    }

    /// `0 0 1000 300`
    pub fn view_box(&self) -> String {
        format!("0 0 {} {}", Self::WIDTH, self.height)
    }

    /// Both axes with lines across; `x_name` is one short word.
    pub fn axes(
        &self,
        x_name: &str,
        x_text: impl Fn(f64) -> String,
        y_ticks: &[f64],
        y_text: impl Fn(f64) -> String,
    ) -> Markup {
        let (right, bottom) = (Self::WIDTH - Self::RIGHT, self.bottom());
        html! {
            g.axis {
                @for &tick in y_ticks {
                    @let y = short(self.y(tick));
                    line x1=(Self::LEFT) x2=(right) y1=(y) y2=(y) {}
                    text.end x=(Self::LEFT - 8.0) y=(y) dy="0.32em" { (y_text(tick)) }
                }
                @for tick in ticks(&self.x, 8) {
                    @let x = short(self.x(tick));
                    // In the middle below the edge, half of a label would lie outside.
                    @let edge = x > Self::WIDTH - 2.5 * Self::RIGHT;
                    @let (x, at) = if edge { (Self::WIDTH - 2.0, "end") } else { (x, "middle") };
                    text class=(at) x=(x) y=(bottom + 4.0) dy="0.9em" { (x_text(tick)) }
                }
                text.end.name x=(Self::LEFT - 14.0) y=(bottom + 4.0) dy="0.9em" { (x_name) }
            }
        }
    }

    /// A path through points, left to right.
    pub fn line(&self, points: impl IntoIterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        for (x, y) in points {
            path.push(if path.is_empty() { 'M' } else { 'L' });
            path += &format!("{} {}", short(self.x(x)), short(self.y(y)));
        }
        path
    }

    /// Between two rows of steps: from each `x` to the next the heights stay. One more `x` than there are heights.
    pub fn steps(&self, x: &[f64], low: &[f64], high: &[f64]) -> String {
        let edge = |heights: &[f64]| -> Vec<(f64, f64)> {
            let spans = x.windows(2).zip(heights);
            spans
                .flat_map(|(span, &height)| [(span[0], height), (span[1], height)])
                .collect()
        };
        let above = thinned(edge(high));
        let below = thinned(edge(low)).into_iter().rev();
        match above.is_empty() {
            true => String::new(),
            false => self.line(above.into_iter().chain(below)) + "Z",
        }
    }
}

/// Without points in the middle of a level stretch.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for point in points {
        if let [.., (_, before), last] = &mut kept[..]
            && *before == last.1
            && last.1 == point.1
        {
            *last = point;
        } else {
            kept.push(point);
        }
    }
    kept
}

/// Round numbers inside a range, about as many as wanted.
pub fn ticks(range: &Range<f64>, wanted: usize) -> Vec<f64> {
    spaced(range, wanted, &[1.0, 2.0, 5.0, 10.0], 10.0)
}

/// Round numbers of bytes.
pub fn byte_ticks(range: &Range<f64>, wanted: usize) -> Vec<f64> {
    let powers = [
        1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
    ];
    spaced(range, wanted, &powers, 1024.0)
}

fn spaced(range: &Range<f64>, wanted: usize, steps: &[f64], base: f64) -> Vec<f64> {
    let span = range.end - range.start;
    if !(span.is_finite() && span > 0.0) {
        return vec![range.start];
    }
    let least = span / wanted.max(1) as f64;
    let power = base.powf(least.log(base).floor());
    let step = steps.iter().map(|step| step * power);
    let step = step.into_iter().find(|step| *step >= least * 0.999);
    let step = step.unwrap_or(base * power);
    let first = (range.start / step).ceil() as i64;
    let last = (range.end / step + 1e-9).floor() as i64;
    (first..=last).map(|at| at as f64 * step).collect()
}

/// A coordinate with what can be seen of it.
pub fn short(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(&(0.0..10.0), 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(&(3.0..17.0), 4), [5.0, 10.0, 15.0]);
        assert_eq!(ticks(&(0.5..0.5), 4), [0.5]);
        let gib = f64::from(1 << 30);
        assert_eq!(
            byte_ticks(&(0.0..3.5 * gib), 4),
            [0.0, gib, 2.0 * gib, 3.0 * gib]
        );
        let few = ticks(&(0.0..1.0), 8);
        assert!(few.len() > 4 && few.len() < 12, "{few:?}");
    }

    #[test]
    fn an_area_follows_its_steps() {
        let frame = Frame {
            height: 144.0,
            x: 0.0..4.0,
            y: 0.0..100.0,
        };
        let [x0, x2, x4] = [0.0, 2.0, 4.0].map(|x| short(frame.x(x)));
        let path = frame.steps(&[0.0, 1.0, 2.0, 4.0], &[0.0; 3], &[50.0, 50.0, 100.0]);
        let wanted = format!("M{x0} 60L{x2} 60L{x2} 10L{x4} 10L{x4} 110L{x0} 110Z");
        assert_eq!(path, wanted);
        assert_eq!(frame.steps(&[0.0], &[], &[]), "");
    }
}

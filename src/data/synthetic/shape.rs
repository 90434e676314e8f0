//! Shapes by their signed distance: negative inside, in pixels.

use super::Draws;

/// Where an object stands: its centre, the radius it fills, and the direction it is turned to.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    pub x: f32,
    pub y: f32,
    pub radius: f32,
    cos: f32,
    sin: f32,
}

impl Frame {
    /// A frame well away from those taken: the best of a few.
    pub(super) fn apart(draws: &mut Draws, side: f32, taken: &[Frame]) -> Self {
        let candidates: Vec<Frame> = (0..6).map(|_| Self::draw(draws, side)).collect();
        let gap = |frame: &Frame| {
            let gaps = taken
                .iter()
                .map(|t| (t.x - frame.x).hypot(t.y - frame.y) - t.radius - frame.radius);
            gaps.fold(f32::INFINITY, f32::min)
        };
        let best = candidates
            .into_iter()
            .max_by(|a, b| gap(a).total_cmp(&gap(b)));
        best.expect("there are candidates")
    }

    fn draw(draws: &mut Draws, side: f32) -> Self {
        let (sin, cos) = draws.within(0.0, std::f32::consts::TAU).sin_cos();
        Self {
            x: draws.within(0.15, 0.85) * side,
            y: draws.within(0.15, 0.85) * side,
            radius: draws.within(0.16, 0.3) * side,
            cos,
            sin,
        }
    }

    /// Seen from the centre, turned upright.
    fn local(&self, x: f32, y: f32) -> (f32, f32) {
        let (dx, dy) = (x - self.x, y - self.y);
        (self.cos * dx + self.sin * dy, self.cos * dy - self.sin * dx)
    }
}

/// What an object or a hill covers.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Disc(Frame),
    /// Width of the band as a share of the radius.
    Ring(Frame, f32),
    /// Half width and half height as shares of the radius.
    Rectangle(Frame, f32, f32),
    /// A triangle with equal sides.
    Triangle(Frame),
    /// Everything below a wave.
    Hill {
        level: f32,
        height: f32,
        /// Radians per pixel, and at the left edge.
        frequency: f32,
        phase: f32,
    },
}

impl Shape {
    /// An object in its frame.
    pub(super) fn draw(draws: &mut Draws, frame: Frame) -> Self {
        let band = draws.within(0.3, 0.45);
        let (wide, high) = (draws.within(0.65, 0.95), draws.within(0.5, 0.9));
        let kinds = [
            Self::Disc(frame),
            Self::Disc(frame),
            Self::Ring(frame, band),
            Self::Rectangle(frame, wide, high),
            Self::Rectangle(frame, wide, high),
            Self::Triangle(frame),
        ];
        draws.pick(&kinds)
    }

    /// A hill whose crest wanders about `edge`, a share of the side from the top.
    pub(super) fn hill(draws: &mut Draws, side: f32, edge: f32) -> Self {
        Self::Hill {
            level: edge * side,
            height: draws.within(0.03, 0.1) * side,
            frequency: draws.within(0.6, 1.6) * std::f32::consts::TAU / side,
            phase: draws.within(0.0, std::f32::consts::TAU),
        }
    }

    /// Signed distance to the edge.
    pub fn distance(&self, x: f32, y: f32) -> f32 {
        match *self {
            Self::Disc(frame) => {
                let (x, y) = frame.local(x, y);
                length(x, y) - frame.radius
            }
            Self::Ring(frame, band) => {
                let (x, y) = frame.local(x, y);
                let half = 0.5 * band * frame.radius;
                (length(x, y) - frame.radius + half).abs() - half
            }
            Self::Rectangle(frame, wide, high) => {
                let (x, y) = frame.local(x, y);
                let corner = 0.15 * frame.radius;
                let dx = x.abs() - wide * frame.radius + corner;
                let dy = y.abs() - high * frame.radius + corner;
                length(dx.max(0.0), dy.max(0.0)) + dx.max(dy).min(0.0) - corner
            }
            Self::Triangle(frame) => {
                let (x, y) = frame.local(x, y);
                let corner = 0.08 * frame.radius;
                // The inscribed circle has half the radius of the one around.
                triangle(x, y, 0.5 * frame.radius - corner) - corner
            }
            Self::Hill {
                level,
                height,
                frequency,
                phase,
            } => {
                let (sin, cos) = (frequency * x + phase).sin_cos();
                let slope = height * frequency * cos;
                // Vertical distance, foreshortened by the slope.
                (level + height * sin - y) / (1.0 + slope * slope).sqrt()
            }
        }
    }

    /// The pixels within `margin` of the shape: left, top, right, bottom (the last two exclusive).
    pub fn bounds(&self, margin: f32, width: usize) -> (usize, usize, usize, usize) {
        let pixel = |v: f32| (v.max(0.0) as usize).min(width);
        match *self {
            Self::Disc(frame)
            | Self::Ring(frame, _)
            | Self::Rectangle(frame, ..)
            | Self::Triangle(frame) => {
                // A rectangle's corner lies at most 1.31 radii from the centre.
                let reach = 1.35 * frame.radius + margin;
                (
                    pixel(frame.x - reach),
                    pixel(frame.y - reach),
                    pixel(frame.x + reach + 1.0),
                    pixel(frame.y + reach + 1.0),
                )
            }
            Self::Hill { level, height, .. } => (0, pixel(level - height - margin), width, width),
        }
    }
}

/// Distance to a triangle with equal sides about the origin, by the radius of the circle inside it.
fn triangle(x: f32, y: f32, inscribed: f32) -> f32 {
    const SQRT_3: f32 = 1.732_050_8;
    let half_side = SQRT_3 * inscribed;
    // Fold the plane until the nearest side is the one along x, then measure to that side.
    let (mut x, mut y) = (x.abs() - half_side, y + inscribed);
    if x + SQRT_3 * y > 0.0 {
        (x, y) = (0.5 * (x - SQRT_3 * y), -0.5 * (SQRT_3 * x + y));
    }
    let beyond = x - x.clamp(-2.0 * half_side, 0.0);
    -length(beyond, y) * y.signum()
}

fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;

    fn shapes(draws: &mut Draws) -> [Shape; 5] {
        let frame = Frame::draw(draws, 200.0);
        [
            Shape::Disc(frame),
            Shape::Ring(frame, 0.4),
            Shape::Rectangle(frame, 0.9, 0.6),
            Shape::Triangle(frame),
            Shape::hill(draws, 200.0, 0.5),
        ]
    }

    #[test]
    fn distances_grow_by_one_per_pixel() {
        let mut draws = Draws::new(Key::new(4));
        for (kind, shape) in shapes(&mut draws).iter().enumerate() {
            let mut off = 0;
            for _ in 0..1000 {
                let (x, y) = (draws.within(0.0, 200.0), draws.within(0.0, 200.0));
                let change = |dx: f32, dy: f32| {
                    shape.distance(x + dx, y + dy) - shape.distance(x - dx, y - dy)
                };
                let slope = length(change(0.5, 0.0), change(0.0, 0.5));
                // Within a pixel of where two sides are equally near, the difference spans a crease. A hill's distance
                // is to its tangent, which is exact at the edge only.
                let near = shape.distance(x, y).abs() < 2.0;
                let matters = kind < 4 || near;
                off += usize::from(matters && (slope - 1.0).abs() > 0.05);
            }
            assert!(off < 60, "shape {kind}: {off} of 1000 points");
        }
    }

    #[test]
    fn bounds_hold_all_that_is_near() {
        let mut draws = Draws::new(Key::new(5));
        for (kind, shape) in shapes(&mut draws).iter().enumerate() {
            let (left, top, right, bottom) = shape.bounds(3.0, 200);
            for (x, y) in (0..200).flat_map(|y| (0..200).map(move |x| (x, y))) {
                let held = (left..right).contains(&x) && (top..bottom).contains(&y);
                let distance = shape.distance(x as f32 + 0.5, y as f32 + 0.5);
                assert!(
                    held || distance > 2.0,
                    "shape {kind} at ({x}, {y}): {distance}"
                );
            }
        }
    }
}

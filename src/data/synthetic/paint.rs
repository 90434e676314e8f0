//! What shapes are filled with.

use super::{
    Draws,
    color::{Color, Palette, mix},
    shape::Frame,
};

/// A colour at every point; coordinates in pixels.
pub enum Paint {
    /// From `from` to `to` along `axis`, steady outside.
    Gradient { from: Color, to: Color, axis: Axis },
    /// From `from` in the middle to `to` at `radius` and beyond.
    Glow {
        from: Color,
        to: Color,
        x: f32,
        y: f32,
        radius: f32,
    },
    /// Bands of equal width across `axis`, whose length is the period.
    Stripes { from: Color, to: Color, axis: Axis },
    /// Squares along and across `axis`, whose length is the period.
    Checker { from: Color, to: Color, axis: Axis },
}

/// A direction, where it begins, and how far it goes.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    x: f32,
    y: f32,
    cos: f32,
    sin: f32,
    length: f32,
}

impl Axis {
    /// How far along, in lengths.
    fn along(&self, x: f32, y: f32) -> f32 {
        ((x - self.x) * self.cos + (y - self.y) * self.sin) / self.length
    }

    fn across(&self, x: f32, y: f32) -> f32 {
        ((y - self.y) * self.cos - (x - self.x) * self.sin) / self.length
    }
}

/// The kinds of paint, to draw from: one that stands twice is twice as likely.
#[derive(Clone, Copy)]
enum Kind {
    Gradient,
    Glow,
    Stripes,
    Checker,
}

use Kind::{Checker, Glow, Gradient, Stripes};

const BEHIND: [Kind; 7] = [Gradient, Gradient, Gradient, Glow, Glow, Stripes, Checker];
const ON_DISCS: [Kind; 7] = [Glow, Glow, Glow, Gradient, Stripes, Stripes, Checker];
const ON_OTHERS: [Kind; 6] = [Gradient, Gradient, Gradient, Stripes, Stripes, Checker];

/// Directions away from the light, in degrees: what lies at the upper left is brighter.
const SHADE: (f32, f32) = (20.0, 70.0);

/// The shortest period in pixels of the scene: 8 pixels after the strongest shrinking by a crop.
const SHORTEST_PERIOD: f32 = 10.5;

impl Paint {
    /// Behind everything: a soft gradient, a glow, or wide quiet stripes or checks.
    pub(super) fn background(draws: &mut Draws, palette: &Palette, side: f32) -> Self {
        let depth = draws.within(0.06, 0.12);
        let (from, to) = (palette.ground(depth), palette.ground(-depth));
        match draws.pick(&BEHIND) {
            Gradient => Self::Gradient {
                from,
                to,
                axis: shade_axis(draws, 0.0, 0.0, 1.2 * side),
            },
            Glow => Self::Glow {
                from,
                to,
                x: draws.within(0.2, 0.5) * side,
                y: draws.within(0.1, 0.4) * side,
                radius: draws.within(0.6, 0.9) * side,
            },
            kind => {
                let (from, to) = (palette.ground(0.03), palette.ground(-0.03));
                let axis = texture_axis(draws, 0.0, 0.0, [0.18, 0.3], side);
                Self::texture(kind, from, to, axis)
            }
        }
    }

    /// A hill, `depth` from 0 (far) to 1 (near): darker towards the bottom, or striped like a field.
    pub(super) fn hill(draws: &mut Draws, palette: &Palette, side: f32, depth: f32) -> Self {
        if draws.chance(0.25) {
            let (from, to) = (palette.hill(depth, 0.03), palette.hill(depth, -0.03));
            let axis = texture_axis(draws, 0.0, 0.0, [0.12, 0.2], side);
            return Self::Stripes { from, to, axis };
        }
        Self::Gradient {
            from: palette.hill(depth, 0.07),
            to: palette.hill(depth, -0.07),
            axis: Axis {
                x: 0.0,
                y: (0.4 + 0.2 * depth) * side,
                cos: 0.0,
                sin: 1.0,
                length: 0.5 * side,
            },
        }
    }

    /// Object number `object` in its frame: a gradient, stripes or checks; a disc may be shaded as a ball.
    pub(super) fn object(
        draws: &mut Draws,
        palette: &Palette,
        object: usize,
        frame: Frame,
        is_disc: bool,
    ) -> Self {
        let kind = if is_disc {
            draws.pick(&ON_DISCS)
        } else {
            draws.pick(&ON_OTHERS)
        };
        let depth = draws.within(0.08, 0.14);
        let (from, to) = (
            palette.object(object, depth),
            palette.object(object, -depth),
        );
        let Frame { x, y, radius, .. } = frame;
        match kind {
            Glow => Self::Glow {
                from: palette.object(object, 0.25),
                to: palette.object(object, -0.22),
                x: x - 0.38 * radius,
                y: y - 0.38 * radius,
                radius: 1.6 * radius,
            },
            Gradient => Self::Gradient {
                from,
                to,
                axis: shade_axis(draws, x - 0.6 * radius, y - 0.6 * radius, 1.7 * radius),
            },
            kind => {
                let axis = texture_axis(draws, x, y, [0.5, 0.8], radius);
                Self::texture(kind, from, to, axis)
            }
        }
    }

    fn texture(kind: Kind, from: Color, to: Color, axis: Axis) -> Self {
        match kind {
            Checker => Self::Checker { from, to, axis },
            _ => Self::Stripes { from, to, axis },
        }
    }

    pub fn at(&self, x: f32, y: f32) -> Color {
        match *self {
            Self::Gradient { from, to, axis } => mix(from, to, axis.along(x, y).clamp(0.0, 1.0)),
            Self::Glow {
                from,
                to,
                x: center_x,
                y: center_y,
                radius,
            } => {
                let (dx, dy) = (x - center_x, y - center_y);
                let share = ((dx * dx + dy * dy).sqrt() / radius).min(1.0);
                // Flat in the middle and at the rim, so that neither shows as an edge.
                mix(from, to, share * share * (3.0 - 2.0 * share))
            }
            Self::Stripes { from, to, axis } => {
                let wave = square_wave(axis.along(x, y), axis.length);
                mix(from, to, 0.5 + 0.5 * wave)
            }
            Self::Checker { from, to, axis } => {
                let along = square_wave(axis.along(x, y), axis.length);
                let across = square_wave(axis.across(x, y), axis.length);
                mix(from, to, 0.5 + 0.5 * along * across)
            }
        }
    }
}

fn shade_axis(draws: &mut Draws, x: f32, y: f32, length: f32) -> Axis {
    axis(x, y, draws.within(SHADE.0, SHADE.1), length)
}

fn axis(x: f32, y: f32, degrees: f32, length: f32) -> Axis {
    let (sin, cos) = degrees.to_radians().sin_cos();
    Axis {
        x,
        y,
        cos,
        sin,
        length,
    }
}

/// The period is a share of `scale` within `range`.
fn texture_axis(draws: &mut Draws, x: f32, y: f32, range: [f32; 2], scale: f32) -> Axis {
    // Few directions: a texture is easier to continue when it has been seen before.
    let degrees = draws.pick(&[0.0, 30.0, 45.0, 60.0, 90.0, 135.0]);
    let period = (draws.within(range[0], range[1]) * scale).max(SHORTEST_PERIOD);
    axis(x, y, degrees, period)
}

/// 1 in the first half of every period and −1 in the second, with edges a pixel wide; `length` is that of a period.
fn square_wave(periods: f32, length: f32) -> f32 {
    let phase = periods - periods.floor();
    // Half the distance around the middle of the first half: positive there, a straight line through each edge.
    let inside = if phase < 0.75 {
        phase - 0.25
    } else {
        phase - 1.25
    };
    (2.0 * (0.25 - inside.abs()) * length).clamp(-1.0, 1.0)
}

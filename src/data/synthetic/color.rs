//! Colours that belong together, chosen where equal steps look equal (OKLCH).

use super::Draws;

/// Red, green, blue as shown, each in [0, 1].
pub type Color = [f32; 3];

/// `from` to `to` as `share` goes from 0 to 1.
pub fn mix(from: Color, to: Color, share: f32) -> Color {
    std::array::from_fn(|c| from[c] + (to[c] - from[c]) * share)
}

/// The colours of one scene.
pub struct Palette {
    hues: [f32; 3],
    /// Lightness of the background; objects keep away from it.
    ground: f32,
}

/// Hues that go well together, in degrees from the first.
const HARMONIES: [[f32; 3]; 5] = [
    [0.0, 35.0, -40.0],
    [0.0, 180.0, 30.0],
    [0.0, 120.0, 240.0],
    [0.0, 150.0, 210.0],
    [0.0, 90.0, 200.0],
];

impl Palette {
    pub(super) fn draw(draws: &mut Draws) -> Self {
        let first = draws.within(0.0, 360.0);
        let hues = draws.pick(&HARMONIES).map(|offset| first + offset);
        let ground = if draws.chance(0.6) {
            draws.within(0.8, 0.92)
        } else {
            draws.within(0.34, 0.48)
        };
        Self { hues, ground }
    }

    /// A quiet colour behind everything, `step` lighter than the ground's own.
    pub fn ground(&self, step: f32) -> Color {
        oklch((self.ground + step).clamp(0.12, 0.97), 0.055, self.hues[0])
    }

    /// A colour of a hill: from the ground's lightness at `depth` 0 to the other end at 1, `step` lighter.
    pub fn hill(&self, depth: f32, step: f32) -> Color {
        let (far, near, chroma) = if self.ground > 0.6 {
            (0.72, 0.38, 0.085)
        } else {
            (0.45, 0.7, 0.075)
        };
        let hue = self.hues[0] + (self.hues[1] - self.hues[0]).clamp(-50.0, 50.0) * depth;
        oklch(far + (near - far) * depth + step, chroma, hue)
    }

    /// A bright colour of object number `object`, `step` lighter than its own.
    pub fn object(&self, object: usize, step: f32) -> Color {
        let lightness = if self.ground > 0.6 { 0.6 } else { 0.7 };
        let hue = self.hues[(object + 1) % self.hues.len()];
        oklch(
            (lightness + step).clamp(0.15, 0.95),
            0.14 - 0.15 * step.abs(),
            hue,
        )
    }
}

/// Lightness and chroma in [0, 1], hue in degrees; what the screen cannot show is held at its limits.
fn oklch(lightness: f32, chroma: f32, hue: f32) -> Color {
    let (sin, cos) = hue.to_radians().sin_cos();
    let (a, b) = (chroma * cos, chroma * sin);
    // Björn Ottosson's OKLab: to cone responses, cubed, to linear RGB.
    let cones = [
        lightness + 0.396_337_78 * a + 0.215_803_76 * b,
        lightness - 0.105_561_346 * a - 0.063_854_17 * b,
        lightness - 0.089_484_18 * a - 1.291_485_5 * b,
    ]
    .map(|v| v * v * v);
    let rows = [
        [4.076_741_7, -3.307_711_6, 0.230_969_93],
        [-1.268_438, 2.609_757_4, -0.341_319_4],
        [-0.004_196_086_3, -0.703_418_6, 1.707_614_7],
    ];
    rows.map(|row| {
        let linear: f32 = row
            .iter()
            .zip(cones)
            .map(|(weight, cone)| weight * cone)
            .sum();
        let linear = linear.clamp(0.0, 1.0);
        if linear <= 0.003_130_8 {
            12.92 * linear
        } else {
            1.055 * linear.powf(1.0 / 2.4) - 0.055
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greys_are_grey_and_red_is_red() {
        let [r, g, b] = oklch(0.5, 0.0, 77.0);
        assert!((r - g).abs() < 1e-3 && (g - b).abs() < 1e-3);
        assert!(
            (r - 0.388).abs() < 2e-3,
            "OKLab 0.5 is sRGB #636363, got {r}"
        );
        let [r, g, b] = oklch(0.627_96, 0.257_68, 29.234);
        assert!(r > 0.995 && g < 0.02 && b < 0.02, "{:?}", [r, g, b]);
    }
}

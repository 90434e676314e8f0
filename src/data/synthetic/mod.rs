//! Generated scenes: large shapes, gradients and textures, so that what is hidden follows from what is seen.
//!
//! Light always comes from the upper left, textures are periodic with at least 8 pixels to a period after cropping,
//! edges are antialiased, and the colours of a scene belong together. A scene is a pure function of (seed, index).

mod color;
mod paint;
mod shape;

use image::RgbImage;

use self::{
    color::{Color, Palette, mix},
    paint::Paint,
    shape::{Frame, Shape},
};
use crate::random::Key;

/// The side a scene is rendered at for crops of `size` pixels: a quarter more, so that crops are shrunk a little.
pub fn side_for(size: u32) -> u32 {
    size + size.div_ceil(4)
}

/// Scene `index`, `side` × `side` pixels.
pub fn scene(seed: u64, index: usize, side: u32) -> RgbImage {
    let mut draws = Draws::new(Key::new(seed).with("scene").at(index as u64));
    Scene::compose(&mut draws, side as f32).render(side)
}

/// Random choices, one after the other.
struct Draws {
    key: Key,
    position: u64,
}

impl Draws {
    fn new(key: Key) -> Self {
        Self { key, position: 0 }
    }

    /// Uniform in [low, high).
    fn within(&mut self, low: f32, high: f32) -> f32 {
        self.position += 1;
        low + (high - low) * self.key.uniform(self.position) as f32
    }

    fn chance(&mut self, probability: f32) -> bool {
        self.within(0.0, 1.0) < probability
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        self.position += 1;
        from[self.key.below(self.position, from.len() as u64) as usize]
    }
}

/// What is painted over what, the first at the bottom; coordinates in pixels, y downwards.
struct Scene {
    background: Paint,
    layers: Vec<Layer>,
}

struct Layer {
    shape: Shape,
    paint: Paint,
    /// How far to the lower right its soft shadow falls; 0 for none.
    shadow: f32,
}

impl Scene {
    fn compose(draws: &mut Draws, side: f32) -> Self {
        let palette = Palette::draw(draws);
        let background = Paint::background(draws, &palette, side);
        let mut layers = Vec::new();
        let hilly = draws.chance(0.5);
        if hilly {
            let count = draws.pick(&[1, 2, 3]);
            let mut edge = draws.within(0.45, 0.7);
            for i in 0..count {
                let shape = Shape::hill(draws, side, edge);
                let paint = Paint::hill(draws, &palette, side, i as f32 / count as f32);
                layers.push(Layer {
                    shape,
                    paint,
                    shadow: 0.0,
                });
                edge += draws.within(0.12, 0.2);
            }
        }
        let count = draws.pick(if hilly { &[1, 2, 2] } else { &[2, 3, 3, 4] });
        let mut taken: Vec<Frame> = Vec::new();
        for i in 0..count {
            let frame = Frame::apart(draws, side, &taken);
            let shape = Shape::draw(draws, frame);
            let is_disc = matches!(shape, Shape::Disc(_));
            let paint = Paint::object(draws, &palette, i, frame, is_disc);
            let shadow = 0.05 * side;
            layers.push(Layer {
                shape,
                paint,
                shadow,
            });
            taken.push(frame);
        }
        Self { background, layers }
    }

    fn render(&self, side: u32) -> RgbImage {
        let width = side as usize;
        let center = |i: usize| i as f32 + 0.5;
        let mut canvas: Vec<Color> = (0..width * width)
            .map(|i| self.background.at(center(i % width), center(i / width)))
            .collect();
        for layer in &self.layers {
            layer.paint_on(&mut canvas, width);
        }
        let bytes = canvas
            .iter()
            .flatten()
            .map(|v| (v * 255.0 + 0.5) as u8)
            .collect();
        RgbImage::from_raw(side, side, bytes).expect("three bytes were made per pixel")
    }
}

impl Layer {
    fn paint_on(&self, canvas: &mut [Color], width: usize) {
        let (left, top, right, bottom) = self.shape.bounds(2.0 * self.shadow + 1.0, width);
        for y in top..bottom {
            for x in left..right {
                let (px, py) = (x as f32 + 0.5, y as f32 + 0.5);
                let pixel = &mut canvas[y * width + x];
                let inside = self.shape.distance(px, py);
                // A pixel's coverage, for an edge that is straight within it.
                let cover = (0.5 - inside).clamp(0.0, 1.0);
                if self.shadow > 0.0 && cover < 1.0 {
                    let depth = self.shape.distance(px - self.shadow, py - self.shadow);
                    let shade = (0.5 - 0.5 * depth / self.shadow).clamp(0.0, 1.0);
                    let shade = 0.3 * shade * shade * (3.0 - 2.0 * shade);
                    *pixel = pixel.map(|v| v * (1.0 - shade));
                }
                if cover > 0.0 {
                    *pixel = mix(*pixel, self.paint.at(px, py), cover);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_is_a_pure_function_of_seed_and_index() {
        assert_eq!(scene(1, 5, 80), scene(1, 5, 80));
        assert_ne!(scene(1, 5, 80), scene(1, 6, 80));
        assert_ne!(scene(1, 5, 80), scene(2, 5, 80));
    }

    #[test]
    fn hidden_pixels_follow_from_their_surroundings() {
        // Worth in-painting: neighbours agree far better than pixels far apart, yet no scene is flat.
        let side = 120u32;
        for index in 0..64 {
            let image = scene(3, index, side);
            let green = |x: u32, y: u32| image.get_pixel(x, y)[1] as f64;
            let difference = |step: u32| {
                let pairs = (0..side).flat_map(|y| (0..side - step).map(move |x| (x, y)));
                let total: f64 = pairs
                    .map(|(x, y)| (green(x, y) - green(x + step, y)).abs())
                    .sum();
                total / (side * (side - step)) as f64
            };
            let values = image.as_raw().iter().map(|v| *v as f64);
            let mean = values.clone().sum::<f64>() / image.len() as f64;
            let spread =
                (values.map(|v| (v - mean).powi(2)).sum::<f64>() / image.len() as f64).sqrt();
            assert!(spread > 8.0, "scene {index} is flat: deviation {spread:.1}");
            assert!(
                difference(1) < 0.3 * spread,
                "scene {index} is restless: neighbours differ by {:.1} of {spread:.1}",
                difference(1)
            );
        }
    }
}

//! Which part of an image is seen: the box sampling of torchvision's `RandomResizedCrop`, and a fixed centre box.

use crate::random::Key;

/// How random crops are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crop {
    /// Lowest and highest share of the image's area, 0 < low ≤ high ≤ 1.
    pub scale: [f64; 2],
    /// Lowest and highest width : height, 0 < low ≤ high; drawn evenly in its logarithm.
    pub ratio: [f64; 2],
}

impl Default for Crop {
    /// Two thirds to all of the area, 3:4 to 4:3, as SimMIM pre-trains.
    fn default() -> Self {
        Self {
            scale: [0.67, 1.0],
            ratio: [3.0 / 4.0, 4.0 / 3.0],
        }
    }
}

/// A box inside an image, in pixels, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CropBox {
    /// Pixels left of it.
    pub left: u32,
    /// Pixels above it.
    pub top: u32,
    /// In pixels, at least 1.
    pub width: u32,
    /// In pixels, at least 1.
    pub height: u32,
}

/// Boxes that do not fit are drawn again; after this many the box is [`fallback`].
const TRIES: u64 = 10;

impl Crop {
    /// A random box in an image of `width` × `height` pixels (both > 0), a pure function of `key`.
    pub fn sample(&self, width: u32, height: u32, key: Key) -> CropBox {
        let area = width as f64 * height as f64;
        let log_ratio = self.ratio.map(f64::ln);
        for attempt in 0..TRIES {
            let draw = |what: u64, [low, high]: [f64; 2]| {
                low + (high - low) * key.uniform(4 * attempt + what)
            };
            let target = area * draw(0, self.scale);
            let ratio = draw(1, log_ratio).exp();
            let box_width = (target * ratio).sqrt().round_ties_even();
            let box_height = (target / ratio).sqrt().round_ties_even();
            let fits = |side: f64, limit: u32| side >= 1.0 && side <= limit as f64;
            if fits(box_width, width) && fits(box_height, height) {
                let (box_width, box_height) = (box_width as u32, box_height as u32);
                let place =
                    |what: u64, free: u32| key.below(4 * attempt + what, free as u64 + 1) as u32;
                return CropBox {
                    left: place(2, width - box_width),
                    top: place(3, height - box_height),
                    width: box_width,
                    height: box_height,
                };
            }
        }
        self.fallback(width, height)
    }

    /// The largest centred box whose ratio is allowed.
    fn fallback(&self, width: u32, height: u32) -> CropBox {
        let ratio = width as f64 / height as f64;
        let [low, high] = self.ratio;
        let side = |length: f64, limit: u32| (length.round_ties_even() as u32).clamp(1, limit);
        if ratio < low {
            centred(width, height, width, side(width as f64 / low, height))
        } else if ratio > high {
            centred(width, height, side(height as f64 * high, width), height)
        } else {
            centred(width, height, width, height)
        }
    }
}

/// The largest centred square of an image of `width` × `height` pixels.
pub fn central_square(width: u32, height: u32) -> CropBox {
    let side = width.min(height);
    centred(width, height, side, side)
}

fn centred(width: u32, height: u32, box_width: u32, box_height: u32) -> CropBox {
    CropBox {
        left: (width - box_width) / 2,
        top: (height - box_height) / 2,
        width: box_width,
        height: box_height,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u64 = 20_000;

    fn boxes(crop: Crop, width: u32, height: u32) -> impl Iterator<Item = CropBox> {
        (0..DRAWS).map(move |i| crop.sample(width, height, Key::new(3).at(i)))
    }

    /// The share of `bins` equal bins each value falls into, against `expected`, as chi-squared.
    fn chi_squared(counts: &[f64], expected: &[f64]) -> f64 {
        let terms = counts
            .iter()
            .zip(expected)
            .filter(|(_, expected)| **expected > 5.0);
        terms.map(|(c, e)| (c - e).powi(2) / e).sum()
    }

    /// The stated density, integrated on a grid: area share even over `scale`, ratio even in its logarithm, both
    /// conditioned on the box lying inside the image.
    fn fitting(crop: Crop, width: f64, height: f64) -> Vec<(f64, f64)> {
        let grid = |[low, high]: [f64; 2], i: usize| low + (high - low) * (i as f64 + 0.5) / 1000.0;
        let log_ratio = crop.ratio.map(f64::ln);
        let pairs = (0..1000).flat_map(|i| (0..1000).map(move |j| (i, j)));
        pairs
            .map(|(i, j)| (grid(crop.scale, i), grid(log_ratio, j)))
            .filter(|(scale, log_ratio)| {
                let area = scale * width * height;
                let ratio = log_ratio.exp();
                (area * ratio).sqrt() <= width && (area / ratio).sqrt() <= height
            })
            .collect()
    }

    fn histogram(values: impl Iterator<Item = f64>, [low, high]: [f64; 2]) -> Vec<f64> {
        let mut counts = vec![0.0; 20];
        for value in values {
            let bin = ((value - low) / (high - low) * 20.0).clamp(0.0, 19.0);
            counts[bin as usize] += 1.0;
        }
        counts
    }

    #[test]
    fn area_and_ratio_follow_the_stated_distribution() {
        let crop = Crop::default();
        // Large enough that rounding to pixels does not move a box between bins.
        for (width, height) in [(40_000u32, 40_000u32), (40_000, 30_000)] {
            let (w, h) = (width as f64, height as f64);
            let grid = fitting(crop, w, h);
            // Ten tries in vain, and the box is the whole image, for its ratio is allowed.
            let whole = (1.0 - grid.len() as f64 / 1e6).powi(TRIES as i32);
            let expect = |cells: Vec<f64>, whole_at: f64, range| {
                let fitting = (1.0 - whole) / grid.len() as f64;
                let fallen_back = histogram([whole_at].into_iter(), range);
                let shares = cells.iter().zip(fallen_back);
                let counts =
                    shares.map(|(cell, all)| DRAWS as f64 * (cell * fitting + all * whole));
                counts.collect::<Vec<f64>>()
            };
            let log_range = crop.ratio.map(f64::ln);
            let areas =
                boxes(crop, width, height).map(|b| b.width as f64 * b.height as f64 / (w * h));
            let log_ratios =
                boxes(crop, width, height).map(|b| (b.width as f64 / b.height as f64).ln());
            let cases = [
                (
                    histogram(areas, crop.scale),
                    expect(
                        histogram(grid.iter().map(|g| g.0), crop.scale),
                        1.0,
                        crop.scale,
                    ),
                ),
                (
                    histogram(log_ratios, log_range),
                    expect(
                        histogram(grid.iter().map(|g| g.1), log_range),
                        (w / h).ln(),
                        log_range,
                    ),
                ),
            ];
            for (counts, expected) in cases {
                let chi2 = chi_squared(&counts, &expected);
                assert!(
                    chi2 < 43.8,
                    "chi-squared {chi2:.1} over 19 degrees of freedom (p = 0.001 at 43.8) at {width}×{height}"
                );
            }
        }
    }

    #[test]
    fn boxes_lie_anywhere_in_the_image_evenly() {
        let crop = Crop::default();
        let (width, height) = (40_000, 40_000);
        let left = boxes(crop, width, height)
            .map(|b| (b.left as f64 + 0.5) / ((width - b.width) as f64 + 1.0));
        let top = boxes(crop, width, height)
            .map(|b| (b.top as f64 + 0.5) / ((height - b.height) as f64 + 1.0));
        for counts in [histogram(left, [0.0, 1.0]), histogram(top, [0.0, 1.0])] {
            let chi2 = chi_squared(&counts, &[DRAWS as f64 / 20.0; 20]);
            assert!(
                chi2 < 43.8,
                "chi-squared {chi2:.1} over 19 degrees of freedom"
            );
        }
    }

    #[test]
    fn a_strip_falls_back_to_its_centre() {
        let crop = Crop::default();
        let key = Key::new(0);
        let wide = CropBox {
            left: 433,
            top: 0,
            width: 133,
            height: 100,
        };
        assert_eq!(crop.sample(1000, 100, key), wide);
        let high = CropBox {
            left: 0,
            top: 433,
            width: 100,
            height: 133,
        };
        assert_eq!(crop.sample(100, 1000, key), high);
        // A half rounds to the even 0, as in Python, and is then held at one pixel.
        let narrow = Crop {
            scale: [1.0, 1.0],
            ratio: [2.0, 2.0],
        };
        let dot = CropBox {
            left: 0,
            top: 4,
            width: 1,
            height: 1,
        };
        assert_eq!(narrow.sample(1, 10, key), dot);
    }

    #[test]
    fn every_box_lies_inside() {
        let crop = Crop {
            scale: [0.01, 1.0],
            ratio: [0.2, 5.0],
        };
        for i in 0..5_000 {
            let key = Key::new(9).at(i);
            let (width, height) = (1 + key.below(900, 60) as u32, 1 + key.below(901, 60) as u32);
            let b = crop.sample(width, height, key);
            assert!(
                b.width >= 1 && b.left + b.width <= width,
                "{b:?} in {width}×{height}"
            );
            assert!(
                b.height >= 1 && b.top + b.height <= height,
                "{b:?} in {width}×{height}"
            );
        }
    }

    #[test]
    fn the_central_square_is_centred() {
        let wide = CropBox {
            left: 10,
            top: 0,
            width: 40,
            height: 40,
        };
        assert_eq!(central_square(61, 40), wide);
    }
}

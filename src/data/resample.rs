//! A part of an image at the size the network sees: bilinear with antialiasing, as Pillow resizes.
//!
//! The part is cut out first, so no pixel outside it counts. When shrinking, the triangle filter widens with the
//! scale. Samples are 8 bits between the two passes, as in Pillow; results differ from Pillow's by at most one.

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedCroppedImage, TypedImage, TypedImageRef},
    pixels::U8x3,
};
use image::RgbImage;

use super::CropBox;

/// Resizes; holds the scratch space, so each thread has its own.
#[derive(Default)]
pub struct Resampler(Resizer);

impl Resampler {
    /// The pixels of `part`, which must lie in `image`, as `size` × `size` interleaved RGB.
    pub fn resize(&mut self, image: &RgbImage, part: CropBox, size: u32) -> Vec<u8> {
        let source =
            TypedImageRef::<U8x3>::from_buffer(image.width(), image.height(), image.as_raw())
                .expect("an RgbImage holds three bytes per pixel");
        let cropped =
            TypedCroppedImage::from_ref(&source, part.left, part.top, part.width, part.height)
                .expect("the part lies in the image");
        let mut pixels = vec![0; 3 * (size * size) as usize];
        let mut resized = TypedImage::<U8x3>::from_buffer(size, size, &mut pixels)
            .expect("three bytes per pixel were just allocated");
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        // By type: the untyped call compiles every pixel format there is, which is most of the build's time.
        self.0
            .resize_typed(&cropped, &mut resized, &options)
            .expect("a convolution of bytes is supported on every processor");
        pixels
    }
}

/// Mirrors interleaved RGB pixels, `width` to a row, left to right.
pub fn flip(pixels: &mut [u8], width: usize) {
    for row in pixels.chunks_exact_mut(3 * width) {
        let (pixels, _) = row.as_chunks_mut::<3>();
        pixels.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        data::{Crop, synthetic},
        random::Key,
    };

    /// The definition, slowly: crop, then every output sample the exact weighted mean of what its triangle covers.
    fn exact(image: &RgbImage, part: CropBox, size: u32) -> Vec<f64> {
        let weights = |length: u32, at: u32| -> Vec<f64> {
            let scale = length as f64 / size as f64;
            let (center, support) = ((at as f64 + 0.5) * scale, scale.max(1.0));
            let triangle = |i: u32| (1.0 - ((i as f64 + 0.5 - center) / support).abs()).max(0.0);
            let raw: Vec<f64> = (0..length).map(triangle).collect();
            let sum: f64 = raw.iter().sum();
            raw.iter().map(|w| w / sum).collect()
        };
        let columns: Vec<_> = (0..size).map(|x| weights(part.width, x)).collect();
        let rows: Vec<_> = (0..size).map(|y| weights(part.height, y)).collect();
        let mut result = Vec::new();
        for row in &rows {
            // Summing the rows first makes this quadratic instead of quartic; in f64 the order does not matter.
            let mut line = vec![[0.0; 3]; part.width as usize];
            for (y, weight) in row.iter().enumerate().filter(|(_, w)| **w > 0.0) {
                for (x, sum) in line.iter_mut().enumerate() {
                    let pixel = image.get_pixel(part.left + x as u32, part.top + y as u32);
                    (0..3).for_each(|c| sum[c] += weight * pixel[c] as f64);
                }
            }
            for column in &columns {
                let dot = |c| line.iter().zip(column).map(|(p, w)| p[c] * w).sum::<f64>();
                result.extend((0..3).map(dot));
            }
        }
        result
    }

    #[test]
    fn crops_equal_the_slow_exact_resampler() {
        // Down by various amounts, up in one or both directions, and noise on top so that a pixel's shift would show.
        let crop = Crop {
            scale: [0.05, 1.0],
            ratio: [0.5, 2.0],
        };
        let mut resampler = Resampler::default();
        let (mut worst, mut total, mut count) = (0.0f64, 0.0, 0);
        for i in 0..12 {
            let key = Key::new(11).at(i);
            let mut image = synthetic::scene(11, i as usize, 96 + 17 * i as u32);
            for (p, sample) in image.iter_mut().enumerate() {
                *sample = sample.saturating_add(key.below(p as u64, 60) as u8);
            }
            let part = crop.sample(image.width(), image.height(), key);
            let got = resampler.resize(&image, part, 96);
            for (got, exact) in got.iter().zip(exact(&image, part, 96)) {
                let error = *got as f64 - exact;
                worst = worst.max(error.abs());
                total += error;
                count += 1;
            }
        }
        // Half a level per pass, plus the fixed-point weights.
        assert!(worst < 1.25, "worst {worst}");
        assert!(
            (total / count as f64).abs() < 0.05,
            "mean {}",
            total / count as f64
        );
    }

    #[test]
    fn pixels_equal_pillow_within_one_level() {
        let image = RgbImage::from_fn(9, 7, |x, y| {
            let sample = |v: i64| v.rem_euclid(256) as u8;
            let (x, y) = (x as i64, y as i64);
            image::Rgb([
                sample(37 * x + 11 * y * y),
                sample(9 * x * x + 50 * y),
                sample(200 - 13 * x * y),
            ])
        });
        let part = CropBox {
            left: 1,
            top: 0,
            width: 8,
            height: 7,
        };
        // Image.crop((1, 0, 9, 7)).resize((4, 4), Image.BILINEAR), Pillow 13.
        #[rustfmt::skip]
        let pillow: [u8; 48] = [
            70, 57, 188, 137, 128, 176, 174, 130, 163, 55, 137, 155,
            116, 135, 153, 174, 162, 106, 121, 124, 87, 74, 133, 132,
            167, 157, 113, 128, 109, 114, 125, 118, 140, 144, 97, 107,
            151, 59, 97, 142, 120, 129, 134, 119, 132, 119, 134, 119,
        ];
        let got = Resampler::default().resize(&image, part, 4);
        let worst = got.iter().zip(pillow).map(|(a, b)| a.abs_diff(b)).max();
        assert!(worst <= Some(1), "{got:?}");
    }

    #[test]
    fn flipping_mirrors_each_row() {
        let mut pixels: Vec<u8> = (0..12).collect();
        flip(&mut pixels, 2);
        assert_eq!(pixels, [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]);
    }
}

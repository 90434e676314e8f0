//! Pixels to what a network is fed, and back.

/// Maps 8-bit samples to `(sample / 255 − mean) / std`, one mean and deviation per channel, in f32 as torchvision does.
#[derive(Debug, Clone)]
pub struct Normalizer {
    mean: [f32; 3],
    std: [f32; 3],
    table: [[f32; 256]; 3],
}

impl Normalizer {
    /// `std` must not be 0.
    pub fn new(mean: [f32; 3], std: [f32; 3]) -> Self {
        let table = std::array::from_fn(|c| {
            std::array::from_fn(|sample| (sample as f32 / 255.0 - mean[c]) / std[c])
        });
        Self { mean, std, table }
    }

    /// What each level of red, green and blue is mapped to.
    pub fn levels(&self) -> &[[f32; 256]; 3] {
        &self.table
    }

    /// Writes interleaved RGB `pixels` (\[height, width, 3\]) to `planes` (\[3, height, width\]).
    ///
    /// # Panics
    /// Unless both are as long.
    pub fn apply(&self, pixels: &[u8], planes: &mut [f32]) {
        assert_eq!(pixels.len(), planes.len(), "one sample in, one sample out");
        let area = pixels.len() / 3;
        let (red, rest) = planes.split_at_mut(area);
        let (green, blue) = rest.split_at_mut(area);
        let planes = red.iter_mut().zip(green).zip(blue);
        for (pixel, ((red, green), blue)) in pixels.chunks_exact(3).zip(planes) {
            *red = self.table[0][pixel[0] as usize];
            *green = self.table[1][pixel[1] as usize];
            *blue = self.table[2][pixel[2] as usize];
        }
    }

    /// The way back, for pictures: `planes` (\[3, height, width\]) to interleaved RGB, rounded and held to 0..=255.
    pub fn to_rgb8(&self, planes: &[f32]) -> Vec<u8> {
        let area = planes.len() / 3;
        let sample = |i: usize, c: usize| {
            let value = planes[c * area + i] * self.std[c] + self.mean[c];
            (value * 255.0).round().clamp(0.0, 255.0) as u8
        };
        (0..area)
            .flat_map(|i| [sample(i, 0), sample(i, 1), sample(i, 2)])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_value_survives_the_round_trip() {
        let normalizer = Normalizer::new([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        let pixels: Vec<u8> = (0..=255u8).flat_map(|v| [v, 255 - v, v ^ 0x5a]).collect();
        let mut planes = vec![0.0; pixels.len()];
        normalizer.apply(&pixels, &mut planes);
        assert_eq!(normalizer.to_rgb8(&planes), pixels);
        // Planar, channel by channel, by the formula.
        assert_eq!(planes[7], (7.0f32 / 255.0 - 0.485) / 0.229);
        assert_eq!(planes[256 + 7], (248.0f32 / 255.0 - 0.456) / 0.224);
        assert_eq!(planes[512], (90.0f32 / 255.0 - 0.406) / 0.225);
    }

    #[test]
    fn what_leaves_the_range_is_held_at_its_ends() {
        let normalizer = Normalizer::new([0.5; 3], [0.5; 3]);
        assert_eq!(normalizer.to_rgb8(&[-9.0, 9.0, f32::NAN]), [0, 255, 0]);
    }
}

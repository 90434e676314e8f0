//! Random numbers as pure functions: a value depends on a key and a position, never on what was drawn before.
//!
//! A [`Key`] names a stream: `Key::new(seed).with("augment").at(epoch).at(sample)`. Position `i` of a stream is
//! `bits(key, i)`, so a kernel can draw element `i` of a virtual tensor wherever it needs it, on any thread.

/// Names a stream of random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub u64);

impl Key {
    /// The root stream of a run.
    pub fn new(seed: u64) -> Self {
        Key(mix64(seed ^ 0x6d69_6d63_5eed_0001))
    }

    /// The stream for one purpose, for example an instance path of the graph.
    pub fn with(self, purpose: &str) -> Self {
        // FNV-1a: the name only has to tell purposes apart; `mix64` does the scattering.
        let hash = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ b as u64).wrapping_mul(0x100_0000_01b3)
        });
        Key(mix64(self.0 ^ hash))
    }

    /// The stream of one index: an epoch, a sample, a step.
    pub fn at(self, index: u64) -> Self {
        Key(mix64(
            self.0
                .wrapping_add(0x9e37_79b9_7f4a_7c15)
                .wrapping_add(mix64(index)),
        ))
    }

    /// 64 random bits at a position of this stream.
    pub fn bits(self, position: u64) -> u64 {
        mix64(
            self.0
                .wrapping_add(position.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        )
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(self, position: u64) -> f64 {
        (self.bits(position) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [0, 1) with 24 bits: what kernels draw. Depends on the low 32 bits of the position only through
    /// 32-bit arithmetic, so that a loop over positions vectorises.
    pub fn uniform_f32(self, position: u64) -> f32 {
        unit(draw(self.lane((position >> 32) as u32), position as u32))
    }

    /// Uniform integer below `bound` (> 0); the bias is below 2^-32 for bounds under 2^32.
    pub fn below(self, position: u64, bound: u64) -> u64 {
        ((self.bits(position) as u128 * bound as u128) >> 64) as u64
    }

    /// A standard normal value (Box-Muller, f64).
    pub fn normal(self, position: u64) -> f64 {
        let (u, v) = (self.uniform(2 * position), self.uniform(2 * position + 1));
        (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// The two 32-bit words that key [`draw`] for one block of 2^32 positions.
    pub fn lane(self, block: u32) -> [u32; 2] {
        let word = mix64(self.0 ^ (block as u64).wrapping_mul(0xd1b5_4a32_d192_ed03));
        [word as u32, (word >> 32) as u32]
    }
}

/// 32 random bits at a position of a lane.
#[inline(always)]
pub fn draw(lane: [u32; 2], position: u32) -> u32 {
    // Two rounds of a strong 32-bit mixer, keyed before each: enough for dropout masks, and eight lanes fit a register.
    mix32(mix32(position.wrapping_mul(0x9e37_79b1) ^ lane[0]).wrapping_add(lane[1]))
}

/// Bits to [0, 1): the top 24 bits, exactly representable.
#[inline(always)]
pub fn unit(bits: u32) -> f32 {
    (bits >> 8) as f32 * (1.0 / (1u32 << 24) as f32)
}

#[inline(always)]
fn mix32(mut x: u32) -> u32 {
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

fn mix64(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_and_repeat() {
        let key = Key::new(1).with("a").at(3);
        assert_eq!(key.bits(9), Key::new(1).with("a").at(3).bits(9));
        let others = [
            Key::new(2).with("a").at(3),
            Key::new(1).with("b").at(3),
            Key::new(1).with("a").at(4),
        ];
        assert!(others.iter().all(|o| o.bits(9) != key.bits(9)));
    }

    #[test]
    fn draws_are_uniform() {
        let key = Key::new(7).with("uniform");
        let n = 1 << 16;
        let mut bins = [0u32; 16];
        for i in 0..n {
            bins[(key.uniform_f32(i) * 16.0) as usize] += 1;
        }
        let expected = n as f64 / 16.0;
        let chi2: f64 = bins
            .iter()
            .map(|&b| (b as f64 - expected).powi(2) / expected)
            .sum();
        assert!(
            chi2 < 37.7,
            "chi-squared {chi2} over 15 degrees of freedom (p = 0.001 at 37.7)"
        );
    }

    #[test]
    fn normals_have_unit_variance() {
        let key = Key::new(7).with("normal");
        let n = 40_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for i in 0..n {
            let x = key.normal(i);
            sum += x;
            squares += x * x;
        }
        assert!((sum / n as f64).abs() < 0.02);
        assert!((squares / n as f64 - 1.0).abs() < 0.03);
    }
}

//! How far a mask keeps hidden pixels from visible ones.

/// AvgDist, by which SimMIM compares masks (Xie et al. 2022): the mean over the hidden pixels of the Euclidean distance, in
/// pixels, from centre to centre, to the nearest visible one. Nothing where all is visible or all is hidden.
///
/// `mask` is one image's, `[units, units]`, 1 = hidden; each of its units is a square of `unit` × `unit` pixels.
///
/// # Panics
/// If the mask is not square.
pub fn average_distance(mask: &[f32], unit: usize) -> Option<f64> {
    let units = mask.len().isqrt();
    assert_eq!(units * units, mask.len(), "a mask is square");
    let size = units * unit;
    let pixels = (0..size).flat_map(|y| (0..size).map(move |x| y / unit * units + x / unit));
    let visible: Vec<bool> = pixels.map(|at| mask[at] == 0.0).collect();
    let squares = squared_distances(&visible, size)?;
    let hidden = visible.iter().filter(|&&seen| !seen).count();
    // A visible pixel is no way from itself.
    let total: f64 = squares.iter().map(|&square| (square as f64).sqrt()).sum();
    (hidden > 0).then(|| total / hidden as f64)
}

/// The squared Euclidean distance of every pixel to the nearest visible one, exactly. Nothing where none is visible.
///
/// Row-major, `width` pixels a row. Linear in the number of pixels: columns first, then rows (Felzenszwalb & Huttenlocher,
/// "Distance Transforms of Sampled Functions", 2012).
///
/// # Panics
/// If the last row is not whole.
pub fn squared_distances(visible: &[bool], width: usize) -> Option<Vec<u64>> {
    assert_eq!(visible.len() % width.max(1), 0, "rows are whole");
    let height = visible.len() / width.max(1);
    let mut squares: Vec<Option<u64>> = visible.iter().map(|seen| seen.then_some(0)).collect();
    let mut envelope = Envelope::default();
    for x in 0..width {
        let column: Vec<_> = (0..height).map(|y| squares[y * width + x]).collect();
        for (y, square) in envelope.over(&column).enumerate() {
            squares[y * width + x] = square;
        }
    }
    for row in squares.chunks_mut(width.max(1)) {
        let lowest: Vec<_> = envelope.over(row).collect();
        row.copy_from_slice(&lowest);
    }
    squares
        .into_iter()
        .collect::<Option<_>>()
        .filter(|all: &Vec<_>| !all.is_empty())
}

/// The lower envelope of the parabolas `(x - root)² + height`.
#[derive(Default)]
struct Envelope {
    /// Those of which a part lies lowest, from left to right.
    parts: Vec<Part>,
}

#[derive(Clone, Copy)]
struct Part {
    root: usize,
    height: u64,
    /// Lowest from here to where the next one starts.
    from: f64,
}

impl Envelope {
    /// `min over q of (x - q)² + line[q]` for every place x of a line; nothing where the line is empty.
    fn over(&mut self, line: &[Option<u64>]) -> impl Iterator<Item = Option<u64>> {
        self.parts.clear();
        for (root, height) in line.iter().enumerate() {
            if let &Some(height) = height {
                self.add(root, height);
            }
        }
        let mut at = 0;
        (0..line.len()).map(move |x| {
            while self
                .parts
                .get(at + 1)
                .is_some_and(|next| next.from < x as f64)
            {
                at += 1;
            }
            let Part { root, height, .. } = self.parts.get(at)?;
            Some((x.abs_diff(*root) as u64).pow(2) + height)
        })
    }

    /// Roots come from left to right, so the new parabola is the lowest on the far right.
    fn add(&mut self, root: usize, height: u64) {
        let mut from = f64::NEG_INFINITY;
        while let Some(last) = self.parts.last() {
            from = last.crossing(root, height);
            if from > last.from {
                break;
            }
            self.parts.pop();
            from = f64::NEG_INFINITY;
        }
        self.parts.push(Part { root, height, from });
    }
}

impl Part {
    /// Where the parabola of a later root comes to lie lower. Rounding moves a crossing between two places, never past one.
    fn crossing(&self, root: usize, height: u64) -> f64 {
        let at_zero = |root: usize, height: u64| (root * root) as f64 + height as f64;
        let apart = at_zero(root, height) - at_zero(self.root, self.height);
        apart / (2 * (root - self.root)) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;

    /// Every pixel against every other.
    fn by_force(visible: &[bool], width: usize) -> Option<Vec<u64>> {
        let square = |a: usize, b: usize| {
            let (dx, dy) = (
                (a % width).abs_diff(b % width),
                (a / width).abs_diff(b / width),
            );
            (dx * dx + dy * dy) as u64
        };
        let seen = || (0..visible.len()).filter(|&at| visible[at]);
        (0..visible.len())
            .map(|a| seen().map(|b| square(a, b)).min())
            .collect()
    }

    #[test]
    fn distances_are_those_of_every_pixel_against_every_other() {
        for (case, (width, height)) in (0..).zip([(1, 1), (1, 17), (23, 1), (16, 16), (31, 19)]) {
            for (round, share) in (0..).zip([0.002, 0.02, 0.1, 0.5, 0.95]) {
                let key = Key::new(case).at(round);
                let mut visible: Vec<bool> = (0..width * height)
                    .map(|at| key.uniform(at as u64) < share)
                    .collect();
                visible[key.below(0, (width * height) as u64) as usize] = true;
                assert_eq!(
                    squared_distances(&visible, width),
                    by_force(&visible, width)
                );
            }
        }
    }

    #[test]
    fn without_a_visible_pixel_there_is_no_distance() {
        assert_eq!(squared_distances(&[false; 12], 4), None);
        assert_eq!(squared_distances(&[], 4), None);
        assert_eq!(squared_distances(&[], 0), None);
        assert_eq!(average_distance(&[1.0; 4], 3), None);
        assert_eq!(average_distance(&[0.0; 4], 3), None);
    }

    #[test]
    fn the_average_is_over_hidden_pixels_alone() {
        // The left half of 2 × 2 units of 2 pixels is hidden: its columns are 2 and 1 away.
        assert_eq!(average_distance(&[1.0, 0.0, 1.0, 0.0], 2), Some(1.5));
        let corner = average_distance(&[1.0, 0.0, 0.0, 0.0], 2);
        assert_eq!(corner, Some((2.0 + 1.0 + 1.0 + 1.0) / 4.0));
    }
}

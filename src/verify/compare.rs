//! Distances, in f64.

/// ‖ours − theirs‖ / ‖theirs‖: 0 where both are zero, infinite where only theirs is.
pub fn relative(ours: &[f32], theirs: &[f32]) -> f64 {
    let pairs = || ours.iter().zip(theirs);
    let off = norm(pairs().map(|(a, b)| f64::from(*a) - f64::from(*b)));
    over(off, norm(theirs.iter().map(|b| f64::from(*b))))
}

/// Off relative to a size: 0 where both are zero, infinite where only the size is.
pub fn over(off: f64, size: f64) -> f64 {
    match off == 0.0 {
        true => 0.0,
        false => off / size,
    }
}

pub fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// Root of the mean square.
pub fn rms(values: &[f32]) -> f64 {
    let norm = norm(values.iter().map(|value| f64::from(*value)));
    norm / (values.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_relative_to_theirs() {
        assert_eq!(relative(&[3.0, 5.0], &[3.0, 4.0]), 0.2);
        assert_eq!(relative(&[0.0], &[0.0]), 0.0);
        assert_eq!(relative(&[1.0], &[0.0]), f64::INFINITY);
        assert!(relative(&[f32::NAN], &[1.0]).is_nan());
        assert_eq!(rms(&[3.0, -3.0, 3.0, -3.0]), 3.0);
    }
}

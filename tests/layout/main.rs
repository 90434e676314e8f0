//! How elements move: views and patterns at random, against loops over indices.

mod patterns;
mod views;

/// The positions of a tensor, row-major.
pub fn positions(dims: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let dims = dims.to_vec();
    (0..dims.iter().product()).map(move |mut place: usize| {
        let mut position = vec![0; dims.len()];
        for (axis, &n) in dims.iter().enumerate().rev() {
            position[axis] = place % n;
            place /= n;
        }
        position
    })
}

/// Where a position lies, row-major.
pub fn place(position: &[usize], dims: &[usize]) -> usize {
    let step = |at: usize, (&i, &n): (&usize, &usize)| at * n + i;
    position.iter().zip(dims).fold(0, step)
}

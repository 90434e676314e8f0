//! Random draws of a box of a virtual tensor.

use std::ops::Range;

use pulp::Arch;

use super::nest::{Nest, Window};
use crate::random::{Key, draw, unit};

/// How to draw a box of a virtual tensor, laid out densely.
#[derive(Debug, Clone)]
pub struct Draw {
    outer: Vec<Loop>,
    inner: Option<Loop>,
}

/// Neighbouring axes of a nest along which positions advance evenly.
#[derive(Debug, Clone)]
struct Loop {
    axes: Range<usize>,
    position: u64,
    to: usize,
}

impl Draw {
    /// `positions` and `to`: strides along the axes of the nest; `to` is dense over the axes it does not broadcast.
    pub fn new(nest: &Nest, positions: &[usize], to: &[usize]) -> Draw {
        let mut outer: Vec<Loop> = vec![];
        for a in (0..nest.dims.len()).rev() {
            if nest.tile[a] == 1 || to[a] == 0 {
                continue;
            }
            let position = positions[a] as u64;
            if let Some(inner) = outer.last_mut() {
                let size: usize = nest.tile[inner.axes.clone()].iter().product();
                let spanned = inner.axes.clone().all(|i| nest.spans(i));
                if spanned && position == size as u64 * inner.position && to[a] == size * inner.to {
                    inner.axes.start = a;
                    continue;
                }
            }
            outer.push(Loop {
                axes: a..a + 1,
                position,
                to: to[a],
            });
        }
        let inner = (outer.first().is_some_and(|l| l.to == 1)).then(|| outer.remove(0));
        outer.reverse();
        Draw { outer, inner }
    }

    /// # Safety
    /// `to` must be valid for the box.
    pub unsafe fn run(&self, arch: Arch, window: &Window, key: Key, position: u64, to: *mut f32) {
        // SAFETY: the loops stay inside the window.
        unsafe { self.walk(&self.outer, arch, window, key, position, to) }
    }

    unsafe fn walk(
        &self,
        loops: &[Loop],
        arch: Arch,
        window: &Window,
        key: Key,
        position: u64,
        to: *mut f32,
    ) {
        // SAFETY: each index is below the window's size along the axes of its loop.
        unsafe {
            match (loops.split_first(), &self.inner) {
                (Some((first, rest)), _) => {
                    for i in 0..window.count(first.axes.clone()) {
                        let position = position + i as u64 * first.position;
                        self.walk(rest, arch, window, key, position, to.add(i * first.to));
                    }
                }
                (None, Some(inner)) => {
                    let n = window.count(inner.axes.clone());
                    let out = std::slice::from_raw_parts_mut(to, n);
                    run(arch, key, position, inner.position, out);
                }
                (None, None) => *to = key.uniform_f32(position),
            }
        }
    }
}

/// Draws at evenly spaced positions.
fn run(arch: Arch, key: Key, mut position: u64, step: u64, mut out: &mut [f32]) {
    while !out.is_empty() {
        // Within one block of 2³² positions, 32-bit arithmetic is exact.
        let left = (1u64 << 32) - (position & u32::MAX as u64);
        let n = match step {
            0 => out.len(),
            _ => (left.div_ceil(step) as usize).min(out.len()),
        };
        let lane = key.lane((position >> 32) as u32);
        let (head, tail) = std::mem::take(&mut out).split_at_mut(n);
        let (first, step32) = (position as u32, step as u32);
        arch.dispatch(
            #[inline(always)]
            || {
                for (i, value) in head.iter_mut().enumerate() {
                    let position = first.wrapping_add((i as u32).wrapping_mul(step32));
                    *value = unit(draw(lane, position));
                }
            },
        );
        position += n as u64 * step;
        out = tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_equal_the_stream_across_blocks() {
        let key = Key::new(5).with("drop");
        for (start, step) in [
            (0, 1),
            ((1 << 32) - 10, 1),
            ((7 << 32) - 100, 9),
            (3, 0),
            (1 << 31, 1 << 31),
            (17, (1 << 33) + 5),
        ] {
            let mut out = [0.0; 50];
            run(Arch::new(), key, start, step, &mut out);
            for (i, &value) in out.iter().enumerate() {
                assert_eq!(value, key.uniform_f32(start + i as u64 * step));
            }
        }
    }
}

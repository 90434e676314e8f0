//! Loop nests: axes merged as far as every access allows, and cut into tiles.

use std::ops::Range;

use crate::plan::Access;

/// The axes of a loop nest, with the strides of every access along them.
#[derive(Debug, Clone)]
pub struct Axes {
    pub dims: Vec<usize>,
    /// `strides[access][axis]`
    pub strides: Vec<Vec<usize>>,
    /// The axes that are left of each group.
    pub groups: Vec<Range<usize>>,
}

impl Axes {
    /// Drops axes of one element and merges neighbours of the same group over which every access walks evenly.
    pub fn merged(groups: &[&[usize]], accesses: &[&Access]) -> Axes {
        let mut axes = Axes {
            dims: vec![],
            strides: vec![vec![]; accesses.len()],
            groups: vec![],
        };
        let mut axis = 0;
        for group in groups {
            let start = axes.dims.len();
            for &dim in *group {
                if dim != 1 {
                    axes.append(dim, accesses, axis, start);
                }
                axis += 1;
            }
            axes.groups.push(start..axes.dims.len());
        }
        axes
    }

    fn append(&mut self, dim: usize, accesses: &[&Access], axis: usize, start: usize) {
        let last = self.dims.len();
        let mergeable = last > start
            && (self.strides.iter().zip(accesses))
                .all(|(merged, access)| merged[last - 1] == dim * access.strides[axis]);
        for (merged, access) in self.strides.iter_mut().zip(accesses) {
            if mergeable {
                merged.pop();
            }
            merged.push(access.strides[axis]);
        }
        if mergeable {
            self.dims[last - 1] *= dim;
        } else {
            self.dims.push(dim);
        }
    }
}

/// A nest cut into boxes. Inside a box, the axes before [`Nest::row`] number its rows and the others the elements of a row.
#[derive(Debug, Clone)]
pub struct Nest {
    pub dims: Vec<usize>,
    /// Size of a box along each axis; boxes at the end may be smaller.
    pub tile: Vec<usize>,
    /// First of the row axes.
    pub row: usize,
    /// Whether a part of the nest may have less of a row than a box spans.
    pub cut: bool,
}

/// One box of a nest.
#[derive(Debug, Clone)]
pub struct Window {
    pub start: Vec<usize>,
    pub size: Vec<usize>,
}

impl Nest {
    /// Rows of a full box.
    pub fn rows(&self) -> usize {
        self.tile[..self.row].iter().product()
    }

    /// Whether every box has all of an axis.
    pub fn spans(&self, axis: usize) -> bool {
        self.tile[axis] == self.dims[axis] && !(self.cut && axis >= self.row)
    }

    /// Elements in each row of a full box.
    pub fn width(&self) -> usize {
        self.tile[self.row..].iter().product()
    }

    /// The whole nest.
    pub fn whole(&self) -> Window {
        Window {
            start: vec![0; self.dims.len()],
            size: self.dims.clone(),
        }
    }

    /// Number of boxes that cover the given axes of a part of the nest.
    pub fn tiles(&self, axes: Range<usize>, part: &Window) -> usize {
        axes.map(|a| part.size[a].div_ceil(self.tile[a])).product()
    }

    /// Sets the given axes of `window` to the `index`-th box of a part of the nest, counting along inner axes first.
    pub fn place(&self, axes: Range<usize>, part: &Window, mut index: usize, window: &mut Window) {
        for a in axes.rev() {
            let tiles = part.size[a].div_ceil(self.tile[a]);
            let first = index % tiles * self.tile[a];
            index /= tiles;
            window.start[a] = part.start[a] + first;
            window.size[a] = self.tile[a].min(part.size[a] - first);
        }
    }

    /// Calls `work` with some boxes of a part of the nest, counted as in [`Nest::place`], and each time with the next one, if there is
    /// one. Along the other axes they are as `other`.
    pub fn walk(
        &self,
        axes: Range<usize>,
        part: &Window,
        other: &Window,
        boxes: Range<usize>,
        mut work: impl FnMut(&Window, Option<&Window>),
    ) {
        let (mut window, mut coming) = (other.clone(), other.clone());
        if !boxes.is_empty() {
            self.place(axes.clone(), part, boxes.start, &mut window);
        }
        for next in boxes.start + 1..boxes.end {
            self.place(axes.clone(), part, next, &mut coming);
            work(&window, Some(&coming));
            std::mem::swap(&mut window, &mut coming);
        }
        if !boxes.is_empty() {
            work(&window, None);
        }
    }

    /// Strides that lay the given axes of a full box out densely, and broadcast the others.
    pub fn dense(&self, axes: Range<usize>) -> Vec<usize> {
        let mut strides = vec![0; self.dims.len()];
        let mut stride = 1;
        for a in axes.rev() {
            strides[a] = stride;
            stride *= self.tile[a];
        }
        strides
    }

    /// The nest with boxes of one element along the given axes.
    pub fn without(&self, axes: Range<usize>) -> Nest {
        let mut nest = self.clone();
        nest.tile[axes].fill(1);
        nest
    }
}

impl Window {
    pub fn count(&self, axes: Range<usize>) -> usize {
        self.size[axes].iter().product()
    }
}

/// Fills a box from the first of the given axes to the last until it holds about `budget` elements; returns what is left of it.
pub fn fill(
    dims: &[usize],
    tile: &mut [usize],
    axes: impl Iterator<Item = usize>,
    mut budget: usize,
) -> usize {
    for axis in axes {
        tile[axis] = piece(dims[axis], budget);
        budget = if tile[axis] < dims[axis] {
            1
        } else {
            budget / tile[axis].max(1)
        };
    }
    budget.max(1)
}

/// Size of the fewest nearly equal pieces of at most `most` elements, in whole vectors where that is possible.
fn piece(dim: usize, most: usize) -> usize {
    const VECTOR: usize = 16;
    if dim <= most {
        return dim.max(1);
    }
    let size = dim.div_ceil(dim.div_ceil(most.max(1)));
    let whole = size.next_multiple_of(VECTOR);
    if whole <= most { whole } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(strides: &[usize]) -> Access {
        Access {
            offset: 0,
            strides: strides.to_vec(),
        }
    }

    #[test]
    fn merges_what_every_access_allows() {
        let dense = access(&[60, 20, 5, 1]);
        let broadcast = access(&[0, 0, 5, 1]);
        let axes = Axes::merged(&[&[2, 3, 4, 5]], &[&dense]);
        assert_eq!((axes.dims, axes.strides), (vec![120], vec![vec![1]]));
        let axes = Axes::merged(&[&[2, 3, 4, 5]], &[&dense, &broadcast]);
        assert_eq!(axes.dims, [6, 20]);
        assert_eq!(axes.strides, [vec![20, 1], vec![0, 1]]);
        let axes = Axes::merged(&[&[2, 3], &[4, 5]], &[&dense]);
        assert_eq!((axes.dims, axes.groups), (vec![6, 20], vec![0..1, 1..2]));
    }

    #[test]
    fn drops_axes_of_one() {
        let axes = Axes::merged(&[&[1, 7, 1], &[1]], &[&access(&[99, 2, 13, 4])]);
        assert_eq!((axes.dims, axes.strides), (vec![7], vec![vec![2]]));
        assert_eq!(axes.groups, [0..1, 1..1]);
    }

    #[test]
    fn tiles_cover_every_element_once() {
        let nest = Nest {
            dims: vec![3, 10, 7],
            tile: vec![1, 4, 7],
            row: 2,
            cut: false,
        };
        let whole = nest.whole();
        let mut seen = vec![0; 210];
        let mut window = nest.whole();
        for t in 0..nest.tiles(0..3, &whole) {
            nest.place(0..3, &whole, t, &mut window);
            visit_elements(&window, &nest.dims, &mut seen);
        }
        assert!(seen.iter().all(|&n| n == 1));
    }

    #[test]
    fn boxes_come_with_the_next_one_in_sight() {
        let nest = Nest {
            dims: vec![10, 7],
            tile: vec![4, 7],
            row: 1,
            cut: false,
        };
        let whole = nest.whole();
        let seen = |boxes: Range<usize>| {
            let mut seen = vec![];
            nest.walk(0..2, &whole, &whole, boxes, |window, next| {
                let next = next.map(|next| (next.start[0], next.size[0]));
                seen.push(((window.start[0], window.size[0]), next));
            });
            seen
        };
        let last = ((8, 2), None);
        assert_eq!(
            seen(0..3),
            [((0, 4), Some((4, 4))), ((4, 4), Some((8, 2))), last]
        );
        assert_eq!(seen(2..3), [last]);
        assert_eq!(seen(0..0), []);
    }

    fn visit_elements(window: &Window, dims: &[usize], seen: &mut [i32]) {
        let total: usize = window.size.iter().product();
        for mut i in 0..total {
            let mut index = 0;
            let mut stride = 1;
            for a in (0..dims.len()).rev() {
                index += (window.start[a] + i % window.size[a]) * stride;
                i /= window.size[a];
                stride *= dims[a];
            }
            seen[index] += 1;
        }
    }

    #[test]
    fn pieces_are_even() {
        assert_eq!(piece(5000, 4096), 2512);
        assert_eq!(piece(100, 4096), 100);
        assert_eq!(piece(17, 8), 6);
        assert_eq!(piece(1_000_000, 4096), 4096);
    }
}

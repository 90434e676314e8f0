//! Views: what an edge says about the buffer it reads. Thin, checked functions over luminal's `ShapeTracker`, whose own
//! slicing and shape queries are wrong for some legal views and are not used.

mod relabel;

use super::ShapeTracker;
use luminal::prelude::symbolic::{Expression, Term};

pub use relabel::{compose, relabel};

/// Highest rank luminal can express.
pub const MAX_RANK: usize = 6;

/// Dim, whether it broadcasts, slice, padding.
type Axis = (
    Expression,
    bool,
    (Expression, Expression),
    (Expression, Expression),
);

const UNSET: usize = i32::MAX as usize;

/// A static dimension.
///
/// # Panics
/// If it does not fit an `i32`.
pub fn size(n: usize) -> Expression {
    assert!(n <= UNSET, "a dimension of {n} does not fit an i32");
    n.into()
}

fn number(e: &Expression) -> usize {
    // Nearly always: luminal would begin by making a stack.
    if let [Term::Num(number)] = e.terms[..] {
        return number as usize;
    }
    e.to_usize()
        .expect("dimensions are static in a legal graph")
}

/// The whole of a row-major buffer.
///
/// # Panics
/// If there are more than 6 axes, or one does not fit an `i32`.
pub fn plain(dims: &[usize]) -> ShapeTracker {
    assert!(
        dims.len() <= MAX_RANK,
        "rank {} is above {MAX_RANK}",
        dims.len()
    );
    ShapeTracker::new(&dims.iter().map(|&d| size(d)).collect::<Vec<_>>())
}

/// A single element broadcast to `dims`.
///
/// # Panics
/// As [`plain`].
pub fn broadcast(dims: &[usize]) -> ShapeTracker {
    assert!(
        dims.len() <= MAX_RANK,
        "rank {} is above {MAX_RANK}",
        dims.len()
    );
    ShapeTracker::fake(&dims.iter().map(|&d| size(d)).collect::<Vec<_>>())
}

/// Logical dims: what a reader of the view sees.
pub fn dims(view: &ShapeTracker) -> Vec<usize> {
    view.indexes
        .iter()
        .map(|&i| {
            let (before, after) = (number(&view.padding[i].0), number(&view.padding[i].1));
            let (start, end) = (number(&view.slices[i].0), number(&view.slices[i].1));
            (number(&view.dims[i]) + before + after).min(end) - start
        })
        .collect()
}

/// Dims of the buffer that the view reads, without broadcast axes.
pub fn physical(view: &ShapeTracker) -> Vec<usize> {
    (0..view.len())
        .filter(|&i| !view.fake[i])
        .map(|i| number(&view.dims[i]))
        .collect()
}

/// Logical axis -> does it broadcast?
pub fn broadcasts(view: &ShapeTracker, axis: usize) -> bool {
    view.fake[view.indexes[axis]]
}

pub fn is_padded(view: &ShapeTracker) -> bool {
    view.padding.iter().any(|p| number(&p.0) + number(&p.1) > 0)
}

pub fn is_sliced(view: &ShapeTracker) -> bool {
    (0..view.len()).any(|axis| is_cut(view, axis))
}

/// Whether a logical axis is sliced.
pub fn is_cut(view: &ShapeTracker, axis: usize) -> bool {
    let i = view.indexes[axis];
    number(&view.slices[i].0) > 0 || number(&view.slices[i].1) < number(&view.dims[i])
}

/// Reads the whole buffer in its own order.
pub fn is_plain(view: &ShapeTracker) -> bool {
    let mut last = None;
    // Broadcast axes of size 1 and size-1 axes anywhere do not change the order of elements.
    for &i in view.indexes.iter() {
        if number(&view.dims[i]) == 1 {
            continue;
        }
        if view.fake[i] || last.is_some_and(|l| l > i) {
            return false;
        }
        last = Some(i);
    }
    !is_padded(view) && !is_sliced(view)
}

/// Offset and stride per logical axis, in elements; 0 for broadcast axes. `None` for a padded view.
pub fn strides(view: &ShapeTracker) -> Option<(usize, Vec<usize>)> {
    if is_padded(view) {
        return None;
    }
    let mut by_index = vec![0; view.len()];
    let (mut step, mut offset) = (1, 0);
    for i in (0..view.len()).rev() {
        if !view.fake[i] {
            by_index[i] = step;
            offset += step * number(&view.slices[i].0);
            step *= number(&view.dims[i]);
        }
    }
    Some((offset, view.indexes.iter().map(|&i| by_index[i]).collect()))
}

/// Elements before and after each logical axis: `(before, after)`.
pub fn padding(view: &ShapeTracker) -> Vec<(usize, usize)> {
    view.indexes
        .iter()
        .map(|&i| (number(&view.padding[i].0), number(&view.padding[i].1)))
        .collect()
}

/// The view without its pads: the elements that exist.
pub fn unpadded(view: &ShapeTracker) -> ShapeTracker {
    let mut view = *view;
    for padding in view.padding.iter_mut() {
        *padding = (size(0), size(0));
    }
    view
}

/// Per logical axis: first and one past the last element kept (of the padded axis).
pub fn slices(view: &ShapeTracker) -> Vec<(usize, usize)> {
    let full =
        |i: usize| number(&view.dims[i]) + number(&view.padding[i].0) + number(&view.padding[i].1);
    view.indexes
        .iter()
        .map(|&i| {
            (
                number(&view.slices[i].0),
                number(&view.slices[i].1).min(full(i)),
            )
        })
        .collect()
}

pub fn permute(view: &ShapeTracker, axes: &[usize]) -> ShapeTracker {
    let mut view = *view;
    view.permute(axes);
    view
}

/// A new broadcast axis of size `n` before logical axis `axis`.
pub fn expand(view: &ShapeTracker, axis: usize, n: usize) -> ShapeTracker {
    let mut view = *view;
    view.expand(axis, size(n));
    view
}

/// Without a logical axis of size 1.
///
/// # Panics
/// If it is of another size.
pub fn squeeze(view: &ShapeTracker, axis: usize) -> ShapeTracker {
    assert_eq!(dims(view)[axis], 1, "only an axis of size 1 can be dropped");
    let mut view = *view;
    view.remove_dim(axis);
    view
}

/// Keeps elements `start..end` of a logical axis of an unsliced, unpadded view.
pub fn slice(view: &ShapeTracker, axis: usize, start: usize, end: usize) -> ShapeTracker {
    let mut view = *view;
    let i = view.indexes[axis];
    if view.fake[i] {
        // Its elements are all the same one.
        view.dims[i] = size(end - start);
    } else if (start, end) != (0, number(&view.dims[i])) {
        // Where all are kept nothing is cut: an end would cut off a later pad.
        view.slices[i] = (size(start), size(end));
    }
    view
}

/// Adds zeros before and after a logical axis of an unsliced, unpadded view.
///
/// # Panics
/// If the axis is broadcast.
pub fn pad(view: &ShapeTracker, axis: usize, before: usize, after: usize) -> ShapeTracker {
    let mut view = *view;
    let i = view.indexes[axis];
    assert!(!view.fake[i], "a broadcast axis cannot be padded");
    view.padding[i] = (size(before), size(after));
    view
}

/// Splits a logical axis into factors, outermost first. `None` where the axis is sliced or padded or the rank grows past 6.
///
/// # Panics
/// If the factors do not multiply to the axis.
pub fn split(view: &ShapeTracker, axis: usize, factors: &[usize]) -> Option<ShapeTracker> {
    let at = view.indexes[axis];
    let touched = number(&view.slices[at].0) > 0
        || number(&view.slices[at].1) < number(&view.dims[at])
        || number(&view.padding[at].0) + number(&view.padding[at].1) > 0;
    if touched || view.len() - 1 + factors.len() > MAX_RANK || factors.is_empty() {
        return None;
    }
    assert_eq!(
        number(&view.dims[at]),
        factors.iter().product::<usize>(),
        "factors multiply to the axis"
    );
    let grown = factors.len() - 1;
    let mut axes: Vec<Axis> = Vec::new();
    for i in 0..view.len() {
        if i == at {
            axes.extend(factors.iter().map(|&f| {
                (
                    size(f),
                    view.fake[i],
                    (size(0), size(UNSET)),
                    (size(0), size(0)),
                )
            }));
        } else {
            axes.push((view.dims[i], view.fake[i], view.slices[i], view.padding[i]));
        }
    }
    let mut order = Vec::new();
    for (logical, &i) in view.indexes.iter().enumerate() {
        if logical == axis {
            order.extend(at..=at + grown);
        } else {
            order.push(if i > at { i + grown } else { i });
        }
    }
    Some(assemble(&axes, &order))
}

/// Merges `count` logical axes from `axis` into one. `None` where they do not lie next to each other in the buffer.
pub fn merge(view: &ShapeTracker, axis: usize, count: usize) -> Option<ShapeTracker> {
    if count == 1 {
        return Some(*view);
    }
    let group: Vec<usize> = view.indexes[axis..axis + count].to_vec();
    let adjacent = group
        .windows(2)
        .all(|w| w[1] == w[0] + 1 && view.fake[w[0]] == view.fake[w[1]]);
    let whole = group.iter().all(|&i| {
        number(&view.slices[i].0) == 0
            && number(&view.slices[i].1) >= number(&view.dims[i])
            && number(&view.padding[i].0) + number(&view.padding[i].1) == 0
    });
    if !adjacent || !whole {
        return None;
    }
    let (first, shrunk) = (group[0], count - 1);
    let total = group.iter().map(|&i| number(&view.dims[i])).product();
    let mut axes = Vec::new();
    for i in (0..view.len()).filter(|i| *i == first || !group.contains(i)) {
        let d = if i == first {
            size(total)
        } else {
            view.dims[i]
        };
        let slices = if i == first {
            (size(0), size(UNSET))
        } else {
            view.slices[i]
        };
        axes.push((d, view.fake[i], slices, view.padding[i]));
    }
    let order: Vec<usize> = view
        .indexes
        .iter()
        .enumerate()
        .filter(|(logical, _)| *logical <= axis || *logical >= axis + count)
        .map(|(_, &i)| if i > first { i - shrunk } else { i })
        .collect();
    Some(assemble(&axes, &order))
}

fn assemble(axes: &[Axis], order: &[usize]) -> ShapeTracker {
    let mut view = ShapeTracker::new(&axes.iter().map(|a| a.0).collect::<Vec<_>>());
    for (i, (_, fake, slices, padding)) in axes.iter().enumerate() {
        view.fake[i] = *fake;
        view.slices[i] = *slices;
        view.padding[i] = *padding;
    }
    view.indexes.copy_from_slice(order);
    view
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_permute_merge_partitions_windows() {
        // [4, 6] cut into 2 x 3 windows: the strides of a window's rows and columns.
        let view = split(&plain(&[4, 6]), 0, &[2, 2]).unwrap();
        let view = split(&view, 2, &[2, 3]).unwrap();
        let view = permute(&view, &[0, 2, 1, 3]);
        assert_eq!(dims(&view), [2, 2, 2, 3]);
        assert_eq!(strides(&view), Some((0, vec![12, 3, 6, 1])));
        assert!(merge(&view, 0, 2).is_none());
        let back = permute(&view, &[0, 2, 1, 3]);
        assert_eq!(
            dims(&merge(&merge(&back, 2, 2).unwrap(), 0, 2).unwrap()),
            [4, 6]
        );
    }

    #[test]
    fn slices_have_offsets() {
        let view = slice(&permute(&plain(&[3, 4]), &[1, 0]), 1, 1, 3);
        assert_eq!(dims(&view), [4, 2]);
        assert_eq!(strides(&view), Some((4, vec![1, 4])));
        assert!(!is_plain(&view));
    }

    #[test]
    fn broadcast_axes_split_and_squeeze() {
        let view = expand(&plain(&[5]), 0, 6);
        let view = split(&view, 0, &[2, 3]).unwrap();
        assert_eq!(
            (dims(&view), strides(&view)),
            (vec![2, 3, 5], Some((0, vec![0, 0, 1])))
        );
        assert_eq!(physical(&view), [5]);
        assert_eq!(dims(&squeeze(&plain(&[3, 1, 2]), 1)), [3, 2]);
    }
}

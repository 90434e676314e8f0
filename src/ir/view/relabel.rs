//! Views of views: the same elements under other dims, and one view seen through another.

use super::{Axis, MAX_RANK, ShapeTracker, UNSET, assemble, dims, merge, number, size, split};

/// The same elements in the same order under other dims. `None` where that takes a copy.
pub fn relabel(view: &ShapeTracker, to: &[usize]) -> Option<ShapeTracker> {
    let own = dims(view);
    if own == to {
        return Some(*view);
    }
    if to.len() > MAX_RANK || own.iter().product::<usize>() != to.iter().product::<usize>() {
        return None;
    }
    let mut view = without_ones(view);
    let groups = groups(&dims(&view), to)?;
    for group in groups.iter().rev().filter(|g| g.count > 0) {
        view = merge(&view, group.from, group.count)?;
    }
    let merged = groups.iter().filter(|g| g.count > 0).count();
    let mut axis = merged;
    for group in groups.iter().rev().filter(|g| g.count > 0) {
        axis -= 1;
        if group.to.len() > 1 {
            view = split(&view, axis, &group.to)?;
        }
    }
    let mut axis = 0;
    for group in &groups {
        if group.count == 0 {
            view.expand(axis, size(1));
        }
        axis += group.to.len();
    }
    Some(view)
}

/// What `outer`, a view of a buffer that holds what `inner` shows, shows of `inner`'s own buffer. `None` where that takes a
/// copy in between.
pub fn compose(inner: &ShapeTracker, outer: &ShapeTracker) -> Option<ShapeTracker> {
    let real: Vec<usize> = (0..outer.len()).filter(|&i| !outer.fake[i]).collect();
    let sizes: Vec<usize> = real.iter().map(|&i| number(&outer.dims[i])).collect();
    let mut view = relabel(inner, &sizes)?;
    for (axis, &i) in real.iter().enumerate() {
        let (before, after) = (number(&outer.padding[i].0), number(&outer.padding[i].1));
        let (start, end) = (number(&outer.slices[i].0), number(&outer.slices[i].1));
        let at = view.indexes[axis];
        if before + after > 0 {
            let whole = is_whole(&view, at) && !view.fake[at] && start == 0;
            if !whole || end < number(&outer.dims[i]) + before + after {
                return None;
            }
            view.padding[at] = (size(before), size(after));
        } else if start > 0 || end < sizes[axis] {
            if number(&view.padding[at].0) + number(&view.padding[at].1) > 0 {
                return None;
            }
            if view.fake[at] {
                view.dims[at] = size(end.min(sizes[axis]) - start);
            } else {
                let first = number(&view.slices[at].0);
                view.slices[at] = (size(first + start), size(first + end.min(sizes[axis])));
            }
        }
    }
    // Broadcast axes go last, then all axes to their places.
    let mut place = vec![0; outer.len()];
    for (axis, &i) in real.iter().enumerate() {
        place[i] = axis;
    }
    for i in (0..outer.len()).filter(|&i| outer.fake[i]) {
        place[i] = view.len();
        view.expand(view.len(), outer.dims[i]);
    }
    let order: Vec<usize> = outer.indexes.iter().map(|&i| place[i]).collect();
    view.permute(&order);
    Some(view)
}

/// Without axes of size 1, except where a slice chose one of several; broadcast axes last in the buffer's order.
fn without_ones(view: &ShapeTracker) -> ShapeTracker {
    let droppable = |i: usize| number(&view.dims[i]) == 1 && is_whole(view, i);
    let real = (0..view.len()).filter(|&i| !view.fake[i] && !droppable(i));
    let fake = view.indexes.iter().copied().filter(|&i| view.fake[i]);
    let kept: Vec<usize> = real.chain(fake.filter(|&i| !droppable(i))).collect();
    let axes: Vec<Axis> = kept
        .iter()
        .map(|&i| (view.dims[i], view.fake[i], view.slices[i], view.padding[i]))
        .collect();
    let order: Vec<usize> = view
        .indexes
        .iter()
        .filter_map(|i| kept.iter().position(|k| k == i))
        .collect();
    assemble(&axes, &order)
}

fn is_whole(view: &ShapeTracker, i: usize) -> bool {
    let end = number(&view.slices[i].1);
    number(&view.slices[i].0) == 0
        && (end == UNSET || end >= number(&view.dims[i]))
        && number(&view.padding[i].0) + number(&view.padding[i].1) == 0
}

/// `count` axes from `from` on hold the same elements as axes `to`. Without own axes it is a new axis of size 1.
struct Group {
    from: usize,
    count: usize,
    to: Vec<usize>,
}

/// The shortest runs of axes whose products agree.
fn groups(own: &[usize], to: &[usize]) -> Option<Vec<Group>> {
    let (mut groups, mut from, mut wanted) = (Vec::new(), 0, to.iter().copied().peekable());
    while let Some(mut b) = wanted.next() {
        if b == 1 && own.get(from) != Some(&1) {
            groups.push(Group {
                from,
                count: 0,
                to: vec![1],
            });
            continue;
        }
        let (mut a, mut count, mut to) = (*own.get(from)?, 1, vec![b]);
        while a != b {
            if a < b {
                a *= own.get(from + count)?;
                count += 1;
            } else {
                let next = wanted.next()?;
                b *= next;
                to.push(next);
            }
        }
        groups.push(Group { from, count, to });
        from += count;
    }
    (from == own.len()).then_some(groups)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{expand, pad, permute, plain, slice, squeeze, strides},
        *,
    };
    use crate::ir::evaluate::gather;

    fn numbers(n: usize) -> Vec<f32> {
        (0..n).map(|i| i as f32).collect()
    }

    #[test]
    fn relabelling_keeps_the_elements() {
        let buffer = numbers(24);
        let turned = permute(&plain(&[2, 3, 4]), &[2, 0, 1]);
        let wide = expand(&expand(&plain(&[4, 6]), 0, 3), 2, 5);
        for (view, to) in [
            (turned, vec![4, 1, 6]),
            (turned, vec![2, 2, 2, 3, 1]),
            (wide, vec![3, 2, 2, 5, 6]),
            (expand(&wide, 1, 2), vec![6, 4, 5, 3, 2]),
            (slice(&turned, 0, 1, 2), vec![1, 1, 6]),
            (slice(&turned, 0, 1, 3), vec![2, 6]),
            (expand(&plain(&[24]), 1, 1), vec![1, 24]),
        ] {
            let relabelled = relabel(&view, &to).expect("no copy is needed");
            assert_eq!(dims(&relabelled), to);
            assert_eq!(gather(&buffer, &relabelled), gather(&buffer, &view));
        }
        assert!(relabel(&turned, &[8, 3]).is_none(), "4 and 2 lie apart");
        assert!(relabel(&slice(&turned, 0, 1, 3), &[12]).is_none());
    }

    #[test]
    fn a_view_of_a_view_is_one_view() {
        let buffer = numbers(24);
        let turned = permute(&plain(&[2, 3, 4]), &[2, 0, 1]);
        let part = slice(&permute(&plain(&[2, 3, 4]), &[1, 0, 2]), 0, 2, 3);
        for (inner, outer) in [
            (turned, permute(&plain(&[4, 6]), &[1, 0])),
            (turned, expand(&plain(&[4, 2, 3]), 1, 7)),
            (turned, slice(&plain(&[4, 2, 3]), 2, 1, 3)),
            (slice(&turned, 2, 1, 3), slice(&plain(&[4, 2, 2]), 2, 1, 2)),
            (turned, pad(&plain(&[4, 2, 3]), 0, 1, 2)),
            (
                expand(&plain(&[24]), 0, 5),
                slice(&plain(&[5, 24]), 0, 1, 3),
            ),
            (part, permute(&plain(&[1, 2, 4]), &[2, 0, 1])),
        ] {
            let through = compose(&inner, &outer).expect("no copy is needed");
            let between = gather(&buffer, &inner);
            assert_eq!(gather(&buffer, &through), gather(&between, &outer));
        }
        let squeezed = squeeze(&plain(&[1, 2, 4]), 0);
        assert!(
            compose(&part, &squeezed).is_none(),
            "a slice of one element stays an axis"
        );
        assert!(strides(&part).is_some());
    }
}

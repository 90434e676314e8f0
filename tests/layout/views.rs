//! Views: every operation moves the elements that it says.

use crate::{place, positions};
use mimc::{
    ir::{ShapeTracker, evaluate::gather, view},
    random::Key,
};

const SEEDS: u64 = 2000;
const STEPS: u64 = 8;

/// What a view shows, element by element; 0 is a pad.
#[derive(Clone)]
struct Shown {
    dims: Vec<usize>,
    values: Vec<f32>,
}

impl Shown {
    /// Of other dims: each new position shows what `from` says of the old ones.
    fn moved(&self, dims: &[usize], from: impl Fn(&[usize]) -> Option<Vec<usize>>) -> Shown {
        let value = |position: Vec<usize>| match from(&position) {
            Some(old) => self.values[place(&old, &self.dims)],
            None => 0.0,
        };
        Shown {
            dims: dims.to_vec(),
            values: positions(dims).map(value).collect(),
        }
    }
}

/// One random operation on both; `None` where a view cannot say it.
fn step(key: Key, view: &ShapeTracker, shown: &Shown) -> Option<(ShapeTracker, Shown)> {
    let pick = |n: u64, below: usize| key.below(n, below as u64) as usize;
    let (dims, rank) = (&shown.dims, shown.dims.len());
    if rank == 0 {
        return None;
    }
    let axis = pick(1, rank);
    match pick(0, 7) {
        0 => {
            let mut order: Vec<usize> = (0..rank).collect();
            order.rotate_left(axis);
            order.swap(0, pick(2, rank));
            let to: Vec<usize> = order.iter().map(|&i| dims[i]).collect();
            let from = |position: &[usize]| {
                let mut old = vec![0; rank];
                order.iter().zip(position).for_each(|(&i, &p)| old[i] = p);
                Some(old)
            };
            Some((view::permute(view, &order), shown.moved(&to, from)))
        }
        1 if rank < view::MAX_RANK => {
            let mut to = dims.clone();
            to.insert(axis, 1 + pick(2, 3));
            let from = |position: &[usize]| {
                let mut old = position.to_vec();
                old.remove(axis);
                Some(old)
            };
            let seen = view::expand(view, axis, to[axis]);
            Some((seen, shown.moved(&to, from)))
        }
        2 if !view::is_sliced(view) && !view::is_padded(view) => {
            let start = pick(2, dims[axis]);
            let end = start + 1 + pick(3, dims[axis] - start);
            let mut to = dims.clone();
            to[axis] = end - start;
            let from = |position: &[usize]| {
                let mut old = position.to_vec();
                old[axis] += start;
                Some(old)
            };
            let seen = view::slice(view, axis, start, end);
            Some((seen, shown.moved(&to, from)))
        }
        3 if !view::is_sliced(view) && !view::is_padded(view) && !view::broadcasts(view, axis) => {
            let (before, after) = (pick(2, 3), pick(3, 3));
            let mut to = dims.clone();
            to[axis] += before + after;
            let from = |position: &[usize]| {
                let mut old = position.to_vec();
                old[axis] = old[axis].checked_sub(before)?;
                (old[axis] < dims[axis]).then_some(old)
            };
            let seen = view::pad(view, axis, before, after);
            Some((seen, shown.moved(&to, from)))
        }
        4 => {
            let factor = [2, 3].into_iter().find(|f| dims[axis].is_multiple_of(*f))?;
            let factors = [factor, dims[axis] / factor];
            let mut to = dims.clone();
            to.splice(axis..=axis, factors);
            let values = shown.values.clone();
            Some((
                view::split(view, axis, &factors)?,
                Shown { dims: to, values },
            ))
        }
        5 => {
            let count = 1 + pick(2, rank - axis);
            let mut to = dims.clone();
            let whole = to[axis..axis + count].iter().product();
            to.splice(axis..axis + count, [whole]);
            let values = shown.values.clone();
            Some((view::merge(view, axis, count)?, Shown { dims: to, values }))
        }
        6 if dims[axis] == 1 => {
            let mut to = dims.clone();
            to.remove(axis);
            let values = shown.values.clone();
            let plain = !view::is_sliced(view) && !view::is_padded(view);
            plain.then(|| (view::squeeze(view, axis), Shown { dims: to, values }))
        }
        _ => None,
    }
}

fn walk(key: Key, mut view: ShapeTracker, mut shown: Shown) -> (ShapeTracker, Shown) {
    for turn in 0..STEPS {
        let next = step(key.at(turn), &view, &shown);
        let small = next.filter(|(_, shown)| shown.values.len() <= 2000);
        (view, shown) = small.unwrap_or((view, shown));
    }
    (view, shown)
}

fn start(key: Key) -> (Vec<usize>, Vec<f32>) {
    let rank = 1 + key.below(0, 4);
    let dims: Vec<usize> = (1..=rank).map(|i| 1 + key.below(i, 6) as usize).collect();
    let values = (1..=dims.iter().product()).map(|i: usize| i as f32);
    (dims.clone(), values.collect())
}

#[test]
fn sequences_show_what_their_steps_say() {
    for seed in 0..SEEDS {
        let key = Key::new(seed).with("view");
        let (dims, buffer) = start(key);
        let values = buffer.clone();
        let shown = Shown {
            dims: dims.clone(),
            values,
        };
        let (view, shown) = walk(key.at(100), view::plain(&dims), shown);
        assert_eq!(view::dims(&view), shown.dims, "seed {seed}");
        assert_eq!(
            gather(&buffer, &view),
            shown.values,
            "seed {seed}: {view:?}"
        );
        let plain = view::is_plain(&view);
        assert!(!plain || shown.values == buffer, "seed {seed} is not plain");
        if let Some((offset, strides)) = view::strides(&view) {
            let at = |p: Vec<usize>| {
                let steps = p.iter().zip(&strides).map(|(i, stride)| i * stride);
                buffer[offset + steps.sum::<usize>()]
            };
            let walked: Vec<f32> = positions(&shown.dims).map(at).collect();
            assert_eq!(walked, shown.values, "seed {seed}: {view:?}");
        }
    }
}

#[test]
fn a_view_of_a_view_shows_what_both_show_in_turn() {
    let mut composed = 0;
    for seed in 0..SEEDS {
        let key = Key::new(seed).with("compose");
        let (dims, buffer) = start(key);
        let values = buffer.clone();
        let shown = Shown {
            dims: dims.clone(),
            values,
        };
        let (inner, shown) = walk(key.at(100), view::plain(&dims), shown);
        let (outer, shown) = walk(key.at(200), view::plain(&shown.dims), shown);
        if let Some(both) = view::compose(&inner, &outer) {
            composed += 1;
            assert_eq!(
                gather(&buffer, &both),
                shown.values,
                "seed {seed}: {both:?}"
            );
        }
        if let Some(same) = view::relabel(&outer, &[shown.values.len()]) {
            assert_eq!(view::dims(&same), [shown.values.len()]);
        }
    }
    assert!(composed > SEEDS / 4, "only {composed} of {SEEDS} composed");
}

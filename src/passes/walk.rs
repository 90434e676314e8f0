//! Views as plain arithmetic. A walk says where the elements that a reader sees, in row-major order, lie in a buffer; walks
//! compose, invert and turn back into views.

use crate::ir::{
    ShapeTracker,
    view::{self, MAX_RANK},
};

/// Element `i` lies at `offset + Σ iₖ·strideₖ`, where the iₖ are the digits of `i`, outermost first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Walk {
    pub offset: usize,
    /// No digit of size 1, no two that could be one.
    pub digits: Vec<Digit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digit {
    /// At least 2.
    pub size: usize,
    /// 0 where the walk stands still.
    pub stride: usize,
}

impl Walk {
    pub fn new(offset: usize, digits: impl IntoIterator<Item = Digit>) -> Walk {
        let mut merged: Vec<Digit> = Vec::new();
        for digit in digits.into_iter().filter(|d| d.size > 1) {
            match merged.last_mut() {
                Some(outer) if outer.stride == digit.size * digit.stride => {
                    outer.size *= digit.size;
                    outer.stride = digit.stride;
                }
                _ => merged.push(digit),
            }
        }
        Walk {
            offset,
            digits: merged,
        }
    }

    /// What a view shows of its buffer. `None` where it pads.
    pub fn of(seen: &ShapeTracker) -> Option<Walk> {
        let (offset, strides) = view::strides(seen)?;
        Some(Walk::new(offset, digits(&view::dims(seen), &strides)))
    }

    /// All of a buffer of `len` elements in its order.
    pub fn plain(len: usize) -> Walk {
        let whole = Digit {
            size: len,
            stride: 1,
        };
        Walk::new(0, [whole])
    }

    pub fn sizes(&self) -> Vec<usize> {
        self.digits.iter().map(|d| d.size).collect()
    }

    /// The walk of a reader of a reader: `self` walks the order that `inner` makes. `None` where that is no walk.
    pub fn through(&self, inner: &Walk) -> Option<Walk> {
        let (offset, pieces) = look_up(self.offset, &self.digits, inner)?;
        Some(Walk::new(offset, pieces.concat()))
    }

    /// Where each element of a buffer of `len` stands in the order of the walk. `None` unless the walk meets each once.
    pub fn inverse(&self, len: usize) -> Option<Walk> {
        let mut by_stride: Vec<(Digit, usize)> = self
            .digits
            .iter()
            .copied()
            .zip(weights(&self.sizes()))
            .collect();
        by_stride.sort_by_key(|(digit, _)| std::cmp::Reverse(digit.stride));
        let mut covered = 1;
        for (digit, _) in by_stride.iter().rev() {
            if digit.stride != covered {
                return None;
            }
            covered *= digit.size;
        }
        let stand = |(digit, weight): (Digit, usize)| Digit {
            size: digit.size,
            stride: weight,
        };
        (self.offset == 0 && covered == len).then(|| Walk::new(0, by_stride.into_iter().map(stand)))
    }

    /// A stride for each of `atoms`, which refine the digits.
    pub fn over(&self, atoms: &[usize]) -> Option<Vec<usize>> {
        let mut strides = vec![0; atoms.len()];
        let mut at = atoms.len();
        for digit in self.digits.iter().rev() {
            let mut covered = 1;
            while covered < digit.size {
                at = at.checked_sub(1)?;
                strides[at] = digit.stride * covered;
                covered *= atoms[at];
            }
            if covered != digit.size {
                return None;
            }
        }
        (at == 0).then_some(strides)
    }
}

/// Axes with their strides.
pub fn digits<'a>(sizes: &'a [usize], strides: &'a [usize]) -> impl Iterator<Item = Digit> + 'a {
    let pair = |(&size, &stride): (&usize, &usize)| Digit { size, stride };
    sizes.iter().zip(strides).map(pair)
}

/// Row-major strides.
pub fn weights(sizes: &[usize]) -> Vec<usize> {
    let mut weights = vec![1; sizes.len()];
    for i in (1..sizes.len()).rev() {
        weights[i - 1] = weights[i] * sizes[i];
    }
    weights
}

/// The positions `offset + Σ iₖ·strideₖ` in the order that `inner` makes, as positions in the buffer that `inner` walks: the new
/// offset, and per outer digit the digits it falls into, outermost first.
pub fn look_up(offset: usize, outer: &[Digit], inner: &Walk) -> Option<(usize, Vec<Vec<Digit>>)> {
    let weights = weights(&inner.sizes());
    let mut start = inner.offset;
    // Per inner digit the highest value that is reached: a carry would leave the walk.
    let mut reach = vec![0; weights.len()];
    let mut rest = offset;
    for (j, digit) in inner.digits.iter().enumerate() {
        reach[j] = rest / weights[j];
        rest %= weights[j];
        start += reach[j] * digit.stride;
    }
    let mut pieces = Vec::with_capacity(outer.len());
    for digit in outer {
        let (mut size, mut stride) = (digit.size, digit.stride);
        let mut of_digit = Vec::new();
        if stride == 0 {
            of_digit.push(*digit);
            size = 1;
        }
        while size > 1 {
            let j = weights.iter().position(|&w| w <= stride)?;
            let (step, whole) = (stride / weights[j], inner.digits[j].size);
            if stride % weights[j] != 0 {
                return None;
            }
            let taken = if step * (size - 1) < whole {
                size
            } else if whole % step == 0 && whole > step && size % (whole / step) == 0 {
                whole / step
            } else {
                return None;
            };
            of_digit.push(Digit {
                size: taken,
                stride: step * inner.digits[j].stride,
            });
            reach[j] += step * (taken - 1);
            size /= taken;
            stride *= taken;
        }
        of_digit.reverse();
        pieces.push(of_digit);
    }
    let carries = reach.iter().zip(&inner.digits).any(|(r, d)| *r >= d.size);
    (rest == 0 && !carries).then_some((start, pieces))
}

/// The coarsest sizes that refine all lists, each of which multiplies to the same. `None` where their borders cross.
pub fn common(lists: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut common: Vec<usize> = Vec::new();
    for list in lists {
        let (mut a, mut b) = (common.clone(), list.clone());
        if a.is_empty() {
            common = b;
            continue;
        }
        let mut joint = Vec::new();
        while let (Some(x), Some(y)) = (a.pop(), b.pop()) {
            let (low, high) = (x.min(y), x.max(y));
            if high % low != 0 {
                return None;
            }
            joint.push(low);
            if high > low {
                let longer = if x > y { &mut a } else { &mut b };
                longer.push(high / low);
            }
        }
        if !(a.is_empty() && b.is_empty()) {
            return None;
        }
        joint.reverse();
        common = joint;
    }
    Some(common)
}

/// The view of a buffer of `len` elements whose axes have these sizes and strides. `None` where luminal cannot express it.
pub fn to_view(
    sizes: &[usize],
    strides: &[usize],
    offset: usize,
    len: usize,
) -> Option<ShapeTracker> {
    if sizes.len() > MAX_RANK {
        return None;
    }
    let real = |&axis: &usize| sizes[axis] > 1 && strides[axis] > 0;
    let mut order: Vec<usize> = (0..sizes.len()).filter(real).collect();
    order.sort_by_key(|&axis| std::cmp::Reverse(strides[axis]));
    // A last step above 1 needs an axis of its own, of which one element is seen.
    if order.last().map_or(len, |&axis| strides[axis]) > 1 {
        order.push((0..sizes.len()).find(|&axis| sizes[axis] == 1)?);
    }
    let (mut dims, mut slices, mut rest) = (Vec::new(), Vec::new(), offset);
    let mut above = len;
    for &axis in &order {
        let step = if real(&axis) { strides[axis] } else { 1 };
        if !above.is_multiple_of(step) {
            return None;
        }
        let (dim, start) = (above / step, rest / step);
        rest %= step;
        above = step;
        if start + sizes[axis] > dim {
            return None;
        }
        dims.push(dim);
        slices.push((start, start + sizes[axis]));
    }
    if rest != 0 || above != 1 {
        return None;
    }
    let still = (0..sizes.len()).filter(|axis| !order.contains(axis));
    let placed: Vec<usize> = order.iter().copied().chain(still).collect();
    let full: Vec<_> = placed
        .iter()
        .enumerate()
        .map(|(i, &axis)| view::size(*dims.get(i).unwrap_or(&sizes[axis])))
        .collect();
    let mut seen = ShapeTracker::new(&full);
    for (i, &axis) in placed.iter().enumerate() {
        seen.indexes[axis] = i;
        seen.fake[i] = i >= dims.len();
        if let Some(&(start, end)) = slices.get(i)
            && end - start < dims[i]
        {
            seen.slices[i] = (view::size(start), view::size(end));
        }
    }
    Some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ir::evaluate::gather, random::Key};

    fn positions(walk: &Walk) -> Vec<usize> {
        let sizes = walk.sizes();
        let at = |i: usize| {
            let digits = weights(&sizes).into_iter().zip(&walk.digits);
            let steps = digits.map(|(w, d)| (i / w) % d.size * d.stride);
            walk.offset + steps.sum::<usize>()
        };
        (0..walk.sizes().iter().product()).map(at).collect()
    }

    fn shown(view: &ShapeTracker, len: usize) -> Vec<usize> {
        let buffer: Vec<f32> = (0..len).map(|i| i as f32).collect();
        gather(&buffer, view)
            .into_iter()
            .map(|x| x as usize)
            .collect()
    }

    /// A view of a buffer of `dims`: permuted, maybe sliced, maybe with a broadcast axis.
    fn some_view(key: Key, dims: &[usize]) -> ShapeTracker {
        let mut seen = view::plain(dims);
        let mut axes: Vec<usize> = (0..dims.len()).collect();
        for i in 0..axes.len() {
            axes.swap(i, i + key.below(i as u64, (dims.len() - i) as u64) as usize);
        }
        seen = view::permute(&seen, &axes);
        let axis = key.below(10, dims.len() as u64) as usize;
        let n = view::dims(&seen)[axis];
        if n.is_multiple_of(2) && key.below(11, 2) == 0 {
            let start = key.below(12, n as u64 / 2 + 1) as usize;
            seen = view::slice(&seen, axis, start, start + n / 2);
        }
        if key.below(13, 3) == 0 {
            seen = view::expand(&seen, key.below(14, dims.len() as u64) as usize, 2);
        }
        seen
    }

    #[test]
    fn walks_compose_as_readers_do() {
        let mut composed = 0;
        for trial in 0..400 {
            let key = Key::new(7).at(trial);
            let first = some_view(key.at(0), &[4, 6, 2]);
            let dims = view::dims(&first);
            let len: usize = dims.iter().product();
            let again = match key.below(0, 3) {
                0 => vec![len],
                1 if len.is_multiple_of(4) => vec![len / 4, 4],
                _ => dims,
            };
            let second = some_view(key.at(1), &again);
            let (inner, outer) = (Walk::of(&first).unwrap(), Walk::of(&second).unwrap());
            assert_eq!(positions(&inner), shown(&first, 48));
            let Some(walk) = outer.through(&inner) else {
                continue;
            };
            composed += 1;
            let through: Vec<usize> = shown(&second, len)
                .into_iter()
                .map(|at| shown(&first, 48)[at])
                .collect();
            assert_eq!(positions(&walk), through, "{first:?} {second:?}");
            let (sizes, strides): (Vec<_>, Vec<_>) =
                walk.digits.iter().map(|d| (d.size, d.stride)).unzip();
            if let Some(view) = to_view(&sizes, &strides, walk.offset, 48) {
                assert_eq!(shown(&view, 48), through);
                assert_eq!(view::physical(&view).iter().product::<usize>(), 48);
            }
        }
        assert!(composed > 200, "{composed} of 400 composed");
    }

    #[test]
    fn every_view_is_found_again() {
        for trial in 0..200 {
            let seen = some_view(Key::new(3).at(trial), &[2, 3, 4]);
            let (offset, strides) = view::strides(&seen).unwrap();
            let again = to_view(&view::dims(&seen), &strides, offset, 24).unwrap();
            assert_eq!(shown(&again, 24), shown(&seen, 24));
        }
    }

    #[test]
    fn inverses_lead_back() {
        let turned = Walk::of(&view::permute(&view::plain(&[2, 3, 4]), &[2, 0, 1])).unwrap();
        let back = turned.inverse(24).unwrap();
        assert_eq!(turned.through(&back), Some(Walk::plain(24)));
        assert_eq!(Walk::of(&view::broadcast(&[2])).unwrap().inverse(1), None);
    }

    #[test]
    fn sizes_have_a_common_refinement() {
        let lists = [vec![24], vec![4, 6], vec![2, 12]];
        assert_eq!(common(&lists), Some(vec![2, 2, 6]));
        assert_eq!(common(&[vec![4, 6], vec![6, 4]]), None);
        assert_eq!(common(&[vec![], vec![]]), Some(vec![]));
    }
}

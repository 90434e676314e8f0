//! Gradients of parts of a buffer, put together. Slices that tile an axis, as queries, keys and values tile what one linear
//! map computes, make one concatenation instead of a sum of padded tensors.

use super::flow;
use crate::ir::{Rewriter, Value, ops::Concat};

/// The gradient of a buffer, or of a slice of it.
pub struct Piece {
    value: Value,
    hole: Option<Hole>,
}

/// Where the slice lies.
#[derive(Clone)]
struct Hole {
    axis: usize,
    start: usize,
    /// Size of the whole axis.
    full: usize,
}

/// Where the slice lies, whatever axes its dims name: of each of `outer` rows of `row` elements, `len` from `start` on.
#[derive(Clone, Copy, PartialEq)]
struct Span {
    outer: usize,
    row: usize,
    start: usize,
    len: usize,
}

impl Piece {
    pub fn whole(value: Value) -> Self {
        Piece { value, hole: None }
    }

    /// A gradient of `slices` (first and one past the last) of the axes of a buffer.
    pub fn cut(
        r: &mut Rewriter,
        mut value: Value,
        slices: &[(usize, usize)],
        buffer: &[usize],
    ) -> Self {
        let mut hole = None;
        for (axis, (&(start, end), &full)) in slices.iter().zip(buffer).enumerate() {
            if end - start >= full {
                continue;
            }
            // One slice is remembered, further ones are padded away.
            match hole {
                None => hole = Some(Hole { axis, start, full }),
                Some(_) => value = r.pad(&value, axis, start, full - end),
            }
        }
        Piece { value, hole }
    }

    fn span(&self) -> Option<Span> {
        let (hole, dims) = (self.hole.as_ref()?, self.value.dims());
        let inner: usize = dims[hole.axis + 1..].iter().product();
        Some(Span {
            outer: dims[..hole.axis].iter().product(),
            row: hole.full * inner,
            start: hole.start * inner,
            len: dims[hole.axis] * inner,
        })
    }

    /// With zeros around it.
    fn padded(self, r: &mut Rewriter) -> Value {
        let Some(Hole { axis, start, full }) = self.hole else {
            return self.value;
        };
        let after = full - start - self.value.dims()[axis];
        r.pad(&self.value, axis, start, after)
    }
}

/// The sum of all pieces.
pub fn join(r: &mut Rewriter, pieces: Vec<Piece>) -> Value {
    let pieces = add_up(r, pieces);
    let mut pieces = tile(r, pieces).into_iter();
    let first = pieces.next().expect("only joined where something arrived");
    let first = first.padded(r);
    let dims = first.dims();
    pieces.fold(first, |sum, piece| {
        let next = piece.padded(r);
        let next = flow::reshape(r, &next, &dims);
        flow::add(r, &sum, &next)
    })
}

/// Adds pieces of the same place.
fn add_up(r: &mut Rewriter, pieces: Vec<Piece>) -> Vec<Piece> {
    let mut sums: Vec<Piece> = Vec::new();
    for piece in pieces {
        let span = piece.span();
        let same = |sum: &&mut Piece| span.is_some() && sum.span() == span;
        match sums.iter_mut().find(same) {
            Some(sum) => {
                let value = flow::reshape(r, &piece.value, &sum.value.dims());
                sum.value = flow::add(r, &sum.value, &value);
            }
            None => sums.push(piece),
        }
    }
    sums
}

/// Where the slices tile the rows: their concatenation instead of them.
fn tile(r: &mut Rewriter, pieces: Vec<Piece>) -> Vec<Piece> {
    let mut slices: Vec<(Span, &Piece)> =
        pieces.iter().filter_map(|p| Some((p.span()?, p))).collect();
    slices.sort_by_key(|(span, _)| span.start);
    let Some(&(first, pattern)) = slices.first() else {
        return pieces;
    };
    let tiles = slices
        .windows(2)
        .all(|w| w[1].0.start == w[0].0.start + w[0].0.len)
        && slices
            .iter()
            .all(|(s, _)| (s.outer, s.row) == (first.outer, first.row))
        && slices.iter().map(|(s, _)| s.len).sum::<usize>() == first.row;
    let dims = pattern.value.dims();
    let axis = pattern.hole.as_ref().map_or(0, |hole| hole.axis);
    let inner: usize = dims[axis + 1..].iter().product();
    if !tiles || slices.iter().any(|(s, _)| s.len % inner != 0) {
        return pieces;
    }
    let parts: Vec<Value> = slices
        .iter()
        .map(|(span, piece)| {
            let mut dims = dims.clone();
            dims[axis] = span.len / inner;
            flow::reshape(r, &piece.value, &dims)
        })
        .collect();
    let joined = r.op(Concat { axis }, &parts.iter().collect::<Vec<_>>());
    let whole = pieces.into_iter().filter(|p| p.hole.is_none());
    joined.into_iter().map(Piece::whole).chain(whole).collect()
}

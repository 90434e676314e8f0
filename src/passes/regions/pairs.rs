//! Which axes of two nests are the same.

use super::{Atom, Member, Read, Region, Strides};
use crate::ir::view::MAX_RANK;

/// Both nests cut into the same axes.
pub struct Pairs {
    /// Outermost first among those along which the shared buffer's elements change, then among the others.
    axes: Vec<Axis>,
}

/// An axis of the joint nest: a piece of an atom of one nest or of both.
#[derive(Clone, Copy)]
struct Axis {
    size: usize,
    a: Option<Piece>,
    b: Option<Piece>,
}

#[derive(Clone, Copy)]
struct Piece {
    atom: usize,
    /// Size of the atom's pieces inside this one.
    inner: usize,
}

/// An atom, or what is left of it.
#[derive(Clone, Copy)]
struct Rest {
    piece: Piece,
    size: usize,
    stride: usize,
}

impl Pairs {
    /// From the strides with which both meet the elements of one buffer. Axes along which neither moves are matched by size;
    /// an axis along which only one nest extends stays its own: the other's values are the same all along it.
    pub fn of(a: &Region, here: &Strides, b: &Region, there: &Strides) -> Option<Pairs> {
        let (moving_a, still_a) = rests(a, here);
        let (moving_b, still_b) = rests(b, there);
        let mut axes = matched(moving_a, moving_b)?;
        match (still_a.is_empty(), still_b.is_empty()) {
            (true, true) => {}
            (false, false) => axes.extend(matched(still_a, still_b)?),
            // Only what a reduction leaves may live in a smaller nest than its maker.
            (false, true) if still_a.iter().all(|r| a.atoms[r.piece.atom].reduced) => {
                axes.extend(still_a.iter().map(|r| r.axis(true)));
            }
            (true, false) if !a.reduces() => {
                axes.extend(still_b.iter().map(|r| r.axis(false)));
            }
            _ => return None,
        }
        (axes.len() <= MAX_RANK).then_some(Pairs { axes })
    }

    /// Both regions in the joint nest. `None` where their reductions run over different axes.
    pub fn region(&self, a: &Region, b: &Region) -> Option<Region> {
        let reduced = |axis: &Axis| {
            let of = |piece: Option<Piece>, region: &Region| {
                piece.is_some_and(|p| region.atoms[p.atom].reduced)
            };
            (of(axis.a, a), of(axis.b, b))
        };
        let both = a.reduces() && b.reduces();
        let atoms = self.axes.iter().map(|axis| {
            let (in_a, in_b) = reduced(axis);
            (!both || in_a == in_b).then_some(Atom {
                size: axis.size,
                reduced: in_a || in_b,
            })
        });
        let atoms: Option<Vec<Atom>> = atoms.collect();
        let of_a = a.members.iter().map(|m| self.member(m, |axis| axis.a));
        let of_b = b.members.iter().map(|m| self.member(m, |axis| axis.b));
        let mut members: Vec<Member> = of_a.chain(of_b).collect();
        members.sort_by_key(|m| m.node);
        Some(Region {
            atoms: atoms?,
            members,
        })
    }

    fn member(&self, member: &Member, piece: impl Fn(&Axis) -> Option<Piece>) -> Member {
        let strides = |old: &Strides| {
            let mut new = [0; MAX_RANK];
            for (stride, axis) in new.iter_mut().zip(&self.axes) {
                *stride = piece(axis).map_or(0, |p| old[p.atom] * p.inner);
            }
            new
        };
        let read = |read: &Read| Read {
            strides: strides(&read.strides),
            ..*read
        };
        Member {
            out: strides(&member.out),
            reads: member.reads.iter().map(read).collect(),
            ..*member
        }
    }
}

impl Rest {
    fn axis(&self, of_a: bool) -> Axis {
        Axis {
            size: self.size,
            a: of_a.then_some(self.piece),
            b: (!of_a).then_some(self.piece),
        }
    }
}

/// The atoms along which the buffer's elements change, by falling stride, and the others.
fn rests(region: &Region, strides: &Strides) -> (Vec<Rest>, Vec<Rest>) {
    let rest = |(atom, (of, &stride)): (usize, (&Atom, &usize))| Rest {
        piece: Piece { atom, inner: 1 },
        size: of.size,
        stride,
    };
    let all = region.atoms.iter().zip(strides).enumerate().map(rest);
    let (mut moving, still): (Vec<Rest>, Vec<Rest>) = all.partition(|r| r.stride > 0);
    moving.sort_by_key(|r| std::cmp::Reverse(r.stride));
    (moving, still)
}

/// Pairs two lists from the innermost on, cutting where one is longer.
fn matched(mut a: Vec<Rest>, mut b: Vec<Rest>) -> Option<Vec<Axis>> {
    let mut axes = Vec::new();
    while let (Some(&x), Some(&y)) = (a.last(), b.last()) {
        a.pop();
        b.pop();
        let size = x.size.min(y.size);
        if x.stride != y.stride || x.size % size != 0 || y.size % size != 0 {
            return None;
        }
        axes.push(Axis {
            size,
            a: Some(x.piece),
            b: Some(y.piece),
        });
        for (rest, list) in [(x, &mut a), (y, &mut b)] {
            if rest.size > size {
                list.push(Rest {
                    piece: Piece {
                        inner: rest.piece.inner * size,
                        ..rest.piece
                    },
                    size: rest.size / size,
                    stride: rest.stride * size,
                });
            }
        }
    }
    axes.reverse();
    (a.is_empty() && b.is_empty()).then_some(axes)
}

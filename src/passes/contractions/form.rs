//! The axes of a contraction, and what must be copied for each role to be one loop.

use crate::{
    ir::{ops::Role, view::MAX_RANK},
    passes::walk::{Walk, common, weights},
};

/// The first operand, the second, the result.
pub type Tensors<T> = [T; 3];

/// An axis along which at least two tensors move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    pub size: usize,
    pub role: Role,
    pub strides: Tensors<usize>,
}

#[derive(Debug, Clone)]
pub struct Form {
    /// Batch axes, then M, N and K, each as the tensors have them where they stand now.
    pub axes: Vec<Axis>,
    /// Tensors of which a role is no single loop where they stand.
    pub copy: Tensors<bool>,
    /// The second operand in the graph is the first here: the last axis of the result is of role N.
    pub swapped: bool,
}

impl Form {
    /// From how an element of the product is found in each tensor. `None` if an axis has no role or there are no rows or columns.
    pub fn of(walks: Tensors<&Walk>) -> Option<Form> {
        let atoms = common(&walks.map(Walk::sizes))?;
        let [a, b, result] = walks.map(|walk| walk.over(&atoms));
        let (a, b, result) = (a?, b?, result?);
        let axes = atoms.iter().enumerate().map(|(i, &size)| {
            let strides = [a[i], b[i], result[i]];
            let role = role(&strides.map(|s| s > 0))?;
            Some(Axis {
                size,
                role,
                strides,
            })
        });
        let mut axes: Vec<Axis> = axes.collect::<Option<_>>()?;
        let has = |role| axes.iter().any(|axis| axis.role == role);
        if !(has(Role::M) && has(Role::N) && has(Role::K)) {
            return None;
        }
        let last = axes.iter().filter(|axis| axis.strides[2] > 0);
        let swapped = last
            .min_by_key(|axis| axis.strides[2])
            .map(|axis| axis.role)
            == Some(Role::M);
        if swapped {
            axes.iter_mut().for_each(Axis::swap);
        }
        let mut form = Form {
            axes,
            copy: [false; 3],
            swapped,
        };
        form.arrange();
        Some(form)
    }

    /// Orders the axes and finds what is in the way.
    fn arrange(&mut self) {
        let of = |role| {
            self.axes
                .iter()
                .copied()
                .filter(move |axis| axis.role == role)
                .collect()
        };
        let [mut batch, mut m, mut n, mut k]: [Vec<Axis>; 4] =
            [Role::Batch, Role::M, Role::N, Role::K].map(of);
        for axes in [&mut batch, &mut m, &mut n] {
            sort(axes, 2);
        }
        self.copy[2] = !(is_loop(&m, 2) && is_loop(&n, 2));
        if self.copy[2] {
            sort(&mut m, 0);
            sort(&mut n, 1);
        }
        self.copy[0] = !is_loop(&m, 0);
        self.copy[1] = !is_loop(&n, 1);
        sort(&mut k, 0);
        if !is_loop(&k, 0) || !is_loop(&k, 1) {
            // One of the two orders: an operand that is copied anyway, or else the smaller one, adapts.
            let adapts = match self.copy {
                [true, false, _] => 0,
                [false, true, _] => 1,
                _ => usize::from(self.elements(1) < self.elements(0)),
            };
            sort(&mut k, 1 - adapts);
            for tensor in 0..2 {
                self.copy[tensor] |= !is_loop(&k, tensor);
            }
        }
        self.axes = [batch, m, n, k].concat();
    }

    fn elements(&self, tensor: usize) -> usize {
        let own = self.axes.iter().filter(|axis| axis.strides[tensor] > 0);
        own.map(|axis| axis.size).product()
    }

    /// Elements that must be copied.
    pub fn copied(&self) -> usize {
        (0..3)
            .filter(|&t| self.copy[t])
            .map(|t| self.elements(t))
            .sum()
    }

    /// The axes of one tensor, as it stands now.
    pub fn of_tensor(&self, tensor: usize) -> (Vec<usize>, Vec<usize>) {
        let own = self.axes.iter().filter(|axis| axis.strides[tensor] > 0);
        own.map(|axis| (axis.size, axis.strides[tensor])).unzip()
    }

    /// The axes once copies are made, one for each role but the batch.
    pub fn settled(&self) -> Vec<Axis> {
        let mut axes = self.axes.clone();
        for tensor in (0..3).filter(|&t| self.copy[t]) {
            let mut plain = weights(&self.of_tensor(tensor).0).into_iter();
            for axis in axes.iter_mut().filter(|axis| axis.strides[tensor] > 0) {
                axis.strides[tensor] = plain.next().unwrap_or(1);
            }
        }
        let mut merged: Vec<Axis> = Vec::new();
        for axis in axes {
            match merged.last_mut() {
                Some(outer) if outer.role == axis.role && outer.continues(&axis) => {
                    outer.size *= axis.size;
                    outer.strides = axis.strides;
                }
                _ => merged.push(axis),
            }
        }
        merged
    }

    /// The settled axes, cut as the dims of the result are wherever the rank allows.
    pub fn like(&self, dims: &[usize]) -> Option<Vec<Axis>> {
        let axes = self.settled();
        let mut kept: Vec<&Axis> = axes.iter().filter(|axis| axis.role != Role::K).collect();
        kept.sort_by_key(|axis| std::cmp::Reverse(axis.strides[2]));
        let sizes = kept.iter().map(|axis| axis.size).collect();
        let dims = dims.iter().copied().filter(|&n| n > 1).collect();
        let mut fine = common(&[sizes, dims])?;
        if fine.len() + (axes.len() - kept.len()) > MAX_RANK {
            return None;
        }
        let mut pieces: Vec<(usize, usize)> = Vec::new();
        for axis in kept.iter().rev() {
            let mut inner = 1;
            while inner < axis.size {
                pieces.push((axis.strides[2] * inner, fine.pop()?));
                inner *= pieces[pieces.len() - 1].1;
            }
        }
        let cut = |axis: &Axis| -> Vec<Axis> {
            if axis.role == Role::K {
                return vec![*axis];
            }
            let own = |&&(stride, size): &&(usize, usize)| {
                stride >= axis.strides[2] && stride * size <= axis.strides[2] * axis.size
            };
            let mut own: Vec<Axis> = pieces
                .iter()
                .filter(own)
                .map(|&(stride, size)| axis.piece(stride / axis.strides[2], size))
                .collect();
            own.reverse();
            own
        };
        Some(axes.iter().flat_map(cut).collect())
    }
}

impl Axis {
    fn swap(&mut self) {
        self.strides.swap(0, 1);
        self.role = match self.role {
            Role::M => Role::N,
            Role::N => Role::M,
            other => other,
        };
    }

    /// Whether this axis and `inner` are one in every tensor.
    pub fn continues(&self, inner: &Axis) -> bool {
        let same = |tensor: usize| self.strides[tensor] == inner.size * inner.strides[tensor];
        (0..3).all(same)
    }

    /// `size` of its elements, `inner` apart.
    pub fn piece(&self, inner: usize, size: usize) -> Axis {
        Axis {
            size,
            strides: self.strides.map(|s| s * inner),
            ..*self
        }
    }
}

fn role(moves: &Tensors<bool>) -> Option<Role> {
    match moves {
        [true, true, true] => Some(Role::Batch),
        [true, false, true] => Some(Role::M),
        [false, true, true] => Some(Role::N),
        [true, true, false] => Some(Role::K),
        _ => None,
    }
}

/// Outermost first.
fn sort(axes: &mut [Axis], tensor: usize) {
    axes.sort_by_key(|axis| std::cmp::Reverse(axis.strides[tensor]));
}

/// Whether the axes are one in a tensor.
fn is_loop(axes: &[Axis], tensor: usize) -> bool {
    let continues = |w: &[Axis]| w[0].strides[tensor] == w[1].size * w[1].strides[tensor];
    axes.windows(2).all(continues)
}

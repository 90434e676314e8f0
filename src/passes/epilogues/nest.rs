//! The axes of a contraction, cut so that an epilogue's operands are views over its output.

use crate::{
    ir::{
        Value,
        ops::{Contraction, Epilogue, Role},
        view::{self, MAX_RANK},
    },
    passes::walk::{Walk, common, to_view},
};

/// The output's axes in their order, then those that are summed over.
pub struct Nest {
    axes: Vec<Axis>,
    /// Per input.
    offsets: Vec<usize>,
}

struct Axis {
    size: usize,
    role: Role,
    /// Per input: the contraction's two, then the epilogue's further ones.
    strides: Vec<usize>,
}

impl Nest {
    /// Of a contraction's inputs, the first two of `inputs`, and those of a program over `axes`, which are its output's elements.
    pub fn of(contraction: &Contraction, axes: &[usize], inputs: &[Value]) -> Option<Nest> {
        let long = |sizes: &[usize]| sizes.iter().copied().filter(|&n| n > 1).collect();
        let sizes = common(&[long(axes), long(&contraction.product_dims())])?;
        let (operands, further) = inputs.split_at(2);
        let (mut offsets, mut of_operands) = (Vec::new(), Vec::new());
        for operand in operands {
            let (offset, strides) = view::strides(&operand.view)?;
            offsets.push(offset);
            of_operands.push(strides);
        }
        let mut of_further = Vec::new();
        for input in further {
            let walk = Walk::of(&input.view)?;
            of_further.push(walk.over(&sizes)?);
            offsets.push(walk.offset);
        }
        let operand = |axis: usize, inner: usize| -> Vec<usize> {
            of_operands
                .iter()
                .map(|strides| strides[axis] * inner)
                .collect()
        };
        let mut cut = Vec::new();
        let mut place = sizes.len();
        for &axis in contraction.out.iter().rev() {
            let mut inner = 1;
            while inner < contraction.sizes[axis] {
                place = place.checked_sub(1)?;
                let mut strides = operand(axis, inner);
                strides.extend(of_further.iter().map(|strides| strides[place]));
                cut.push(Axis {
                    size: sizes[place],
                    role: contraction.roles[axis],
                    strides,
                });
                inner *= sizes[place];
            }
        }
        cut.reverse();
        let summed = (0..contraction.sizes.len()).filter(|&i| contraction.roles[i] == Role::K);
        cut.extend(summed.map(|axis| {
            let mut strides = operand(axis, 1);
            strides.resize(inputs.len(), 0);
            Axis {
                size: contraction.sizes[axis],
                role: Role::K,
                strides,
            }
        }));
        let nest = Nest { axes: cut, offsets };
        match nest.axes.len() <= MAX_RANK {
            true => Some(nest),
            false => Some(nest.merged()).filter(|nest| nest.axes.len() <= MAX_RANK),
        }
    }

    /// With as few axes as the inputs allow.
    fn merged(self) -> Nest {
        let mut axes: Vec<Axis> = Vec::new();
        for axis in self.axes {
            match axes.last_mut() {
                Some(outer) if outer.role == axis.role && outer.continues(&axis) => {
                    outer.size *= axis.size;
                    outer.strides = axis.strides;
                }
                _ => axes.push(axis),
            }
        }
        Nest { axes, ..self }
    }

    /// The inputs as views over the nest, the further ones over the output.
    pub fn views(&self, inputs: &[Value]) -> Option<Vec<Value>> {
        let output = self.axes.iter().filter(|axis| axis.role != Role::K).count();
        let seen = |(i, input): (usize, &Value)| {
            let axes = match i {
                0 | 1 => &self.axes[..],
                _ => &self.axes[..output],
            };
            let (sizes, strides): (Vec<usize>, Vec<usize>) =
                axes.iter().map(|axis| (axis.size, axis.strides[i])).unzip();
            let len = view::physical(&input.view).iter().product();
            Some(input.through(to_view(&sizes, &strides, self.offsets[i], len)?))
        };
        inputs.iter().enumerate().map(seen).collect()
    }

    pub fn contraction(&self, rounds: [bool; 2], epilogue: Epilogue) -> Contraction {
        Contraction {
            rounds,
            sizes: self.axes.iter().map(|axis| axis.size).collect(),
            roles: self.axes.iter().map(|axis| axis.role).collect(),
            out: (0..self.axes.len())
                .filter(|&i| self.axes[i].role != Role::K)
                .collect(),
            accumulate: false,
            epilogue: Some(epilogue),
        }
    }
}

impl Axis {
    fn continues(&self, inner: &Axis) -> bool {
        let strides = self.strides.iter().zip(&inner.strides);
        strides.into_iter().all(|(s, i)| *s == inner.size * i)
    }
}

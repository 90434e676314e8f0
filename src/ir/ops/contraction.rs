//! Sums of products: matrix products in all their forms, with what is done to each finished element.

use super::{Bf16, Op, code};
use crate::ir::{
    Rewriter, Value,
    program::{Instr, ValueId, formula},
};

/// `Σ a·b` over the axes of role [`Role::K`].
///
/// Inputs: a and b as views over `sizes` (an axis that an operand does not have is a broadcast axis of its view); with
/// `accumulate` a plain buffer of the output's dims; then the epilogue's operands. Output: the kept axes in the order of `out`.
///
/// In every operand and in the output the axes of role M lie behind each other at one stride once those of size 1 are left
/// out, and so do those of N and of K: each role is one loop. Batch axes may lie anywhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Contraction {
    pub sizes: Vec<usize>,
    /// One per axis.
    pub roles: Vec<Role>,
    /// The kept axes (indices into `sizes`), outermost first, as the output has them.
    pub out: Vec<usize>,
    /// Whether a and b are rounded to bf16 as they are read.
    pub rounds: [bool; 2],
    /// The product is added to input 2.
    pub accumulate: bool,
    /// Only where there is no batch axis and nothing accumulates.
    pub epilogue: Option<Epilogue>,
}

/// Which tensors have an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Both operands and the output.
    Batch,
    /// a and the output.
    M,
    /// b and the output.
    N,
    /// Both operands: summed over.
    K,
}

/// What is done to each finished element.
///
/// Operand 0 is the product (with `accumulate`: the sum), operands 1.. are the node's further inputs as views over the output's
/// dims. Reductions run over the axes of role N, which are then the last of the output.
#[derive(Debug, Clone, PartialEq)]
pub struct Epilogue {
    /// The product and the node's further inputs.
    pub operands: usize,
    pub code: Vec<Instr>,
    /// The node's outputs; value 0 is the raw product.
    pub stores: Vec<ValueId>,
}

impl Contraction {
    /// Dims of the product.
    pub fn product_dims(&self) -> Vec<usize> {
        self.out.iter().map(|&axis| self.sizes[axis]).collect()
    }

    /// Inputs in front of the epilogue's.
    pub fn operands(&self) -> usize {
        2 + usize::from(self.accumulate)
    }

    /// Inputs of the whole node.
    pub fn inputs(&self) -> usize {
        let further = self.epilogue.as_ref().map_or(0, |e| e.operands - 1);
        self.operands() + further
    }

    /// Trailing axes of the output that an epilogue's reductions run over.
    pub fn row(&self) -> usize {
        let of_b = |axis: &&usize| self.roles[**axis] == Role::N;
        self.out.iter().rev().take_while(of_b).count()
    }

    fn axis_name(&self, axis: usize) -> String {
        let letter = match self.roles[axis] {
            Role::Batch => "b",
            Role::M => "m",
            Role::N => "n",
            Role::K => "k",
        };
        let same = |other: &usize| self.roles[*other] == self.roles[axis];
        match (0..self.sizes.len()).filter(same).count() {
            1 => letter.into(),
            _ => format!("{letter}{}", (0..axis).filter(same).count()),
        }
    }

    fn axes_of(&self, roles: [Role; 3]) -> String {
        let axes = (0..self.sizes.len()).filter(|&axis| roles.contains(&self.roles[axis]));
        axes.map(|axis| self.axis_name(axis))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

impl Op for Contraction {
    fn label(&self) -> String {
        let out: Vec<String> = self.out.iter().map(|&axis| self.axis_name(axis)).collect();
        let mut text = format!(
            "{}, {} -> {}",
            self.axes_of([Role::Batch, Role::M, Role::K]),
            self.axes_of([Role::Batch, Role::N, Role::K]),
            out.join(" ")
        );
        for (operand, _) in ["a", "b"]
            .iter()
            .zip(self.rounds)
            .filter(|(_, rounds)| *rounds)
        {
            text += &format!(", {operand} to bf16");
        }
        if self.accumulate {
            text += ", added";
        }
        format!("contract[{text}]")
    }

    fn code(&self) -> String {
        let code = |e: &Epilogue| formula(e.operands, &e.code, &e.stores);
        self.epilogue.as_ref().map(code).unwrap_or_default()
    }

    fn outputs(&self, _: &[Vec<usize>]) -> Vec<Vec<usize>> {
        let dims = self.product_dims();
        let Some(epilogue) = &self.epilogue else {
            return vec![dims];
        };
        let narrow = code::narrow(epilogue.operands, &epilogue.code);
        let grid = dims.len() - self.row();
        let shape = |&v: &ValueId| dims[..if narrow[v] { grid } else { dims.len() }].to_vec();
        epilogue.stores.iter().map(shape).collect()
    }

    fn decompose(&self, r: &mut Rewriter, inputs: &[Value]) -> Option<Vec<Value>> {
        let [a, b] = [0, 1].map(|i| {
            let operand = code::unsliced(r, &inputs[i]);
            match self.rounds[i] {
                true => r.op(Bf16, &[&operand]).remove(0),
                false => operand,
            }
        });
        let mut product = r.mul(&a, &b);
        let mut kept: Vec<usize> = (0..self.sizes.len()).collect();
        for axis in (0..self.sizes.len()).rev() {
            if self.roles[axis] == Role::K {
                product = r.sum(&product, axis);
                kept.remove(axis);
            }
        }
        let place = |axis| kept.iter().position(|k| k == axis);
        let order: Option<Vec<usize>> = self.out.iter().map(place).collect();
        product = r.contiguous(&product.permute(&order?));
        if self.accumulate {
            product = r.add(&inputs[2], &product);
        }
        let Some(epilogue) = &self.epilogue else {
            return Some(vec![product]);
        };
        let dims = product.dims();
        let operands = [&[product], &inputs[self.operands()..]].concat();
        let values = code::build(r, &epilogue.code, &operands, &dims, self.row());
        Some(epilogue.stores.iter().map(|&v| values[v].clone()).collect())
    }

    fn reads_slices(&self) -> bool {
        true
    }
}

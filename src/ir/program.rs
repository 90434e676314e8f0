//! The body of a fused kernel: straight-line code over one loop nest. Names neither luminal nor memory.
//!
//! Values are numbered: the operands first, then one per instruction. A value is as wide as the loop nest, or, behind a
//! reduction over the row, one number per row. Mixed arguments broadcast the narrow one along the row.

/// Number of a value: operand `v` for `v < operands`, else the result of instruction `v - operands`.
pub type ValueId = usize;

#[derive(Debug, Clone, PartialEq)]
pub struct Instr {
    pub op: RowOp,
    /// As many as [`RowOp::arity`].
    pub args: Vec<ValueId>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RowOp {
    Constant(f32),
    Add,
    Mul,
    /// Remainder with the sign of the dividend, as Rust's `%`.
    Mod,
    /// 1 where the first argument is less than the second, else 0.
    Less,
    Recip,
    Sqrt,
    Exp2,
    Log2,
    Sin,
    Abs,
    /// Gauss error function.
    Erf,
    /// Sum over the row: one number per row.
    RowSum,
    /// Maximum over the row: one number per row.
    RowMax,
}

impl RowOp {
    pub fn arity(self) -> usize {
        match self {
            RowOp::Constant(_) => 0,
            RowOp::Add | RowOp::Mul | RowOp::Mod | RowOp::Less => 2,
            _ => 1,
        }
    }

    pub fn reduces(self) -> bool {
        matches!(self, RowOp::RowSum | RowOp::RowMax)
    }
}

//! Each kind of kernel beside the CPU's, on odd shapes and strides, in both elements.

mod attention;
mod finish;
mod fold;
mod images;
mod optimizer;
mod product;
mod rows;
mod table;

use mimc::{
    ir::program::{Instr, RowOp, ValueId},
    plan::{Access, Element},
};

pub const BOTH: [Element; 2] = [Element::F32, Element::Bf16];

pub fn instr(op: RowOp, args: &[ValueId]) -> Instr {
    Instr {
        op,
        args: args.to_vec(),
    }
}

pub fn access(offset: usize, strides: &[usize]) -> Access {
    Access {
        offset,
        strides: strides.to_vec(),
    }
}

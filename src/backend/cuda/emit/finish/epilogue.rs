//! A row program on a product, from which steps are taken from the front.

use super::{
    super::{
        body::{Body, Port, Read},
        product::factor,
    },
    Step,
};
use crate::{
    backend::cuda::program::{Argument, Bias, Factor},
    ir::program::{Instr, RowOp, ValueId},
    plan::{Access, Element},
};

/// Elements of f32 that the library wants a bias to begin at a multiple of: 16 bytes.
const ALIGNED: usize = 4;

/// Over the rows and columns of the product.
pub struct Epilogue {
    pub dims: [usize; 2],
    /// The operand that is the product, or what has been made of it. `None` where nothing reads it.
    pub product: Option<ValueId>,
    pub reads: Vec<Read>,
    pub code: Vec<Instr>,
    pub stores: Vec<(ValueId, Port)>,
}

/// What comes first, and what it makes.
pub struct Next {
    pub step: Step,
    pub bias: Option<Bias>,
    pub added: Option<Factor>,
    pub result: ValueId,
    /// As [`RowOp::weight`].
    pub weight: u64,
}

impl Epilogue {
    /// What is done to the product first, if the program goes on with nothing but the result of that.
    pub fn next(&self) -> Option<Next> {
        let product = self.product?;
        let reads = |(_, instr): &(usize, &Instr)| instr.args.contains(&product);
        let mut readers = self.code.iter().enumerate().filter(reads);
        let (at, instr) = readers.next()?;
        let stored = self.stores.iter().any(|(value, _)| *value == product);
        if stored || readers.next().is_some() {
            return None;
        }
        let next = |step| Next {
            step,
            bias: None,
            added: None,
            result: self.reads.len() + at,
            weight: instr.op.weight(),
        };
        match (instr.op, &instr.args[..]) {
            (RowOp::Bf16, _) => Some(next(Step::Round)),
            (RowOp::Add, &[x, y]) => {
                let other = if x == product { y } else { x };
                let port = self.reads.get(other)?.port()?;
                let (bias, added) = (bias(port), added(port, self.dims));
                match (bias, added) {
                    (Some(_), _) => Some(Next {
                        bias,
                        ..next(Step::Bias)
                    }),
                    (None, Some(_)) => Some(Next {
                        added,
                        ..next(Step::Matrix)
                    }),
                    (None, None) => None,
                }
            }
            _ => None,
        }
    }

    /// What is left when a value lies where the product is read.
    pub fn behind(self, value: ValueId) -> Epilogue {
        let product = self.product;
        let renamed = |old: ValueId| match product {
            Some(product) if old == value => product,
            _ => old,
        };
        let code = self.code.into_iter().map(|instr| Instr {
            op: instr.op,
            args: instr.args.into_iter().map(renamed).collect(),
        });
        let stores = self.stores.into_iter();
        let stores = stores.map(|(value, port)| (renamed(value), port));
        let all = Epilogue {
            code: code.collect(),
            stores: stores.collect(),
            ..self
        };
        all.live()
    }

    /// Which store puts the product into memory as an element and in an order, where nothing else lies that is still read.
    pub fn store(&self, element: Element, order: &Access, factors: [Argument; 2]) -> Option<usize> {
        let others = self.reads.iter().enumerate();
        let others = others.filter(|(operand, _)| Some(*operand) != self.product);
        let others: Vec<Argument> = others
            .filter_map(|(_, read)| Some(read.port()?.argument))
            .chain(factors)
            .collect();
        self.stores.iter().position(|(value, port)| {
            let alike = port.element == element && port.access == *order;
            Some(*value) == self.product && alike && !others.contains(&port.argument)
        })
    }

    /// Without what no store depends on.
    pub fn live(self) -> Epilogue {
        let results: Vec<ValueId> = self.stores.iter().map(|(value, _)| *value).collect();
        let operands = self.reads.len();
        let live = Body::new(vec![true; operands], &self.code, &results).live;
        let number = |value: ValueId| live[..value].iter().filter(|live| **live).count();
        let code = self.code.into_iter().zip(&live[operands..]);
        let code = code.filter(|(_, live)| **live).map(|(instr, _)| Instr {
            op: instr.op,
            args: instr.args.into_iter().map(number).collect(),
        });
        let reads = self.reads.into_iter().zip(&live);
        let reads = reads.filter(|(_, live)| **live).map(|(read, _)| read);
        let stores = self.stores.into_iter();
        Epilogue {
            dims: self.dims,
            product: self.product.filter(|&product| live[product]).map(number),
            reads: reads.collect(),
            code: code.collect(),
            stores: stores.map(|(value, port)| (number(value), port)).collect(),
        }
    }

    /// From memory and to it.
    pub fn bytes(&self) -> u64 {
        let reads = self.reads.iter().filter_map(Read::port);
        let ports = reads.chain(self.stores.iter().map(|(_, port)| port));
        let bytes = |port: &Port| port.element.bytes() as u64 * port.access.distinct(&self.dims);
        ports.map(bytes).sum()
    }
}

/// One number for each column, side by side.
fn bias(port: &Port) -> Option<Bias> {
    let Access { offset, strides } = &port.access;
    let columns = strides[..] == [0, 1] && port.element == Element::F32;
    (columns && offset.is_multiple_of(ALIGNED)).then_some(Bias {
        memory: port.argument,
        offset: *offset,
    })
}

fn added(port: &Port, dims: [usize; 2]) -> Option<Factor> {
    matrix(port, dims).filter(|added| added.element == Element::F32)
}

/// A matrix that is contiguous along its rows, as an epilogue walks it.
pub fn matrix(port: &Port, dims: [usize; 2]) -> Option<Factor> {
    let &[row, column] = &port.access.strides[..] else {
        return None;
    };
    factor(port, [row, column], dims, 0).filter(|matrix| !matrix.transposed)
}

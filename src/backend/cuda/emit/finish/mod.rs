//! How cublasLt finishes a product: the beginning of an epilogue that it does on the way from its sums to memory, so that they are
//! not written and read again for it. What is left is a row program behind.

mod epilogue;

use super::{
    Emission,
    body::{Port, Read},
    product::product,
};
use crate::{
    backend::cuda::program::Product,
    plan::{Access, Element, Work, kernel::Gemm},
};
use epilogue::{Epilogue, matrix};

/// What is done to each sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A number of f32 is added, one for each column.
    Bias,
    /// A matrix of f32 is added.
    Matrix,
    /// It is rounded to bf16.
    Round,
}

/// Steps that the library does, of which element the factors are then, and of which the result.
struct Way {
    steps: &'static [Step],
    factors: &'static [Element],
    result: Element,
}

const EITHER: &[Element] = &[Element::F32, Element::Bf16];

/// What the table under `cublasLtMatmul` in the library's documentation has for `CUBLAS_COMPUTE_32F`, where it is what a plan asks.
///
/// A bias is of the element of the result there, so none of f32 is added before a rounding. Beside a matrix it could be, but not at
/// the best speed. The library's GELU is that of tanh.
const WAYS: [Way; 3] = [
    Way {
        steps: &[Step::Round],
        factors: &[Element::Bf16],
        result: Element::Bf16,
    },
    Way {
        steps: &[Step::Bias],
        factors: EITHER,
        result: Element::F32,
    },
    Way {
        steps: &[Step::Matrix],
        factors: EITHER,
        result: Element::F32,
    },
];

/// A product with the beginning of its epilogue.
pub struct Finish {
    product: Product,
    /// Where the result lies.
    to: Port,
    /// Only what is left reads the result: it has no place in the plan.
    aside: bool,
    left: Epilogue,
    /// Of what is done on the way, for an element.
    weight: u64,
}

impl Finish {
    /// Nothing is left.
    pub fn is_whole(&self) -> bool {
        self.left.stores.is_empty()
    }
}

impl Emission<'_> {
    /// The product with as much of its epilogue as the library does, where that saves some of the way to memory and back.
    pub fn library_finishes(&self, gemm: &Gemm, [a, b]: [&Port; 2]) -> Option<Finish> {
        let c = self.port(gemm.c.0, &gemm.c.1);
        let mut product = product(gemm, [a, b, &c])?;
        let mut left = self.epilogue(gemm, &c)?;
        let (mut done, mut weight) = (Vec::new(), 0);
        while let Some(next) = left.next() {
            done.push(next.step);
            let fits = |way: &&Way| way.steps == done && way.factors.contains(&a.element);
            let Some(way) = WAYS.iter().find(fits) else {
                break;
            };
            product.c.element = way.result;
            product.bias = next.bias.or(product.bias);
            product.added = next.added.or(product.added);
            weight += next.weight;
            left = left.behind(next.result);
        }
        let element = product.c.element;
        let kept = left.store(element, &c.access, [a.argument, b.argument]);
        let kept = kept.map(|at| left.stores.remove(at).1);
        let aside = kept.is_none();
        // As long a way through memory as without.
        if aside && element == c.element {
            return None;
        }
        let to = kept.unwrap_or_else(|| Port {
            argument: c.argument,
            element,
            access: Access::plain(&left.dims),
        });
        product.c = matrix(&to, left.dims)?;
        Some(Finish {
            product,
            to,
            aside,
            left: left.live(),
            weight,
        })
    }

    /// An epilogue that goes over the rows of a product and reads it in their order. Nothing where others read the sums as well.
    fn epilogue(&self, gemm: &Gemm, c: &Port) -> Option<Epilogue> {
        let rows = gemm.epilogue.as_ref()?;
        let reads = self.reads(&rows.operands);
        let stores = rows.stores.iter();
        let stores = stores.map(|s| (s.value, self.port(s.buffer, &s.access)));
        let stores: Vec<_> = stores.collect();
        let of_product = |read: &Read| read.port().is_some_and(|port| port.argument == c.argument);
        let product = reads.iter().position(of_product)?;
        let once = reads.iter().filter(|read| of_product(read)).count() == 1;
        let in_order = once && *reads[product].access() == c.access;
        let over = rows.grid == [gemm.m] && rows.row == [gemm.n] && !gemm.accumulate;
        let overwritten = stores.iter().any(|(_, port)| port.argument == c.argument);
        let unread = overwritten || self.lies_aside(gemm.c.0);
        let all = Epilogue {
            dims: [gemm.m, gemm.n],
            product: Some(product),
            reads,
            code: rows.code.clone(),
            stores,
        };
        (in_order && over && unread).then(|| all.live())
    }

    /// Launches the product, and what is left behind it.
    pub fn multiply_and_finish(&mut self, finish: Finish, [a, b]: [&Port; 2], work: Work) {
        let Finish {
            mut product,
            mut to,
            aside,
            mut left,
            weight,
        } = finish;
        let Product { m, n, k, .. } = product;
        if aside {
            to.argument = self.scratch(m * n * to.element.bytes());
            product.c.memory = to.argument;
        }
        let bytes = |count: usize, element: Element| (count * element.bytes()) as u64;
        let added = product.added.map_or(0, |of| bytes(m * n, of.element));
        let bias = product.bias.map_or(0, |_| bytes(n, Element::F32));
        let factors = bytes(m * k, a.element) + bytes(k * n, b.element);
        let own = Work {
            pointwise: weight * (m * n) as u64,
            bytes: factors + added + bias + bytes(m * n, to.element),
            ..work
        };
        self.multiply(product, own);
        if left.stores.is_empty() {
            return;
        }
        if let Some(product) = left.product {
            left.reads[product] = Read::Memory(to);
        }
        let behind = Work {
            pointwise: work.pointwise - own.pointwise.min(work.pointwise),
            bytes: left.bytes(),
            ..Work::default()
        };
        let nest = [&[m][..], &[n]];
        self.row_program(nest, &left.reads, &left.code, &left.stores, behind);
    }
}

//! Epilogues of which cublasLt does the beginning: what it is asked for, and that with what is left behind it all is computed.

use super::{access, instr};
use crate::{cases::Cases, emulator::there_is_a_compiler};
use mimc::{
    backend::cuda::{
        self, Target,
        program::{Launch, Product},
    },
    ir::program::{Instr, RowOp, ValueId},
    plan::{
        Access, BufferId, Element,
        Element::{Bf16, F32},
        Kernel,
        kernel::{Gemm, Operand, Rows, Store},
    },
};

/// What an epilogue reads beside the product.
#[derive(Clone, Copy)]
enum Read {
    Bias(Element),
    Matrix(Element),
    /// As a matrix, and overwritten by the first value that is stored.
    Overwritten,
}

/// Of the sums: operand 0, then what is read, then the code.
struct Epilogue<'a> {
    factors: Element,
    reads: &'a [Read],
    code: &'a [(RowOp, &'a [ValueId])],
    stores: &'a [(ValueId, Element)],
}

/// More than a kernel of ours takes.
const LONG: usize = 520;
const SHORT: usize = 40;
const ROWS: usize = 24;
const COLUMNS: usize = 16;

impl Epilogue<'_> {
    /// The sums lie aside, or `under` the first result of f32 for which nothing else was there.
    fn put(&self, cases: &mut Cases, k: usize, under: bool) {
        let dims = [ROWS, COLUMNS];
        let whole = Access::plain(&dims);
        let mut of =
            |access: Access, dims: &[usize], element| cases.reached(&access, dims, element);
        let a = of(Access::plain(&[ROWS, k]), &[ROWS, k], self.factors);
        let b = of(Access::plain(&[k, COLUMNS]), &[k, COLUMNS], self.factors);
        let mut overwritten: Option<BufferId> = None;
        let mut read = |read: &Read| match *read {
            Read::Bias(element) => of(access(4, &[0, 1]), &dims, element),
            Read::Matrix(element) => of(whole.clone(), &dims, element),
            Read::Overwritten => {
                let matrix = of(whole.clone(), &dims, F32);
                overwritten = Some(matrix.0);
                matrix
            }
        };
        let reads: Vec<_> = self.reads.iter().map(&mut read).collect();
        let in_place = overwritten;
        let mut store = |&(value, element): &(ValueId, Element)| Store {
            value,
            buffer: match overwritten.take() {
                Some(buffer) => buffer,
                None => cases.buffer(ROWS * COLUMNS, element),
            },
            access: whole.clone(),
        };
        let stores: Vec<Store> = self.stores.iter().map(&mut store).collect();
        let mut elements = self.stores.iter().zip(&stores);
        let first = elements
            .find(|((_, element), store)| *element == F32 && in_place != Some(store.buffer));
        let c = match first.filter(|_| under) {
            Some((_, store)) => store.buffer,
            None => cases.aside(ROWS * COLUMNS),
        };
        let c = (c, whole);
        let operands = [vec![c.clone()], reads].concat();
        let instr = |(op, args): &(RowOp, &[ValueId])| -> Instr { instr(*op, args) };
        let gemm = Gemm {
            batch: Vec::new(),
            m: ROWS,
            n: COLUMNS,
            k,
            a,
            b,
            rounds: [false; 2],
            c,
            accumulate: false,
            epilogue: Some(Rows {
                grid: vec![ROWS],
                row: vec![COLUMNS],
                operands: (operands.into_iter())
                    .map(|(buffer, access)| Operand::Memory(buffer, access))
                    .collect(),
                code: self.code.iter().map(instr).collect(),
                stores,
            }),
        };
        cases.kernel(Kernel::Gemm(gemm), 3e-6);
    }

    /// What the library is asked for, and how many kernels come behind; nothing where a kernel of ours does all.
    fn asked(&self, k: usize, under: bool) -> (Option<Product>, usize) {
        let mut cases = Cases::default();
        self.put(&mut cases, k, under);
        let mut launches = cuda::emit(&cases.plan, Target(90)).accumulate.into_iter();
        let product = launches.find_map(|scheduled| match scheduled.launch {
            Launch::Product(product) => Some(product),
            Launch::Kernel { .. } => None,
        });
        (product, launches.count())
    }
}

/// As words: the element that is written, what is added, and how many kernels are left.
fn words((product, left): (Option<Product>, usize)) -> String {
    let Some(product) = product else {
        return "ours".into();
    };
    let mut words = vec![format!("{:?}", product.c.element)];
    words.extend(product.bias.map(|_| "bias".into()));
    words.extend(product.added.map(|added| match added == product.c {
        true => "onto".into(),
        false => "matrix".into(),
    }));
    format!("{}, {left} left", words.join(" + "))
}

const ROUND: (RowOp, &[ValueId]) = (RowOp::Bf16, &[0]);

/// Each with what is asked of the library with many terms, and with few.
const EPILOGUES: [(Epilogue, &str, &str); 15] = [
    // Rounded, and no more.
    (
        Epilogue {
            factors: Bf16,
            reads: &[],
            code: &[ROUND],
            stores: &[(1, Bf16)],
        },
        "Bf16, 0 left",
        "Bf16, 0 left",
    ),
    // Rounded for more than one.
    (
        Epilogue {
            factors: Bf16,
            reads: &[],
            code: &[ROUND],
            stores: &[(1, Bf16), (1, F32)],
        },
        "Bf16, 1 left",
        "ours",
    ),
    // Rounded on the way to something else, and kept or not.
    (
        Epilogue {
            factors: Bf16,
            reads: &[Read::Matrix(Bf16)],
            code: &[
                (RowOp::Bf16, &[0]),
                (RowOp::Mul, &[1, 2]),
                (RowOp::Mul, &[3, 2]),
            ],
            stores: &[(4, F32)],
        },
        "Bf16, 1 left",
        "ours",
    ),
    (
        Epilogue {
            factors: Bf16,
            reads: &[Read::Matrix(F32)],
            code: &[
                (RowOp::Bf16, &[0]),
                (RowOp::RowSum, &[2]),
                (RowOp::Mul, &[3, 1]),
            ],
            stores: &[(4, F32), (2, Bf16)],
        },
        "Bf16, 1 left",
        "Bf16, 1 left",
    ),
    // Not by factors of f32.
    (
        Epilogue {
            factors: F32,
            reads: &[],
            code: &[ROUND],
            stores: &[(1, Bf16)],
        },
        "F32, 1 left",
        "F32, 1 left",
    ),
    // The sums are read as they are as well.
    (
        Epilogue {
            factors: Bf16,
            reads: &[],
            code: &[(RowOp::Bf16, &[0]), (RowOp::Mul, &[0, 1])],
            stores: &[(1, Bf16), (2, F32)],
        },
        "F32, 1 left",
        "ours",
    ),
    // A bias, of either kind of factors.
    (
        Epilogue {
            factors: F32,
            reads: &[Read::Bias(F32)],
            code: &[(RowOp::Add, &[0, 1])],
            stores: &[(2, F32)],
        },
        "F32 + bias, 0 left",
        "F32 + bias, 0 left",
    ),
    (
        Epilogue {
            factors: Bf16,
            reads: &[Read::Bias(F32)],
            code: &[(RowOp::Add, &[1, 0]), (RowOp::Erf, &[2])],
            stores: &[(3, Bf16), (2, F32)],
        },
        "F32 + bias, 1 left",
        "ours",
    ),
    // No bias of f32 is added before a rounding, and none of bf16 at all.
    (
        Epilogue {
            factors: Bf16,
            reads: &[Read::Bias(F32)],
            code: &[(RowOp::Add, &[0, 1]), (RowOp::Bf16, &[2])],
            stores: &[(3, Bf16)],
        },
        "F32, 1 left",
        "ours",
    ),
    (
        Epilogue {
            factors: Bf16,
            reads: &[Read::Bias(Bf16)],
            code: &[(RowOp::Add, &[0, 1])],
            stores: &[(2, F32)],
        },
        "F32, 1 left",
        "ours",
    ),
    // A matrix beside, or where the result goes.
    (
        Epilogue {
            factors: F32,
            reads: &[Read::Matrix(F32)],
            code: &[(RowOp::Add, &[1, 0])],
            stores: &[(2, F32)],
        },
        "F32 + matrix, 0 left",
        "F32 + matrix, 0 left",
    ),
    (
        Epilogue {
            factors: Bf16,
            reads: &[Read::Overwritten],
            code: &[(RowOp::Add, &[0, 1])],
            stores: &[(2, F32)],
        },
        "F32 + onto, 0 left",
        "F32 + onto, 0 left",
    ),
    // What is left reads what the result would overwrite.
    (
        Epilogue {
            factors: Bf16,
            reads: &[Read::Overwritten],
            code: &[(RowOp::Add, &[0, 1]), (RowOp::Mul, &[2, 1])],
            stores: &[(2, F32), (3, F32)],
        },
        "F32, 1 left",
        "ours",
    ),
    // A bias, and no matrix beside it.
    (
        Epilogue {
            factors: F32,
            reads: &[Read::Bias(F32), Read::Matrix(F32)],
            code: &[(RowOp::Add, &[0, 1]), (RowOp::Add, &[3, 2])],
            stores: &[(4, F32)],
        },
        "F32, 1 left",
        "F32, 1 left",
    ),
    // Another element than that of the result.
    (
        Epilogue {
            factors: Bf16,
            reads: &[Read::Matrix(Bf16)],
            code: &[(RowOp::Add, &[0, 1])],
            stores: &[(2, F32)],
        },
        "F32, 1 left",
        "ours",
    ),
];

#[test]
fn the_library_is_asked_for_what_it_does() {
    for (at, (epilogue, long, short)) in EPILOGUES.iter().enumerate() {
        for (k, wanted) in [(LONG, long), (SHORT, short)] {
            for under in [false, true] {
                let told = format!("epilogue {at}, {k} terms, under a result: {under}");
                assert_eq!(words(epilogue.asked(k, under)), *wanted, "{told}");
            }
        }
    }
}

#[test]
fn what_the_library_does_and_what_is_left_agree() {
    if !there_is_a_compiler() {
        return;
    }
    let mut cases = Cases::default();
    for (epilogue, ..) in &EPILOGUES {
        for under in [false, true] {
            epilogue.put(&mut cases, LONG, under);
            epilogue.put(&mut cases, SHORT, under);
        }
    }
    cases.agree();
}

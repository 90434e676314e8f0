//! What cublasLt does behind its sums, as it is asked for it: a rounding, a bias, a matrix beside the result or in its place. What
//! it is to compute is what the CPU computes from the same kernel of a plan.

use super::{emulator::emulator, products::computed};
use mimc::{
    backend::{
        cpu::CpuStep,
        cuda::{
            CudaStep, Target,
            cache::Cache,
            emit,
            functions::{Blas, Handle, Heuristic, Status, constants::*},
            library::Libraries,
            program::{Launch, Product},
            search::Search,
        },
    },
    ir::program::{Instr, RowOp},
    plan::{
        Access, Buffer, Element, Kernel, Place, Plan, Scheduled,
        kernel::{Gemm, Operand, Rows, Store},
    },
};
use std::{ffi::c_void, ptr};

const ROWS: usize = 24;
const COLUMNS: usize = 16;
const TERMS: usize = 40;

/// A product of `a` and `b`, to which something may be added.
fn plan(added: Option<Access>, in_place: bool, result: Element) -> Plan {
    let buffer = |len: usize, element, place| Buffer {
        dims: vec![len],
        element,
        place,
        origin: "".into(),
    };
    let whole = Access::plain(&[ROWS, COLUMNS]);
    let len = ROWS * COLUMNS;
    let (a, b, c, fed, copied, to) = (0, 1, 2, 3, 4, 5);
    let (with, to) = if in_place {
        (copied, copied)
    } else {
        (fed, to)
    };
    let operands = [(c, whole.clone())];
    let operands = operands
        .into_iter()
        .chain(added.map(|access| (with, access)));
    let operands: Vec<_> = operands.collect();
    let (op, args) = match operands.len() {
        1 => (RowOp::Bf16, vec![0]),
        _ => (RowOp::Add, vec![0, 1]),
    };
    let gemm = Gemm {
        batch: Vec::new(),
        m: ROWS,
        n: COLUMNS,
        k: TERMS,
        a: (a, Access::plain(&[ROWS, TERMS])),
        b: (b, Access::plain(&[TERMS, COLUMNS])),
        rounds: [result == Element::Bf16; 2],
        c: (c, whole.clone()),
        accumulate: false,
        epilogue: Some(Rows {
            grid: vec![ROWS],
            row: vec![COLUMNS],
            stores: vec![Store {
                value: operands.len(),
                buffer: to,
                access: whole,
            }],
            operands: (operands.into_iter())
                .map(|(buffer, access)| Operand::Memory(buffer, access))
                .collect(),
            code: vec![Instr { op, args }],
        }),
    };
    // What is fed belongs to the caller: it is added to a copy.
    let copy = Rows {
        grid: Vec::new(),
        row: vec![len],
        operands: vec![Operand::Memory(fed, Access::plain(&[len]))],
        code: Vec::new(),
        stores: vec![Store {
            value: 0,
            buffer: copied,
            access: Access::plain(&[len]),
        }],
    };
    let scheduled = |kernel, flops: usize| Scheduled {
        kernel,
        origin: "product".into(),
        flops: flops as u64,
    };
    let product = scheduled(Kernel::Gemm(gemm), 2 * ROWS * COLUMNS * TERMS);
    let copy = in_place.then(|| scheduled(Kernel::Rows(copy), 0));
    Plan {
        buffers: vec![
            buffer(ROWS * TERMS, Element::F32, Place::Feed),
            buffer(TERMS * COLUMNS, Element::F32, Place::Feed),
            buffer(len, Element::F32, Place::Aside),
            buffer(len, Element::F32, Place::Feed),
            buffer(len, Element::F32, Place::Arena(0)),
            buffer(len, result, Place::Arena(4 * len)),
        ],
        accumulate: copy.into_iter().chain([product]).collect(),
        feeds: vec![("a".into(), a), ("b".into(), b), ("with".into(), fed)],
        outputs: vec![("loss".into(), to)],
        arena: 8 * len,
        batch: 1,
        ..Plan::default()
    }
}

/// What the library is asked for, the last of all that is launched.
fn asked(plan: &Plan) -> Product {
    let last = emit(plan, Target(90)).accumulate.pop();
    match last.map(|scheduled| scheduled.launch) {
        Some(Launch::Product(product)) => product,
        other => panic!("no product but {other:?}"),
    }
}

#[test]
fn what_is_done_behind_sums_is_what_the_cpu_does() {
    let Some(emulator) = emulator() else { return };
    let libraries = Libraries::open(&Search::only(std::slice::from_ref(&emulator.folder)));
    let whole = Access::plain(&[ROWS, COLUMNS]);
    let bias = Access {
        offset: 4,
        strides: vec![0, 1],
    };
    let (f32, bf16) = (Element::F32, Element::Bf16);
    for (plan, with) in [
        (plan(None, false, bf16), "round"),
        (plan(Some(bias), false, f32), "bias"),
        (plan(Some(whole.clone()), false, f32), "matrix"),
        (plan(Some(whole), true, f32), "onto"),
    ] {
        let product = asked(&plan);
        let told = (product.c.element, product.bias.is_some(), product.added);
        match with {
            "round" => assert_eq!(told, (bf16, false, None)),
            "bias" => assert_eq!(told, (f32, true, None)),
            "matrix" => assert!(!told.1 && product.added.is_some_and(|added| added != product.c)),
            _ => assert_eq!(told, (f32, false, Some(product.c))),
        }
        let cache = Cache::at(emulator.cache.join("products"));
        let gpu = CudaStep::on(&libraries, Some(cache), plan.clone());
        let got = computed(&mut gpu.expect("it is readied"), &plan);
        let cpu = CpuStep::new(plan.clone());
        let wanted = computed(&mut cpu.expect("it is readied"), &plan);
        // A sum beside the middle of two numbers of bf16 becomes either.
        let near = if product.c.element == bf16 {
            1.0 / 128.0
        } else {
            0.0
        };
        for (got, wanted) in got.iter().flatten().zip(wanted.iter().flatten()) {
            let off = (got - wanted).abs();
            assert!(
                off < 1e-4 + near * wanted.abs(),
                "{with}: {got} for {wanted}"
            );
        }
    }
}

/// A product as the library is asked for one: elements of factors and result, of the bias, and of the matrix that is added.
struct Question {
    factors: u32,
    result: u32,
    bias: Option<u32>,
    added: u32,
    /// Rows of the matrix that is added, and where the bias begins.
    rows: u64,
    start: usize,
}

const NOT_SUPPORTED: Status = 15;
const INVALID: Status = 7;

/// What the library says to it.
fn said(blas: &Blas, question: &Question) -> Status {
    let (mut operation, mut preference) = (ptr::null_mut(), ptr::null_mut());
    let layout = |element: u32, rows: u64, columns: u64| {
        let mut layout: Handle = ptr::null_mut();
        // SAFETY: it writes a handle.
        unsafe {
            (blas.cublasLtMatrixLayoutCreate)(&mut layout, element, rows, columns, rows as i64)
        };
        layout
    };
    let a = layout(question.factors, 16, 8);
    let b = layout(question.factors, 8, 24);
    let c = layout(question.added, question.rows, 24);
    let d = layout(question.result, 16, 24);
    let (mut best, mut found) = (Heuristic::default(), 0);
    // SAFETY: handles are those that were made, and it reads and writes as much as there is.
    unsafe {
        (blas.cublasLtMatmulDescCreate)(&mut operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
        (blas.cublasLtMatmulPreferenceCreate)(&mut preference);
        let set = |which, value: *const c_void, bytes| {
            let set = blas.cublasLtMatmulDescSetAttribute;
            assert_eq!(set(operation, which, value, bytes), 0);
        };
        if let Some(element) = question.bias {
            let epilogue = CUBLASLT_EPILOGUE_BIAS;
            set(
                CUBLASLT_MATMUL_DESC_EPILOGUE,
                ptr::from_ref(&epilogue).cast(),
                4,
            );
            set(
                CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE,
                ptr::from_ref(&element).cast(),
                4,
            );
            let start = ptr::from_ref(&question.start).cast();
            set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, start, 8);
        }
        let status = (blas.cublasLtMatmulAlgoGetHeuristic)(
            ptr::null_mut(),
            operation,
            a,
            b,
            c,
            d,
            preference,
            1,
            &mut best,
            &mut found,
        );
        for layout in [a, b, c, d] {
            (blas.cublasLtMatrixLayoutDestroy)(layout);
        }
        (blas.cublasLtMatmulDescDestroy)(operation);
        (blas.cublasLtMatmulPreferenceDestroy)(preference);
        status
    }
}

#[test]
fn the_emulated_library_refuses_what_the_real_one_does_not_have() {
    let Some(emulator) = emulator() else { return };
    // SAFETY: it was built from this repository.
    let library = unsafe { libloading::Library::new(emulator.folder.join("libcublasLt.so.13")) };
    let blas = Blas::of(library.expect("it opens")).expect("it has all functions");
    let (f32, bf16) = (CUDA_R_32F, CUDA_R_16BF);
    for (factors, result, bias, added, rows, start, wanted) in [
        (bf16, bf16, None, bf16, 16, 0, 0),
        (bf16, f32, None, f32, 16, 0, 0),
        (f32, f32, None, f32, 16, 0, 0),
        (f32, bf16, None, bf16, 16, 0, NOT_SUPPORTED),
        (bf16, f32, Some(f32), f32, 16, 4096, 0),
        (f32, f32, Some(f32), f32, 16, 4096, 0),
        (bf16, bf16, Some(bf16), bf16, 16, 4096, 0),
        (bf16, bf16, Some(f32), bf16, 16, 4096, NOT_SUPPORTED),
        (bf16, f32, Some(bf16), f32, 16, 4096, NOT_SUPPORTED),
        (bf16, f32, Some(f32), f32, 16, 4100, NOT_SUPPORTED),
        (bf16, f32, Some(f32), f32, 16, 0, NOT_SUPPORTED),
        (bf16, bf16, None, f32, 16, 0, INVALID),
        (bf16, f32, None, bf16, 16, 0, INVALID),
        (bf16, f32, None, f32, 24, 0, INVALID),
    ] {
        let question = Question {
            factors,
            result,
            bias,
            added,
            rows,
            start,
        };
        let told = format!("{factors} to {result}, {bias:?} at {start}, {added} of {rows}");
        assert_eq!(said(&blas, &question), wanted, "{told}");
    }
}

//! Which products cublasLt computes: those of matrices that are contiguous along rows or columns.

use super::{body::Port, nest::Nest};
use crate::{
    backend::cuda::program::{Factor, Product},
    plan::{Access, Element, kernel::Gemm},
};

/// Bytes that the beginnings of rows must be multiples of, where elements are bf16.
const ALIGNMENT: usize = 16;

/// The product as one call, or nothing where its strides do not allow it. In `ports`: a, b, c.
pub fn product(gemm: &Gemm, ports: [&Port; 3]) -> Option<Product> {
    let batch = gemm.batch.len();
    let accesses = ports.map(|port| Access {
        offset: port.access.offset,
        strides: port.access.strides[..batch].to_vec(),
    });
    let [a, b, c] = &accesses;
    let repeated = Nest::merged(&[&gemm.batch], &[a, b, c]);
    let count = match repeated.dims[..] {
        [] => 1,
        [count] => count,
        _ => return None,
    };
    let shapes = [[gemm.m, gemm.k], [gemm.k, gemm.n], [gemm.m, gemm.n]];
    let mut factors = Vec::new();
    for ((port, repeated), shape) in ports.into_iter().zip(&repeated.accesses).zip(shapes) {
        let [row, column] = [port.access.strides[batch], port.access.strides[batch + 1]];
        let batch_stride = repeated.strides.first().copied().unwrap_or(0);
        factors.push(factor(port, [row, column], shape, batch_stride)?);
    }
    let [a, b, c] = factors[..] else { return None };
    // Results of the same place would be written at once.
    let apart = count == 1 || c.batch_stride > 0;
    (a.element == b.element && apart && c.element == Element::F32).then_some(Product {
        m: gemm.m,
        n: gemm.n,
        k: gemm.k,
        count,
        a,
        b,
        c,
        added: gemm.accumulate.then_some(c),
        bias: None,
    })
}

/// A matrix of so many rows and columns, as the library takes one: its steps are those from row to row and from column to column.
pub fn factor(
    port: &Port,
    [row, column]: [usize; 2],
    [rows, columns]: [usize; 2],
    batch_stride: usize,
) -> Option<Factor> {
    let along = |step: usize, count: usize| step == 1 || count == 1;
    let apart = |step: usize, count: usize, least: usize| match count {
        1 => Some(least.max(1)),
        _ => (step >= least.max(1)).then_some(step),
    };
    let (transposed, stride) = match () {
        () if along(column, columns) && apart(row, rows, columns).is_some() => {
            (false, apart(row, rows, columns)?)
        }
        () if along(row, rows) => (true, apart(column, columns, rows)?),
        () => return None,
    };
    let aligned = |elements: usize| (elements * port.element.bytes()).is_multiple_of(ALIGNMENT);
    let starts = [stride, port.access.offset, batch_stride];
    let fits = port.element == Element::F32 || starts.into_iter().all(aligned);
    fits.then_some(Factor {
        memory: port.argument,
        offset: port.access.offset,
        element: port.element,
        transposed,
        stride,
        batch_stride,
    })
}

use super::testbed::{Testbed, launch};
use super::*;
use crate::plan::Access;

fn run(bed: &Testbed, gemm: &Gemm, threads: usize) -> Vec<Vec<f32>> {
    bed.run(&*prepare(gemm, &bed.plan), &launch(), threads)
}

/// Largest difference from a sum in f64, relative to the sum of the magnitudes; untouched elements must not change.
fn error(bed: &Testbed, gemm: &Gemm, got: &[Vec<f32>]) -> f64 {
    let (a, b, c) = (&gemm.a, &gemm.b, &gemm.c);
    let mut want: Vec<f64> = bed.data[c.0].iter().map(|&x| x as f64).collect();
    let mut scale = vec![1.0f64; want.len()];
    let axes = gemm.batch.len();
    for index in 0..gemm.batch.iter().product() {
        let index = Index::new(&gemm.batch, index);
        let at = |access: &Access, row: usize, column: usize| {
            access.offset
                + index.offset(&access.strides[..axes])
                + row * access.strides[axes]
                + column * access.strides[axes + 1]
        };
        for i in 0..gemm.m {
            for j in 0..gemm.n {
                let (mut sum, mut magnitude) = (0.0, 0.0);
                for l in 0..gemm.k {
                    let x =
                        bed.data[a.0][at(&a.1, i, l)] as f64 * bed.data[b.0][at(&b.1, l, j)] as f64;
                    sum += x;
                    magnitude += x.abs();
                }
                let place = at(&c.1, i, j);
                want[place] = sum + if gemm.accumulate { want[place] } else { 0.0 };
                scale[place] = 1.0 + magnitude;
            }
        }
    }
    want.iter()
        .zip(&scale)
        .zip(&got[c.0])
        .map(|((want, scale), &got)| (want - got as f64).abs() / scale)
        .fold(0.0, f64::max)
}

/// Strides of a matrix whose rows (or columns, if transposed) are `pad` further apart than they need be.
fn strides(rows: usize, columns: usize, transposed: bool, pad: usize) -> [usize; 2] {
    if transposed {
        [1, rows + pad]
    } else {
        [columns + pad, 1]
    }
}

fn product(shape: [usize; 3], batch: &[usize], layout: usize) -> (Gemm, [usize; 3]) {
    let [m, n, k] = shape;
    let mut sizes = [0; 3];
    let mut operand = |buffer: usize, rows: usize, columns: usize| {
        let pad = layout >> (3 + buffer) & 1;
        let [row, column] = strides(rows, columns, layout >> buffer & 1 == 1, 3 * pad);
        let mut size = (rows * row).max(columns * column).max(1);
        let mut outer = vec![0; batch.len()];
        for (stride, dim) in outer.iter_mut().zip(batch).rev() {
            *stride = size;
            size *= dim;
        }
        sizes[buffer] = size + pad;
        let strides = outer.into_iter().chain([row, column]).collect();
        (
            buffer,
            Access {
                offset: pad,
                strides,
            },
        )
    };
    let gemm = Gemm {
        batch: batch.to_vec(),
        m,
        n,
        k,
        a: operand(0, m, k),
        b: operand(1, k, n),
        c: operand(2, m, n),
        accumulate: layout >> 6 & 1 == 1,
        epilogue: None,
    };
    (gemm, sizes)
}

const SHAPES: [[usize; 3]; 14] = [
    [1, 1, 1],
    [1, 70, 33],
    [70, 1, 33],
    [5, 7, 1],
    [5, 7, 2],
    [14, 32, 256],
    [15, 33, 257],
    [37, 45, 67],
    [100, 101, 600],
    [300, 20, 40],
    [20, 300, 40],
    [13, 16, 1100],
    [0, 5, 4],
    [5, 4, 0],
];

#[test]
fn agrees_with_naive_loops_in_every_layout() {
    for (number, shape) in SHAPES.into_iter().enumerate() {
        for layout in (0..128).filter(|layout| (layout + number) % 3 == 0 || shape[0] < 40) {
            let (gemm, sizes) = product(shape, &[], layout);
            let bed = Testbed::new(&sizes, layout as u64);
            let error = error(&bed, &gemm, &run(&bed, &gemm, 2));
            assert!(error < 1e-6, "{shape:?} layout {layout:07b}: {error:e}");
        }
    }
}

#[test]
fn repeats_over_batches() {
    for (batch, shape) in [
        (vec![3], [9, 21, 17]),
        (vec![2, 3], [16, 5, 33]),
        (vec![2], [200, 180, 190]),
    ] {
        for layout in [0, 3, 4, 64, 127] {
            let (mut gemm, sizes) = product(shape, &batch, layout);
            let bed = Testbed::new(&sizes, 1);
            assert!(error(&bed, &gemm, &run(&bed, &gemm, 2)) < 1e-6);
            // The same `b` for every index.
            gemm.b.1.strides[..batch.len()].fill(0);
            assert!(error(&bed, &gemm, &run(&bed, &gemm, 2)) < 1e-6);
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for (shape, batch) in [
        ([130, 90, 2000], &[][..]),
        ([600, 70, 40], &[]),
        ([33, 400, 100], &[]),
        ([17, 19, 23], &[7]),
        ([170, 190, 230], &[3]),
    ] {
        for layout in [0, 1, 2, 64, 127] {
            let (gemm, sizes) = product(shape, batch, layout);
            let bed = Testbed::new(&sizes, 2);
            let one = run(&bed, &gemm, 1);
            for threads in [2, 5] {
                assert!(
                    one == run(&bed, &gemm, threads),
                    "{shape:?} {layout} on {threads} threads"
                );
            }
        }
    }
}

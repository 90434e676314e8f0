use super::testbed::{Testbed, launch};
use super::*;
use crate::plan::Access;

fn run(bed: &Testbed, gemm: &Gemm, threads: usize) -> Vec<Vec<f32>> {
    bed.run(&*prepare(gemm, &bed.plan), &launch(), threads)
}

/// Largest difference from a sum in f64, relative to the sum of the magnitudes; untouched elements must not change.
pub fn error(bed: &Testbed, gemm: &Gemm, got: &[Vec<f32>]) -> f64 {
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

pub fn product(shape: [usize; 3], batch: &[usize], layout: usize) -> (Gemm, [usize; 3]) {
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
        rounds: [false; 2],
        accumulate: layout >> 6 & 1 == 1,
        epilogue: None,
    };
    (gemm, sizes)
}

pub const SHAPES: [[usize; 3]; 14] = [
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

/// Every epilogue sees each element of `c` once, finished, however the product is cut.
#[test]
fn an_epilogue_runs_once_on_every_finished_element() {
    use crate::ir::program::{Instr, RowOp};
    use crate::plan::kernel::{Operand, Rows, Store};
    for shape @ [m, n, _] in [
        [37, 45, 67],
        [600, 300, 300],
        [20, 700, 40],
        [5, 7, 1],
        [1, 9, 9],
        [9, 1, 9],
        [30, 40, 3000],
    ] {
        for reduces in [false, true] {
            let (mut gemm, [a, b, c]) = product(shape, &[], 0);
            let bed = Testbed::new(&[a, b, c, m * n, m * n], 3);
            let wide = || Access::plain(&[m, n]);
            let add = Instr {
                op: RowOp::Add,
                args: vec![0, 1],
            };
            let sum = Instr {
                op: RowOp::RowSum,
                args: vec![2],
            };
            let mut code = vec![add];
            let mut stores = vec![Store {
                value: 2,
                buffer: 4,
                access: wide(),
            }];
            if reduces {
                code.push(sum);
                stores.push(Store {
                    value: 3,
                    buffer: 3,
                    access: Access {
                        offset: 0,
                        strides: vec![1, 0],
                    },
                });
            }
            let plain = run(&bed, &gemm, 2);
            let mut rows = Rows {
                grid: vec![m],
                row: vec![n],
                operands: vec![Operand::Memory(2, wide()), Operand::Memory(3, wide())],
                code,
                stores,
            };
            if reduces {
                rows.operands[1] = Operand::Memory(
                    0,
                    Access {
                        offset: 0,
                        strides: vec![0, 0],
                    },
                );
            }
            gemm.epilogue = Some(rows);
            let one = run(&bed, &gemm, 1);
            for threads in [2, 5] {
                assert!(
                    one == run(&bed, &gemm, threads),
                    "{shape:?} on {threads} threads"
                );
            }
            assert_eq!(one[2], plain[2]);
            for row in 0..m {
                let mut sum = 0.0;
                for column in row * n..(row + 1) * n {
                    let other = if reduces {
                        bed.data[0][0]
                    } else {
                        bed.data[3][column]
                    };
                    assert_eq!(one[4][column], plain[2][column] + other);
                    sum += f64::from(one[4][column]);
                }
                assert!(!reduces || (f64::from(one[3][row]) - sum).abs() < 1e-3);
            }
        }
    }
}

/// The products of Swin-B's and ViT-B's linear layers at batch 4, and how fast they are.
#[test]
#[ignore = "prints, checks nothing: cargo test --release --lib gemm -- --ignored --nocapture throughput"]
fn throughput() {
    let mut shapes = Vec::new();
    for (tokens, width, hidden) in [
        (9216, 128, 512),
        (2304, 256, 1024),
        (576, 512, 2048),
        (144, 1024, 4096),
        (788, 768, 3072),
    ] {
        for (into, out) in [
            (width, 3 * width),
            (width, width),
            (width, hidden),
            (hidden, width),
        ] {
            shapes.push((tokens, into, out));
        }
    }
    for kind in ["forward", "input gradient", "weight gradient"] {
        for &(tokens, into, out) in &shapes {
            // Bits of the layout: transposed a, b.
            let (shape, layout) = match kind {
                "forward" => ([tokens, out, into], 2),
                "input gradient" => ([tokens, into, out], 0),
                _ => ([out, into, tokens], 1 | 64),
            };
            let (gemm, sizes) = product(shape, &[], layout);
            let flops = 2.0 * shape.iter().product::<usize>() as f64;
            let rates = [&[][..], &[0, 1]].map(|halves| {
                // Of bf16 half the bytes are read; what they hold does not matter.
                let mut bed = Testbed::new(&sizes, 0).halved(halves);
                let kernel = prepare(&gemm, &bed.plan);
                let addresses = bed.data.iter_mut().map(|d| d.as_mut_ptr().cast()).collect();
                // SAFETY: the buffers outlive the runs.
                let memory = unsafe { Memory::new(addresses) };
                let once = |_| {
                    let start = std::time::Instant::now();
                    kernel.run(&memory, &launch());
                    start.elapsed().as_secs_f64()
                };
                let best = (0..20).map(once).fold(f64::INFINITY, f64::min);
                flops / best / 1e9
            });
            let [f32, bf16] = rates;
            println!("{kind:<16} {shape:?} {f32:6.0} GFLOP/s in f32 {bf16:6.0} in bf16");
        }
    }
}

/// Of one operand in bf16, and the other not, products are those of f32 operands that hold the same numbers. Of two they are summed
/// as the processor does it, in the same order whatever they are stored in and on any number of threads.
#[test]
fn operands_in_bf16_are_read_exactly() {
    for (number, shape) in SHAPES.into_iter().enumerate() {
        for layout in (0..128).filter(|layout| (layout + number) % 5 == 0) {
            let (gemm, sizes) = product(shape, &[], layout);
            let mut bed = Testbed::new(&sizes, layout as u64);
            let rounding = Gemm {
                rounds: [true; 2],
                ..gemm.clone()
            };
            let read_rounded = run(&bed, &rounding, 2);
            bed.round(&[0, 1]);
            let want = run(&bed, &gemm, 2);
            for half in [0, 1] {
                let got = run(&bed.halved(&[half]), &gemm, 2);
                let what = format!("{shape:?} layout {layout:07b}, operand {half} in bf16");
                assert!(got[2] == want[2], "{what}");
            }
            let halves = bed.halved(&[0, 1]);
            let got = run(&halves, &gemm, 2);
            let what = format!("{shape:?} layout {layout:07b}, both in bf16");
            let error = error(&bed, &gemm, &got);
            assert!(error < 1e-6, "{what}: {error:e}");
            assert!(got[2] == read_rounded[2], "{what}, or rounded while read");
            assert!(got[2] == run(&halves, &gemm, 3)[2], "{what}, on 3 threads");
        }
    }
}

/// A product that lies aside, of which an epilogue keeps the rounded numbers, however it is cut.
#[test]
fn an_epilogue_finds_a_product_that_lies_aside() {
    use crate::ir::program::{Instr, RowOp};
    use crate::plan::kernel::{Operand, Rows, Store};
    for shape @ [m, n, _] in [
        [37, 45, 67],
        [600, 300, 300],
        [20, 700, 40],
        [1300, 900, 20],
        [1, 9, 9],
        [9, 1, 9],
        [30, 40, 3000],
    ] {
        for reduces in [false, true] {
            let (mut gemm, [a, b, c]) = product(shape, &[], 0);
            let mut bed = Testbed::new(&[a, b, c, m * n, m], 4);
            bed.round(&[0, 1]);
            let plain = run(&bed.halved(&[0, 1]), &gemm, 2);
            let wide = || Access::plain(&[m, n]);
            let mut code = vec![Instr {
                op: RowOp::Bf16,
                args: vec![0],
            }];
            let mut stores = vec![Store {
                value: 1,
                buffer: 3,
                access: wide(),
            }];
            if reduces {
                let (op, args) = (RowOp::RowMax, vec![0]);
                code.push(Instr { op, args });
                let strides = vec![1, 0];
                stores.push(Store {
                    value: 2,
                    buffer: 4,
                    access: Access { offset: 0, strides },
                });
            }
            gemm.epilogue = Some(Rows {
                grid: vec![m],
                row: vec![n],
                operands: vec![Operand::Memory(2, wide())],
                code,
                stores,
            });
            let mut aside = bed.halved(&[0, 1, 3]);
            aside.plan.buffers[2].place = Place::Aside;
            for threads in [1, 2, 5] {
                let got = run(&aside, &gemm, threads);
                assert_eq!(got[2], bed.data[2], "nothing is written to memory");
                for (row, (product, stored)) in plain[2].chunks(n).zip(got[3].chunks(n)).enumerate()
                {
                    let halves: Vec<f32> = (product.iter())
                        .map(|&x| half::bf16::from_f32(x).to_f32())
                        .collect();
                    assert_eq!(halves, stored, "{shape:?} on {threads} threads");
                    if reduces {
                        let most = product.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                        assert_eq!(got[4][row], most);
                    }
                }
            }
        }
    }
}

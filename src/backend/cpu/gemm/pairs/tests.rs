use pulp::x86::V4;

use super::super::testbed::{Testbed, launch};
use super::super::tests::{SHAPES, error, product};
use super::super::words::Words;
use super::super::{Gemm, PreparedGemm};
use super::all;

/// Whatever the processor has, and not only what it is fastest with: sums of bf16 are as exact as sums in f32 can be, for every shape
/// and layout, stored as bf16 or rounded while packed, on any number of threads.
#[test]
fn each_instruction_multiplies_bf16() {
    let Some(simd) = V4::try_new() else { return };
    for pairs in all() {
        let words = Words::of(Some(pairs));
        let run = |bed: &Testbed, gemm: &Gemm, threads| {
            let kernel = PreparedGemm::new(simd, words, gemm, &bed.plan);
            bed.run(&kernel, &launch(), threads)
        };
        for (number, shape) in SHAPES.into_iter().enumerate() {
            for layout in (0..128).filter(|layout| (layout + number) % 5 == 0) {
                let (gemm, sizes) = product(shape, &[], layout);
                let mut bed = Testbed::new(&sizes, layout as u64);
                let rounds = [true; 2];
                let read_rounded = run(
                    &bed,
                    &Gemm {
                        rounds,
                        ..gemm.clone()
                    },
                    2,
                );
                bed.round(&[0, 1]);
                let halves = bed.halved(&[0, 1]);
                let got = run(&halves, &gemm, 2);
                let what = format!("{} of {shape:?}, layout {layout:07b}", pairs.name);
                let error = error(&bed, &gemm, &got);
                assert!(error < 1e-6, "{what}: {error:e}");
                assert!(got[2] == read_rounded[2], "{what}, rounded while read");
                assert!(got[2] == run(&halves, &gemm, 3)[2], "{what}, on 3 threads");
            }
        }
    }
}

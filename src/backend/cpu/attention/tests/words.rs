//! Where the processor multiplies bf16, whatever it does so with.

use pulp::x86::V4;

use super::super::super::gemm::pairs::all;
use super::super::super::gemm::testbed::Testbed;
use super::super::super::gemm::words::Words;
use super::super::{Heads, backward::Backward, forward::Forward};
use super::{both, error, operands, problems};

/// Weights and their gradients are rounded to bf16 before they are multiplied: their relative error of at most 2⁻⁸ each stays one of the
/// results, on any number of threads.
#[test]
fn each_instruction_attends_to_bf16() {
    let Some(simd) = V4::try_new() else { return };
    for pairs in all() {
        let words = Words::of(Some(pairs));
        for problem in problems() {
            let (mut bed, backward) = problem.build();
            let forward = &backward.forward;
            let operands = operands(&backward);
            bed.round(&operands);
            let halves = bed.halved(&operands);
            let run = |bed: &Testbed, threads| {
                let heads = || Heads::multiplied(simd, words, forward, &bed.plan);
                let first = Forward(heads());
                let second = Backward::new(heads(), &backward, &bed.plan);
                both(bed, [&first, &second], threads)
            };
            let got = run(&halves, 2);
            let error = error(&bed, &backward, &got);
            assert!(error < 0.02, "{problem:?} by {}: {error:e}", pairs.name);
            assert!(got == run(&halves, 3), "{problem:?}, on 3 threads");
        }
    }
}

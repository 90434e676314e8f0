//! Norms and the update.

use crate::{
    cases::Cases,
    emulator::{noise, there_is_a_compiler},
};
use mimc::plan::{
    Element, Kernel,
    kernel::{AdamW, Segment, SumSquares},
};

/// Less and more than a piece, and not in whole vectors.
const LENS: [usize; 5] = [1, 7, 4096, 8193, 20_001];

#[test]
fn norms_agree() {
    if !there_is_a_compiler() {
        return;
    }
    let mut cases = Cases::default();
    let sources = LENS.map(|len| cases.buffer(len, Element::F32)).to_vec();
    let outs = LENS.map(|_| cases.buffer(1, Element::F32)).to_vec();
    cases.kernel(Kernel::SumSquares(SumSquares { sources, outs }), 1e-6);
    cases.agree();
}

#[test]
fn updates_agree() {
    if !there_is_a_compiler() {
        return;
    }
    let mut cases = Cases::default();
    let segments = LENS.map(|len| {
        let [weight, gradient, first_moment] = [0; 3].map(|_| cases.buffer(len, Element::F32));
        let squares = noise(len as u64, len).iter().map(|x| x * x).collect();
        Segment {
            weight,
            gradient,
            first_moment,
            second_moment: cases.with(squares),
            decay: if len > 7 { 0.05 } else { 0.0 },
        }
    });
    let [lr, correction1, correction2, clip] = [1e-3, 0.1, 0.001, 0.7].map(|x| cases.with(vec![x]));
    let update = AdamW {
        segments: segments.to_vec(),
        betas: [0.9, 0.999],
        eps: 1e-8,
        lr,
        correction1,
        correction2,
        clip,
    };
    cases.kernel(Kernel::AdamW(update), 1e-6);
    cases.agree();
}

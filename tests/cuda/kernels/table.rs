//! Rows taken from tables and added to them.

use super::BOTH;
use crate::{cases::Cases, emulator::there_is_a_compiler};
use mimc::{
    plan::{
        Element, Kernel,
        kernel::{Scatter, Take},
    },
    random::Key,
};

#[test]
fn rows_are_taken_and_added() {
    if !there_is_a_compiler() {
        return;
    }
    let mut cases = Cases::default();
    for (rows, count, width) in [
        (9, 30, 3),
        (121, 1296, 4),
        (40, 7, 100),
        (1, 50, 8),
        (25, 700, 33),
    ] {
        let key = Key::new(count as u64).with("index");
        let draw = |i| key.below(i, rows as u64) as f32;
        let index = cases.with((0..count as u64).map(draw).collect());
        for element in BOTH {
            let take = Take {
                table: cases.buffer(rows * width, element),
                index,
                rows,
                count,
                width,
                out: cases.buffer(count * width, element),
            };
            cases.kernel(Kernel::Take(take), 0.0);
            for accumulate in [false, true] {
                let scatter = Scatter {
                    source: cases.buffer(count * width, element),
                    index,
                    rows,
                    count,
                    width,
                    out: cases.buffer(rows * width, Element::F32),
                    accumulate,
                };
                cases.kernel(Kernel::Scatter(scatter), 2e-6);
            }
        }
    }
    cases.agree();
}

use super::*;
use crate::backend::cpu::math::tests::everywhere;

/// One operation over a small tile of whole numbers, so that every order and rounding of sums gives the same.
struct Case {
    op: Op,
    rows: usize,
    width: usize,
    /// For each argument, whether it varies along the row, and whether from row to row.
    varies: [(bool, bool); 3],
    /// Elements between rows of arguments and results, beyond the width.
    gap: usize,
    in_place: bool,
}

impl Case {
    /// Arguments, results; results that are not written stay 99.
    fn buffers(&self) -> ([Vec<f32>; 3], Vec<f32>) {
        let len = self.rows * (self.width + self.gap);
        let number = |k: usize, i: usize| ((i * 7 + k * 5) % 11) as f32 - 4.5;
        let args = [0, 1, 2].map(|k| (0..len).map(|i| number(k, i)).collect());
        (args, vec![99.0; len])
    }

    fn steps(&self, k: usize) -> (usize, usize) {
        let row = match self.varies[k] {
            (true, true) => self.width + self.gap,
            (false, true) => 1,
            (_, false) => 0,
        };
        (row, self.varies[k].0 as usize)
    }

    fn expected(&self) -> Vec<f32> {
        let (args, mut out) = self.buffers();
        if self.in_place {
            out.clone_from(&args[0]);
        }
        for i in 0..self.rows {
            let at = |k: usize, j: usize| {
                let (row, lane) = self.steps(k);
                args[k][i * row + j * lane]
            };
            let elements = (0..self.width).map(|j| at(0, j));
            match self.op {
                Op::RowSum => out[i] = elements.sum(),
                Op::RowMax => out[i] = elements.fold(f32::NEG_INFINITY, f32::max),
                op => (0..self.width).for_each(|j| {
                    let (a, b, c) = (at(0, j), at(1, j), at(2, j));
                    out[i * (self.width + self.gap) + j] = match op {
                        Op::Abs => a.abs(),
                        Op::Sub => a - b,
                        Op::Less => (a < b) as u8 as f32,
                        Op::Mod => a % b,
                        Op::MulAdd => a * b + c,
                        Op::MulSub => a * b - c,
                        Op::NegMulAdd => c - a * b,
                        other => unreachable!("{other:?} is not among the cases"),
                    };
                }),
            }
        }
        out
    }

    fn check(&self) {
        let results = everywhere(|| Checked(self));
        for result in results {
            assert_eq!(
                result,
                self.expected(),
                "{:?} {}x{}",
                self.op,
                self.rows,
                self.width
            );
        }
    }
}

struct Checked<'a>(&'a Case);

impl WithSimd for Checked<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let case = self.0;
        let (mut args, mut out) = case.buffers();
        let reduces = matches!(case.op, Op::RowSum | Op::RowMax);
        let target = if case.in_place {
            &mut args[0]
        } else {
            &mut out
        };
        let target = target.as_mut_ptr();
        Vectors(Apply {
            op: case.op,
            rows: case.rows,
            width: case.width,
            args: [0, 1, 2].map(|k| Arg {
                at: args[k].as_ptr(),
                row: case.steps(k).0,
                lane: case.steps(k).1,
            }),
            out: target,
            out_row: if reduces { 1 } else { case.width + case.gap },
        })
        .with_simd(simd);
        if case.in_place {
            std::mem::take(&mut args[0])
        } else {
            out
        }
    }
}

#[test]
fn every_pattern_of_arguments_on_every_instruction_set() {
    const ALL: (bool, bool) = (true, true);
    let others = [ALL, (true, false), (false, true), (false, false)];
    for width in (1..20).chain([31, 32, 33, 48, 63, 64, 65, 130]) {
        for (op, count) in [
            (Op::Abs, 1),
            (Op::Sub, 2),
            (Op::Less, 2),
            (Op::Mod, 2),
            (Op::MulAdd, 3),
            (Op::MulSub, 3),
            (Op::NegMulAdd, 3),
        ] {
            for pattern in 0..4usize.pow(count - 1) {
                for (rows, gap, in_place) in
                    [(1, 0, false), (3, 0, true), (3, 5, false), (2, 5, true)]
                {
                    let varies = [ALL, others[pattern % 4], others[pattern / 4 % 4]];
                    let case = Case {
                        op,
                        rows,
                        width,
                        varies,
                        gap,
                        in_place,
                    };
                    case.check();
                    // The argument that fills the row may be any of them.
                    if !in_place {
                        let mut varies = case.varies;
                        varies[..count as usize].reverse();
                        Case { varies, ..case }.check();
                    }
                }
            }
        }
        for op in [Op::RowSum, Op::RowMax] {
            for (rows, gap) in [(1, 0), (4, 3)] {
                Case {
                    op,
                    rows,
                    width,
                    varies: [ALL; 3],
                    gap,
                    in_place: false,
                }
                .check();
            }
        }
    }
}

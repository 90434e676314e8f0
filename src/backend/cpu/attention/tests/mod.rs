mod problem;
#[cfg(target_arch = "x86_64")]
mod words;

use super::super::gemm::isa::{Level, Make};
use super::super::gemm::testbed::Testbed;
use super::super::{Launch, Run};
use super::{backward, forward, softmax};
use crate::plan::Element;
use crate::plan::kernel::AttentionBackward;
use crate::random::Key;
use problem::{FIRST_SAMPLE, Layout, Problem, Solution};

const KEY: Key = Key(77);

fn launch() -> Launch {
    Launch {
        key: KEY,
        first_sample: FIRST_SAMPLE,
    }
}

/// The buffers after the forward and the backward pass.
fn run(bed: &Testbed, problem: &AttentionBackward, level: Level, threads: usize) -> Vec<Vec<f32>> {
    let (plan, attention) = (&bed.plan, &problem.forward);
    let forward = level.make(forward::Prepare { attention, plan });
    let backward = level.make(backward::Prepare {
        backward: problem,
        plan,
    });
    both(bed, [&*forward, &*backward], threads)
}

fn both(bed: &Testbed, [forward, backward]: [&dyn Run; 2], threads: usize) -> Vec<Vec<f32>> {
    let after = Testbed {
        plan: bed.plan.clone(),
        data: bed.run(forward, &launch(), threads),
    };
    after.run(backward, &launch(), threads)
}

/// Largest difference from the solution, elements that no kernel may touch included.
fn error(bed: &Testbed, problem: &AttentionBackward, got: &[Vec<f32>]) -> f64 {
    let mut solution = Solution::new(bed);
    solution.solve(problem, KEY, true);
    // Where nothing is written the solution holds what was there, except in the gradients of biases, which it cleared.
    let cleared = |buffer| {
        problem
            .bias_gradients
            .iter()
            .any(|(_, (b, _))| *b == buffer)
    };
    let mut largest = 0.0f64;
    for (buffer, (want, got)) in solution.data.iter().zip(got).enumerate() {
        for (place, (want, &got)) in want.iter().zip(got).enumerate() {
            let untouched = cleared(buffer) && *want == 0.0 && got == bed.data[buffer][place];
            let difference = if untouched {
                0.0
            } else {
                (want - got as f64).abs()
            };
            largest = largest.max(if difference.is_nan() {
                f64::INFINITY
            } else {
                difference
            });
        }
    }
    largest
}

/// A window of `tokens` with a bias over heads that learns and a mask over windows that does not.
fn windows(tokens: usize, width: usize) -> Problem {
    Problem {
        batch: vec![2, 3, 2],
        queries: tokens,
        keys: tokens,
        width,
        value_width: width,
        layout: Layout::Natural,
        biases: vec![
            (vec![false, false, true], Layout::Outermost, true),
            (vec![false, true, false], Layout::Natural, false),
        ],
        rate: None,
    }
}

fn problems() -> Vec<Problem> {
    let global = Problem {
        batch: vec![2, 3],
        biases: vec![(vec![false, true], Layout::Natural, true)],
        ..windows(197, 64)
    };
    let mut problems = vec![
        windows(36, 32),
        windows(16, 32),
        Problem {
            layout: Layout::Swapped,
            rate: Some(0.3),
            ..windows(49, 24)
        },
        Problem {
            layout: Layout::Outermost,
            ..windows(7, 5)
        },
        Problem {
            rate: Some(0.1),
            ..global.clone()
        },
        Problem {
            queries: 3,
            keys: 70,
            value_width: 9,
            ..windows(0, 33)
        },
        Problem {
            queries: 300,
            keys: 41,
            width: 1,
            ..windows(0, 17)
        },
        Problem {
            batch: vec![1],
            biases: vec![],
            ..windows(1, 1)
        },
        Problem {
            biases: vec![],
            rate: Some(1.0),
            ..windows(12, 8)
        },
    ];
    // Two that learn: along images and heads, and along heads alone; and one along every axis.
    problems.push(Problem {
        biases: vec![
            (vec![true, false, true], Layout::Natural, true),
            (vec![false, false, true], Layout::Swapped, true),
            (vec![false, false, false], Layout::Natural, true),
        ],
        ..windows(20, 8)
    });
    problems.push(Problem {
        biases: vec![(vec![true, true, true], Layout::Natural, true)],
        ..windows(20, 8)
    });
    problems.push(Problem {
        batch: vec![2, 2, 2, 3],
        biases: vec![(vec![false, true, false, true], Layout::Natural, true)],
        ..windows(5, 6)
    });
    problems
}

/// What is read in bf16: queries, keys, values, and the gradient of the result.
fn operands(problem: &AttentionBackward) -> [usize; 4] {
    let forward = &problem.forward;
    let result = problem.out_gradient.0;
    [forward.q.0, forward.k.0, forward.v.0, result]
}

fn multiplies_pairs(level: Level) -> bool {
    struct HasPairs;
    impl Make for HasPairs {
        type Output = bool;

        fn make<S: super::Isa>(self, simd: S) -> bool {
            simd.pairs().is_some()
        }
    }
    level.make(HasPairs)
}

#[test]
fn agrees_with_f64_on_every_instruction_set() {
    for problem in problems() {
        let (bed, backward) = problem.build();
        for level in Level::available() {
            let error = error(&bed, &backward, &run(&bed, &backward, level, 2));
            assert!(error < 2e-5, "{problem:?} on {level:?}: {error:e}");
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for problem in problems() {
        let (bed, backward) = problem.build();
        let one = run(&bed, &backward, Level::best(), 1);
        for threads in [2, 5] {
            assert!(
                one == run(&bed, &backward, Level::best(), threads),
                "{problem:?} on {threads} threads"
            );
        }
    }
}

/// Where products are those of f32, all is computed in it between the loads and the stores: the forward pass gives the rounded bits of
/// one on f32 buffers of the same numbers, and so does the backward pass where it reads the same result.
#[test]
fn operands_in_bf16_give_the_bits_of_rounded_ones() {
    for problem in problems() {
        let (mut bed, backward) = problem.build();
        let forward = &backward.forward;
        let operands = operands(&backward);
        bed.round(&operands);
        let results = [
            backward.q_gradient.0,
            backward.k_gradient.0,
            backward.v_gradient.0,
        ];
        for level in Level::available().filter(|&level| !multiplies_pairs(level)) {
            let plain = run(&bed, &backward, level, 2);
            let half = bed.halved(&[&operands[..], &results].concat());
            let got = run(&half, &backward, level, 2);
            for (buffer, (plain, got)) in plain.iter().zip(&got).enumerate() {
                let stored = half.plan.buffers[buffer].element;
                for (place, (&plain, &got)) in plain.iter().zip(got).enumerate() {
                    let wanted = match stored {
                        Element::F32 => plain,
                        Element::Bf16 => half::bf16::from_f32(plain).to_f32(),
                    };
                    assert_eq!(got, wanted, "{buffer} at {place}: {problem:?} on {level:?}");
                }
            }
            let out = forward.out.0;
            let rounded = run(&bed.halved(&[out]), &backward, level, 2);
            for (&got, &plain) in rounded[out].iter().zip(&plain[out]) {
                assert_eq!(got, half::bf16::from_f32(plain).to_f32());
            }
        }
    }
}

#[test]
fn gradients_are_slopes_of_the_forward_pass() {
    let problem = Problem {
        rate: Some(0.25),
        biases: vec![
            (vec![true, false, true], Layout::Natural, true),
            (vec![false, false, true], Layout::Swapped, true),
        ],
        ..windows(9, 6)
    };
    let (bed, backward) = problem.build();
    let got = run(&bed, &backward, Level::best(), 2);
    let forward = &backward.forward;
    let loss = |moved: usize, place: usize, by: f64| {
        let mut solution = Solution::new(&bed);
        solution.data[moved][place] += by;
        solution.solve(&backward, KEY, false);
        let out = &solution.data[forward.out.0];
        let weights = &bed.data[backward.out_gradient.0];
        // Both have the same layout; places between rows hold the same numbers before and after.
        out.iter()
            .zip(weights)
            .map(|(x, &w)| x * w as f64)
            .sum::<f64>()
    };
    let mut pairs = vec![
        (forward.q.0, backward.q_gradient.0),
        (forward.k.0, backward.k_gradient.0),
        (forward.v.0, backward.v_gradient.0),
    ];
    for (index, (gradient, _)) in &backward.bias_gradients {
        pairs.push((forward.biases[*index].0, *gradient));
    }
    for (operand, gradient) in pairs {
        for place in (3..bed.data[operand].len()).step_by(13) {
            let slope = (loss(operand, place, 1e-4) - loss(operand, place, -1e-4)) / 2e-4;
            let written = got[gradient][place] != bed.data[gradient][place];
            let error = (slope - got[gradient][place] as f64).abs();
            assert!(
                error < 1e-5 || !written && slope == 0.0,
                "{operand} at {place}: {slope}"
            );
        }
    }
}

#[test]
fn large_scores_and_masked_keys_stay_finite() {
    let problem = Problem {
        biases: vec![(vec![false, false, false], Layout::Natural, false)],
        ..windows(18, 4)
    };
    let (mut bed, backward) = problem.build();
    let forward = &backward.forward;
    bed.data[forward.q.0].iter_mut().for_each(|x| *x *= 300.0);
    let (bias, access) = &forward.biases[0];
    for query in 0..18 {
        for key in (0..18).filter(|key| *key != query) {
            bed.data[*bias][access.offset + query * access.strides[3] + key] = f32::NEG_INFINITY;
        }
    }
    let got = run(&bed, &backward, Level::best(), 2);
    assert!(got[forward.log_sum.0].iter().all(|x| x.is_finite()));
    // Each query sees one key: the result is that key's value, and no gradient reaches the scores.
    let written = |buffer: usize| {
        let pairs = got[buffer].iter().zip(&bed.data[buffer]).enumerate();
        pairs
            .filter(|(_, (x, before))| x != before)
            .map(|(place, (x, _))| (place, *x))
    };
    assert!(written(forward.out.0).all(|(place, x)| x == got[forward.v.0][place]));
    assert!(written(backward.q_gradient.0).all(|(_, x)| x.abs() < 1e-3));
    assert_eq!(written(forward.out.0).count(), 2 * 3 * 2 * 18 * 4);
}

/// Exponentials of these, on the lanes of an instruction set.
struct Exponentials<'a>(&'a [f32]);

impl Make for Exponentials<'_> {
    type Output = Vec<f32>;

    fn make<S: super::Isa>(self, simd: S) -> Vec<f32> {
        let one = |&x: &f32| {
            let y = softmax::exp(simd, simd.splat_f32s(x));
            bytemuck::bytes_of(&y)[..4]
                .try_into()
                .map(f32::from_ne_bytes)
                .expect("a vector has four bytes")
        };
        self.0.iter().map(one).collect()
    }
}

#[test]
fn exponential_is_within_two_units_in_the_last_place() {
    let inputs: Vec<f32> = (0..400_000).map(|i| i as f32 * 2.5e-4 - 87.3).collect();
    for level in Level::available() {
        // Without a fused multiply-add the reduction of the argument rounds more.
        let bound = if level == Level::Portable { 3.0 } else { 2.0 };
        for (x, y) in inputs.iter().zip(level.make(Exponentials(&inputs))) {
            let want = (*x as f64).exp();
            let unit = ((want as f32).next_up() - want as f32) as f64;
            let error = (y as f64 - want).abs() / unit;
            assert!(error <= bound, "exp({x}) = {y}: {error} units on {level:?}");
        }
        let got = level.make(Exponentials(&[f32::NEG_INFINITY, -90.0, 0.0, f32::NAN]));
        assert_eq!(got[..3], [0.0, 0.0, 1.0]);
        assert!(got[3].is_nan());
    }
}

//! How many units are hidden, and which of two with the same draw.

use super::{Grid, SEED, draws, of_smallest};
use mimc::{
    backend::usable,
    elaborate::{Setting, elaborate},
    ir::evaluate,
    train::step::Draw,
};

/// `math.ceil(ratio * total)` in Python, where an exact product or one in f32 gives another number.
const ROUNDED: [(usize, f64, usize); 14] = [
    (36, 0.6, 22),
    (49, 0.6, 30),
    (25, 0.28, 8),
    (25, 0.56, 15),
    (25, 0.6, 15),
    (100, 0.07, 8),
    (100, 0.14, 15),
    (100, 0.15, 15),
    (100, 0.27, 27),
    (100, 0.28, 29),
    (100, 0.3, 30),
    (100, 0.54, 54),
    (100, 0.55, 56),
    (100, 0.56, 57),
];

fn hidden(mask: &[f32]) -> usize {
    assert!(
        mask.iter().all(|&unit| unit == 0.0 || unit == 1.0),
        "{mask:?}"
    );
    mask.iter().filter(|&&unit| unit == 1.0).count()
}

#[test]
fn every_image_hides_the_share_rounded_up_in_f64() {
    let rounded = ROUNDED.map(|(total, ratio, count)| (total.isqrt(), ratio, count));
    let plain = (1..=9).flat_map(|side: usize| {
        let total = (side * side) as f64;
        let ratios = [0.0, 0.1, 0.25, 1.0 / 3.0, 0.5, 0.75, 0.9, 0.999, 1.0];
        ratios.map(|ratio| (side, ratio, (ratio * total).ceil() as usize))
    });
    for ((side, ratio, count), unit) in rounded
        .into_iter()
        .chain(plain)
        .zip([32, 1, 6, 16].into_iter().cycle())
    {
        let grid = Grid {
            size: side * unit,
            unit,
            ratio,
        };
        for backend in usable() {
            let mut masks = grid.masks(backend, 3);
            for mask in masks.draw(0, 0).into_iter().chain(masks.draw(5, 3)) {
                assert_eq!(hidden(&mask), count, "{grid:?} on {}", backend.name());
            }
        }
    }
}

#[test]
fn the_smallest_draws_are_hidden_however_the_batch_is_cut() {
    let (grid, count) = (
        Grid {
            size: 192,
            unit: 32,
            ratio: 0.6,
        },
        22,
    );
    for backend in usable() {
        for micro_batch in [1, 2, 3, 4, 6, 12] {
            let mut masks = grid.masks(backend, micro_batch);
            for step in [0, 9] {
                let parts = (0..12).step_by(micro_batch);
                let batch: Vec<_> = parts.flat_map(|first| masks.draw(step, first)).collect();
                for (sample, mask) in batch.iter().enumerate() {
                    assert_eq!(*mask, of_smallest(&draws(step, sample, 36), count));
                }
            }
        }
    }
}

/// Draws of a few levels, most of them alike.
#[test]
fn of_equal_draws_the_earlier_units_are_hidden() {
    for (levels, ratio) in [(1, 0.0), (1, 0.6), (1, 1.0), (2, 0.3), (3, 0.6), (7, 0.85)] {
        let grid = Grid {
            size: 48,
            unit: 8,
            ratio,
        };
        let (recipe, library) = grid.recipe();
        let model = elaborate(&library, &recipe.model, &Setting::training(2, grid.size));
        let graph = model.unwrap_or_else(|errors| panic!("{errors}")).graph;
        let noise: Vec<f32> = (0..72)
            .map(|at| (at * 5 % 17 % levels) as f32 / 8.0)
            .collect();
        let results = evaluate::run(&graph, &|input| match input.name.as_str() {
            "mask.noise" => noise.clone(),
            _ => vec![0.0; input.dims.iter().product()],
        });
        for (mask, draws) in results["mask"].chunks(36).zip(noise.chunks(36)) {
            let count = (ratio * 36.0_f64).ceil() as usize;
            assert_eq!(*mask, of_smallest(draws, count), "{levels} levels, {ratio}");
        }
    }
}

/// Among the 2,304 draws of 24 bits of an image with small units, two are alike now and then. Here the line between hidden
/// and visible is drawn through such a pair.
#[test]
fn a_tie_changes_no_count() {
    const TOTAL: usize = 2304;
    let mut tied = 0;
    for sample in 0..16 {
        let drawn = draws(2, sample, TOTAL);
        let mut sorted = drawn.clone();
        sorted.sort_by(f32::total_cmp);
        let Some(rank) = (1..TOTAL).find(|&rank| sorted[rank - 1] == sorted[rank]) else {
            continue;
        };
        tied += 1;
        let ratio = (rank as f64 - 0.5) / TOTAL as f64;
        let mut masks = Grid {
            size: 192,
            unit: 4,
            ratio,
        }
        .on_kernels(1);
        let mask = masks.draw(2, sample).remove(0);
        assert_eq!(hidden(&mask), rank);
        assert_eq!(mask, of_smallest(&drawn, rank));
        let pair: Vec<_> = (0..TOTAL).filter(|&at| drawn[at] == sorted[rank]).collect();
        assert_eq!((mask[pair[0]], mask[pair[1]]), (1.0, 0.0));
    }
    assert!(tied > 0, "these images should hold a tie");
}

#[test]
fn every_image_step_and_seed_has_a_mask_of_its_own() {
    let mut masks = Grid {
        size: 192,
        unit: 32,
        ratio: 0.6,
    }
    .on_kernels(64);
    let mut all = masks.draw(0, 0);
    all.extend(masks.draw(1, 0));
    let other = Draw {
        seed: SEED + 1,
        step: 0,
        first_sample: 0,
    };
    masks.step.accumulate(other).expect("it runs");
    let third = masks.step.output("mask").expect("it is kept");
    all.extend(third.chunks(36).map(<[f32]>::to_vec));
    let count = all.len();
    all.sort_by(|a, b| a.partial_cmp(b).expect("zeros and ones"));
    all.dedup();
    assert_eq!((count, all.len()), (192, 192));
}

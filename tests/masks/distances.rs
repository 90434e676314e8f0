//! AvgDist, the measure by which the paper tells good masks from bad ones.

use super::Grid;
use mimc::masks::average_distance;

const SIZE: usize = 192;
const RATIOS: [f64; 6] = [0.1, 0.2, 0.4, 0.6, 0.8, 0.9];
/// By unit and ratio, at 192 px, of another program: means over 8 masks or more, to one digit. Nine of nine units leave nothing visible.
const TABLE: [(usize, [Option<f64>; 6]); 5] = [
    (
        4,
        [
            Some(1.3),
            Some(1.4),
            Some(1.6),
            Some(2.1),
            Some(3.3),
            Some(5.1),
        ],
    ),
    (
        8,
        [
            Some(2.1),
            Some(2.3),
            Some(2.7),
            Some(3.7),
            Some(6.0),
            Some(9.9),
        ],
    ),
    (
        16,
        [
            Some(3.8),
            Some(4.2),
            Some(5.2),
            Some(7.1),
            Some(12.4),
            Some(20.9),
        ],
    ),
    (
        32,
        [
            Some(7.4),
            Some(8.4),
            Some(11.0),
            Some(15.8),
            Some(25.3),
            Some(45.6),
        ],
    ),
    (
        64,
        [
            Some(16.5),
            Some(19.3),
            Some(23.2),
            Some(37.4),
            Some(74.4),
            None,
        ],
    ),
];
/// Masks behind a cell of the table.
const THEIRS: f64 = 8.0;
const OURS: usize = 32;
/// Standard errors that two means over so many masks may lie apart: one of 29 cells does in 500 tables.
const ERRORS: f64 = 4.0;

/// Mean and standard deviation over the masks of a grid, or nothing where they hide all.
fn average_distances(grid: Grid) -> Option<(f64, f64)> {
    let mut masks = grid.on_kernels(OURS / 4);
    let drawn = (0..4).flat_map(|step| masks.draw(step, 0));
    let found: Option<Vec<f64>> = drawn
        .map(|mask| average_distance(&mask, grid.unit))
        .collect();
    let found = found?;
    let mean = found.iter().sum::<f64>() / OURS as f64;
    let squares: f64 = found.iter().map(|x| (x - mean).powi(2)).sum();
    Some((mean, (squares / (OURS as f64 - 1.0)).sqrt()))
}

#[test]
fn masks_are_as_far_apart_as_the_table_says() {
    for (unit, row) in TABLE {
        for (ratio, expected) in RATIOS.into_iter().zip(row) {
            let grid = Grid {
                size: SIZE,
                unit,
                ratio,
            };
            let found = average_distances(grid);
            let (Some(expected), Some((mean, spread))) = (expected, found) else {
                assert_eq!((expected, found), (None, None), "{grid:?}");
                continue;
            };
            let error = spread * (1.0 / THEIRS + 1.0 / OURS as f64).sqrt();
            let rounded = 0.05;
            assert!(
                (mean - expected).abs() <= rounded + ERRORS * error,
                "{grid:?}: {mean:.2} ± {error:.2}, the table says {expected}"
            );
        }
    }
}

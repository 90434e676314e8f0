//! When `mimc compile` doubts a mask, and what it offers.

use super::Grid;
use mimc::{diagnostic::Diagnostic, language::library::Library, masks::doubt, recipe::Recipe};

fn doubted(size: usize, unit: usize, ratio: f64) -> Option<Diagnostic> {
    let (recipe, library) = Grid { size, unit, ratio }.recipe();
    doubt(&recipe, &library).expect("the passes are sound")
}

fn help(size: usize, unit: usize, ratio: f64) -> String {
    let warning = doubted(size, unit, ratio).expect("this mask is doubtful");
    assert_eq!(warning.code, "doubtful-mask");
    let span = warning.span.expect("the recipe says it");
    assert_eq!(span.text(), unit.to_string());
    warning.help.expect("there are better numbers")
}

/// The cells of the paper's table at 192 px that lie well inside or outside its range.
#[test]
fn masks_of_10_to_20_px_are_not_doubted_at_192_px() {
    for (unit, ratio) in [(32, 0.5), (32, 0.6), (16, 0.8), (64, 0.1), (8, 0.95)] {
        assert!(doubted(192, unit, ratio).is_none(), "{unit}, {ratio}");
    }
    for (unit, ratio) in [
        (4, 0.6),
        (8, 0.6),
        (16, 0.6),
        (32, 0.1),
        (32, 0.8),
        (64, 0.6),
    ] {
        assert!(doubted(192, unit, ratio).is_some(), "{unit}, {ratio}");
    }
}

/// Half the image may have half the distance, and twice the image twice the distance.
#[test]
fn other_sizes_may_scale_the_range_or_not() {
    assert!(doubted(96, 16, 0.6).is_none(), "7.9 px");
    assert!(doubted(96, 32, 0.6).is_none(), "above 10 px");
    assert!(doubted(96, 8, 0.6).is_some(), "3.7 px");
    assert!(doubted(384, 64, 0.6).is_none(), "32 px");
    assert!(doubted(384, 32, 0.6).is_none(), "16 px");
    assert!(doubted(384, 16, 0.6).is_some(), "7.1 px");
}

/// What is offered is the nearest number that would do, and does.
#[test]
fn offers_are_computed() {
    for (size, unit, ratio) in [(192, 8, 0.6), (192, 64, 0.6), (96, 8, 0.6)] {
        let help = help(size, unit, ratio);
        let number = |name: &str| -> f64 {
            let (_, rest) = help
                .split_once(&format!("a `{name}` of "))
                .expect("offered");
            let word = rest.split(' ').next().expect("a number");
            word.parse().expect("a number")
        };
        let (other_unit, other_ratio) = (number("unit") as usize, number("ratio"));
        assert!(doubted(size, other_unit, ratio).is_none(), "{help}");
        assert!(doubted(size, unit, other_ratio).is_none(), "{help}");
        let between = |n: &usize| n.abs_diff(unit) < other_unit.abs_diff(unit);
        let divisors = (4..=size).filter(|n| size % n == 0 && *n != unit);
        for nearer in divisors.filter(between) {
            assert!(
                doubted(size, nearer, ratio).is_some(),
                "{nearer} for {help}"
            );
        }
    }
}

/// A mask that hides all or nothing is doubted by its own file; one that is fed cannot be drawn.
#[test]
fn masks_without_a_distance_are_passed_over() {
    assert!(doubted(192, 32, 0.0).is_none());
    assert!(doubted(192, 32, 1.0).is_none());
    let given = Recipe::load("tests/fixtures/swin.yaml", &[]);
    let given = given.unwrap_or_else(|errors| panic!("{errors}"));
    let found = doubt(&given, &Library::new(&[]));
    assert!(found.expect("the passes are sound").is_none());
}

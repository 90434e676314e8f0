//! Names of the roots that training adds to a model's own.

use super::ops::Part;

pub const LOSS: &str = "loss";
/// Norm of the whole gradient before clipping.
pub const GRADIENT_NORM: &str = "gradient_norm";

/// The root that holds the next value of a weight's part: `gradient.decoder.0.bias`.
pub fn next(part: Part, weight: &str) -> String {
    format!("{}.{weight}", prefix(part))
}

/// The part and the weight a root holds the next value of.
pub fn parse(root: &str) -> Option<(Part, &str)> {
    let (first, weight) = root.split_once('.')?;
    let part = PARTS.into_iter().find(|&part| prefix(part) == first)?;
    Some((part, weight))
}

/// Belongs to the program that runs once per optimizer step, behind all gradients.
pub fn in_update(root: &str) -> bool {
    root == GRADIENT_NORM || parse(root).is_some_and(|(part, _)| part != Part::Gradient)
}

const PARTS: [Part; 4] = [
    Part::Value,
    Part::Gradient,
    Part::FirstMoment,
    Part::SecondMoment,
];

fn prefix(part: Part) -> &'static str {
    match part {
        Part::Value => "weight",
        Part::Gradient => "gradient",
        Part::FirstMoment => "first_moment",
        Part::SecondMoment => "second_moment",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for part in PARTS {
            let name = next(part, "decoder.0.bias");
            assert_eq!(parse(&name), Some((part, "decoder.0.bias")));
            assert_eq!(in_update(&name), part != Part::Gradient);
        }
        assert!(parse(LOSS).is_none() && !in_update(LOSS) && in_update(GRADIENT_NORM));
    }
}

//! `--sweep PATH=A,B,…`: values of one key, one after the other.

/// Values of a key of the recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// `model.masking.ratio`
    pub path: String,
    /// As `--set` takes them.
    pub values: Vec<String>,
}

/// So many values make a range, its ends included, unless it says.
const VALUES: usize = 9;

/// Reads `model.masking.ratio=0.2,0.4`, `….ratio=0.1..0.9` (nine values) and `….unit=8..64/8` (eight).
pub fn sweep(text: &str) -> Result<Sweep, String> {
    let wanted =
        || "wanted PATH=A,B,… or PATH=A..B, for example model.masking.ratio=0.2,0.4,0.6".to_owned();
    let (path, values) = text.split_once('=').ok_or_else(wanted)?;
    let values = match values.split_once("..") {
        Some((low, rest)) => range(low, rest).ok_or_else(wanted)?,
        None => values
            .split(',')
            .map(|value| value.trim().to_owned())
            .collect(),
    };
    if path.trim().is_empty() || values.iter().any(String::is_empty) {
        return Err(wanted());
    }
    Ok(Sweep {
        path: path.trim().to_owned(),
        values,
    })
}

fn range(low: &str, rest: &str) -> Option<Vec<String>> {
    let (high, count) = match rest.split_once('/') {
        Some((high, count)) => (high, count.trim().parse().ok()?),
        None => (rest, VALUES),
    };
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|x| x.is_finite());
    let (low, high) = (number(low)?, number(high)?);
    let value = |at: usize| low + (high - low) * at as f64 / (count - 1) as f64;
    // Steps of a tenth are not exact in binary: nobody wants to read 0.30000000000000004.
    let shown = |value: f64| format!("{}", (value * 1e6).round() / 1e6);
    (2..=1000)
        .contains(&count)
        .then(|| (0..count).map(value).map(shown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges_are_values() {
        let values = |text: &str| sweep(text).map(|sweep| sweep.values.join(" "));
        assert_eq!(values("a.b=1, 2,x"), Ok("1 2 x".into()));
        assert_eq!(
            values("a=0.1..0.9"),
            Ok("0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9".into())
        );
        assert_eq!(values("a=8..64/8"), Ok("8 16 24 32 40 48 56 64".into()));
        for wrong in [
            "a",
            "=1",
            "a=",
            "a=1,,2",
            "a=1..x",
            "a=1..2/1",
            "a=0..inf",
            "a=1..2/99999",
        ] {
            assert!(values(wrong).is_err(), "{wrong}");
        }
    }
}

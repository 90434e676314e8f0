//! The sizes in a line's words.

pub enum Part<'a> {
    Size(&'a str),
    Other(&'a str),
}

/// Words that a number behind is no size: of an axis, of axes in order.
const NO_SIZE_BEHIND: [&str; 2] = ["axis ", "order "];

/// Cuts words into sizes and what is between them. Numbers that belong to a word or a name (`x0`), count results (`:1`, `×2`)
/// or name axes (`axis 1`, `order 021`) are no sizes.
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let bytes = text.as_bytes();
    let mut parts = Vec::new();
    let (mut at, mut start) = (0, 0);
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let end = end_of_number(bytes, at);
        let before = &text[..at];
        let belongs = |c: char| c.is_alphanumeric() || "_:×#".contains(c);
        let literal =
            before.ends_with(belongs) || NO_SIZE_BEHIND.iter().any(|w| before.ends_with(w));
        if !literal {
            if start < at {
                parts.push(Part::Other(&text[start..at]));
            }
            parts.push(Part::Size(&text[at..end]));
            start = end;
        }
        at = end;
    }
    if start < text.len() {
        parts.push(Part::Other(&text[start..]));
    }
    parts
}

/// Digits, and a fraction where there is one; `1..2` are two numbers.
fn end_of_number(bytes: &[u8], start: usize) -> usize {
    let digits = |from: usize| {
        from + bytes[from..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count()
    };
    let whole = digits(start);
    if bytes.get(whole) == Some(&b'.') && bytes.get(whole + 1).is_some_and(u8::is_ascii_digit) {
        digits(whole + 1)
    } else {
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_from_other_numbers() {
        let sizes = |text| {
            let size = |part| match part {
                Part::Size(size) => Some(size),
                Part::Other(_) => None,
            };
            parts(text).into_iter().filter_map(size).collect::<Vec<_>>()
        };
        assert_eq!(
            sizes("[8, ~48, 0..4, +1+2 order 021] ×3"),
            ["8", "48", "0", "4", "1", "2"]
        );
        assert_eq!(
            sizes("sum[axis 3](x:2, -0.0078125) {t0 = x1·3}"),
            ["0.0078125", "3"]
        );
    }
}

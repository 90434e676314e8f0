//! Whether a command printed what a page shows, on a machine of another speed: numbers count as numbers, whatever they are.

/// `…` stands for any words; all others must be there, one behind the other, however their lines are broken.
pub fn differs(shown: &[String], printed: &str) -> Option<String> {
    let (shown, printed) = (masked(&shown.join("\n")), masked(printed));
    let same = matches(&shown, &printed);
    (!same).then(|| format!("shown:   {shown}\nprinted: {printed}"))
}

fn matches(shown: &str, printed: &str) -> bool {
    let parts: Vec<&str> = shown.split('…').map(str::trim).collect();
    let (first, behind) = parts.split_first().expect("one at least");
    let Some(mut rest) = printed.strip_prefix(first) else {
        return false;
    };
    let Some((last, between)) = behind.split_last() else {
        return rest.is_empty();
    };
    for part in between {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Units that follow a number, which may come out larger or smaller elsewhere.
const UNITS: &[&str] = &[
    "s", "ms", "µs", "ns", "B", "KiB", "MiB", "GiB", "TiB", "FLOP", "KFLOP", "MFLOP", "GFLOP",
    "TFLOP", "PFLOP", "FLOP/s", "MFLOP/s", "GFLOP/s", "TFLOP/s", "MB/s", "GB/s",
];

/// With `#` for every number and its unit, `3m 20s` among them, and single spaces.
fn masked(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = without_digits(word);
        let after_number = words.last().is_some_and(|last| last.ends_with('#'));
        let bare = word.trim_end_matches([',', ':', ';']);
        let is_unit = UNITS.contains(&bare);
        if after_number && is_unit {
            let last = words.last_mut().expect("there is one");
            last.push_str(&word[bare.len()..]);
        } else if !(after_number && word.starts_with('#')) {
            words.push(word);
        } else {
            // Another number: `#m #s` is one duration, and so much as `#s`.
            let last = words.last_mut().expect("there is one");
            last.push_str(word.trim_start_matches('#'));
        }
    }
    words.join(" ")
}

/// Every number of a word as one `#`, with the unit of time that touches it.
fn without_digits(word: &str) -> String {
    let mut text = String::new();
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        let sign = usize::from(matches!(c, '+' | '-'));
        let digits = rest[sign.min(rest.len())..].starts_with(|c: char| c.is_ascii_digit());
        let within = text.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        // `step_000400` counts as well.
        let long = rest.len() > 5 && rest.as_bytes()[..6].iter().all(u8::is_ascii_digit);
        if digits && (!within || long) {
            let number = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | 'e' | '+' | '-');
            let end = rest.find(|c: char| !number(c)).unwrap_or(rest.len());
            let number = rest[..end].trim_end_matches(['.', ',', 'e', '+', '-']);
            rest = &rest[number.len()..];
            text.push('#');
            let letters = rest
                .find(|c: char| !c.is_alphabetic())
                .unwrap_or(rest.len());
            if ["d", "h", "m", "s", "ms", "µs"].contains(&&rest[..letters]) {
                rest = &rest[letters..];
            }
        } else {
            text.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    text
}

#[test]
fn numbers_are_numbers_and_words_are_words() {
    let same = |a: &str, b: &str| differs(&[a.to_owned()], b).is_none();
    assert!(same("time  0.8 s per step", "time  12 ms  per step"));
    assert!(same("24m 57s per step", "3.2 s per step"));
    assert!(same("845d 07h for 100 epochs", "59s for 1 epochs"));
    assert!(same("12.5 MiB, 3 of it", "1.25 GiB, 30 of it"));
    assert!(same("rate 1.00e-3 px", "rate 5 px"));
    assert!(!same("layers.0 is norm1", "layers.0 is norm2"));
    assert!(same("step_000400.png", "step_000004.png"));
    assert!(!same("loss 0.5", "lass 0.5"));
    assert!(!same("a 1", "a 1 b"));
    assert!(!same("a 1", "a b"));
    assert!(same("from …, where 3", "from one place, where 4"));
    assert!(!same("from …, where 3", "from one place, when 4"));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(differs(&lines("a\n…\nd"), "a\nb\nc\nd\n").is_none());
    assert!(differs(&lines("a\n…\nd"), "a\nb\nd\ne\n").is_some());
    assert!(differs(&lines("a\nd"), "a\nb\nd\n").is_some());
    assert!(differs(&lines("a b\nc"), "a\nb c\n").is_none());
}

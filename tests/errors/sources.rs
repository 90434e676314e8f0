//! The table of codes says what the sources say.

use mimc::diagnostic::{CODES, Code, FAILURES};
use std::{collections::BTreeSet, fs};

/// What a code stands behind.
const OPENERS: &[&str] = &[
    "error(",
    "warning(",
    "report(",
    "about(",
    "doubt(",
    "Failure::new(",
    "Self::new(",
];
/// Where a code is the value of a match.
const TABLES: &[&str] = &["elaborate/number.rs", "cli/failure.rs"];

/// Every source but the table itself and tests, with the white space between its tokens made one space.
fn sources() -> Vec<(String, String)> {
    let files = walkdir::WalkDir::new("src").sort_by_file_name().into_iter();
    let paths = files.map(|entry| entry.expect("can be listed").into_path());
    let names = paths.map(|path| path.to_string_lossy().replace('\\', "/"));
    let own = names.filter(|name| {
        let test = name.contains("/tests/") || name.ends_with("/tests.rs");
        name.ends_with(".rs") && !test && !name.ends_with("diagnostic/codes.rs")
    });
    let read = |name: String| {
        let text = fs::read_to_string(&name).expect("a source is text");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let words: Vec<_> = code.split_whitespace().collect();
        (name, words.join(" "))
    };
    own.map(read).collect()
}

fn is_code(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(inside)
}

/// The text literal behind each occurrence of `opener`, if it reads like a code and `closer` follows.
fn behind<'a>(text: &'a str, opener: &'a str, closer: char) -> impl Iterator<Item = &'a str> {
    text.match_indices(opener).filter_map(move |(at, _)| {
        let rest = text[at + opener.len()..].trim_start().strip_prefix('"')?;
        let (literal, rest) = rest.split_once('"')?;
        (is_code(literal) && rest.starts_with(closer)).then_some(literal)
    })
}

#[test]
fn every_code_in_the_sources_is_in_the_table_and_the_other_way_round() {
    let sources = sources();
    let mut said = BTreeSet::new();
    for (name, text) in &sources {
        for opener in OPENERS {
            said.extend(behind(text, opener, ','));
        }
        if TABLES.iter().any(|table| name.ends_with(table)) {
            said.extend(behind(text, "=> ", ','));
        }
    }
    let rows = || CODES.iter().chain(FAILURES);
    let listed: BTreeSet<_> = rows().map(|row: &Code| row.code).collect();
    assert_eq!(listed.len(), rows().count(), "each code once");
    let unlisted: Vec<_> = said.difference(&listed).collect();
    assert!(
        unlisted.is_empty(),
        "not in src/diagnostic/codes.rs: {unlisted:?}"
    );
    let unsaid: Vec<_> = listed.difference(&said).collect();
    assert!(unsaid.is_empty(), "nothing says {unsaid:?}");
}

#[test]
fn meanings_are_sentences() {
    for row in CODES.iter().chain(FAILURES) {
        assert!(is_code(row.code), "{}", row.code);
        assert!(
            row.meaning.ends_with('.') && row.meaning.len() < 120,
            "{}",
            row.code
        );
    }
}

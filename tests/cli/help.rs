//! What a newcomer reads first.

use super::{Desk, TINY};

#[test]
fn help_names_every_verb_and_shows_examples() {
    let help = Desk::new().good(&["--help"]).out;
    for verb in [
        "compile",
        "run",
        "data",
        "verify",
        "bench",
        "inspect",
        "reconstruct",
        "recipes",
        "schema",
        "doctor",
    ] {
        let line = help
            .lines()
            .find(|line| line.trim_start().starts_with(verb));
        let line = line.unwrap_or_else(|| panic!("{verb} in {help}"));
        assert!(line.trim().len() > verb.len() + 10, "{line}");
    }
    assert!(help.contains("Examples:") && help.contains("mimc run swin_b --data"));
    assert!(
        help.lines().all(|line| line.chars().count() <= 80),
        "{help}"
    );
}

#[test]
fn the_version_is_that_of_the_package() {
    let said = Desk::new().good(&["--version"]);
    assert_eq!(said.out, concat!("mimc ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn recipes_are_listed_with_the_first_line_of_their_doc() {
    let desk = Desk::new();
    desk.write(
        "recipes/swin_t.yaml",
        &TINY.replace("Tiny, for", "Mine, for"),
    );
    desk.write("recipes/broken.yaml", "model: [");
    let text = desk.good(&["recipes"]).out;
    let line = |name: &str| {
        let mut lines = text
            .lines()
            .filter(|line| line.starts_with(&format!("{name} ")));
        let line = lines.next().unwrap_or_else(|| panic!("{name} in {text}"));
        assert_eq!(lines.next(), None, "once");
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("tiny"), "recipes/tiny.yaml Tiny, for tests.");
    assert_eq!(line("swin_t"), "recipes/swin_t.yaml Mine, for tests.");
    assert!(line("swin_b").starts_with("built in SimMIM, Swin-B, 192 px"));
    assert!(line("broken").starts_with("recipes/broken.yaml (does not load:"));

    let json = desk.good(&["recipes", "--json"]).json();
    let entry = |name: &str| {
        let entries = json.as_array().expect("a list").iter();
        entries
            .clone()
            .find(|entry| entry["name"] == name)
            .expect("listed")
            .clone()
    };
    assert_eq!(entry("tiny")["path"], "recipes/tiny.yaml");
    assert!(entry("quickstart")["path"].is_null());
}

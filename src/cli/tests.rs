use super::Cli;
use clap::{CommandFactory, Parser};
use std::{fs, path::Path};

/// The README and every page under `docs`: name and text.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = fs::read_dir(root.join("docs")).expect("there are pages");
    let mut paths: Vec<_> = pages
        .map(|page| page.expect("can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .chain([root.join("README.md")])
        .collect();
    paths.sort();
    let read = |path: &Path| fs::read_to_string(path).expect("a page is text");
    let named = paths
        .iter()
        .map(|path| (path.display().to_string(), read(path)));
    named.collect()
}

/// Lines that are there to be typed: of a block of shell, or set in by four spaces.
fn typed(text: &str) -> impl Iterator<Item = &str> {
    let mut shell = None;
    text.lines().filter(move |line| {
        if let Some(language) = line.strip_prefix("```") {
            shell = match shell {
                None => Some(language == "sh"),
                Some(_) => None,
            };
            return false;
        }
        shell.unwrap_or(line.starts_with("    "))
    })
}

/// The words of a command of mimc, up to where its output goes.
fn words(line: &str) -> Option<Vec<String>> {
    let words = shlex::split(line.trim())?;
    let ends = |word: &String| word == ">" || word == "|";
    let words: Vec<String> = words.into_iter().take_while(|word| !ends(word)).collect();
    words
        .first()
        .is_some_and(|first| first == "mimc")
        .then_some(words)
}

#[test]
fn every_command_of_the_documentation_is_one_that_is_taken() {
    let mut commands = 0;
    for (page, text) in pages() {
        for words in typed(&text).filter_map(words) {
            commands += 1;
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("{page}: {}\n{error}", words.join(" "));
            }
        }
    }
    assert!(commands > 20, "the documentation has {commands} commands");
}

#[test]
fn every_verb_that_is_spoken_of_is_there() {
    let cli = Cli::command();
    let mut verbs = 0;
    for (page, text) in pages() {
        for rest in text.split("`mimc ").skip(1) {
            let verb: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
            verbs += usize::from(!verb.is_empty());
            let known = verb.is_empty() || cli.find_subcommand(&verb).is_some();
            assert!(known, "{page}: mimc has no verb {verb}");
        }
    }
    assert!(verbs > 30, "the documentation speaks of {verbs} verbs");
}

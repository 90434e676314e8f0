use super::Cli;
use clap::{CommandFactory, Parser, error::ErrorKind};
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

/// Commands that are spoken of: what stands in backquotes outside of blocks, which `tests/docs` runs.
fn spoken_of(text: &str) -> Vec<Vec<String>> {
    let mut inside = false;
    let prose = text.lines().filter(|line| {
        let fence = line.starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    let prose = prose.collect::<Vec<_>>().join(" ");
    let spans = prose.split('`').skip(1).step_by(2);
    let commands = spans.filter(|span| span.starts_with("mimc "));
    let words = |span| shlex::split(span).expect("its quotes end");
    commands.map(words).collect()
}

#[test]
fn every_command_that_is_spoken_of_is_one_that_is_taken() {
    let mut commands = 0;
    for (page, text) in pages() {
        for words in spoken_of(&text) {
            commands += 1;
            // `mimc compile --json` stands for whatever is compiled.
            if let Err(error) = Cli::try_parse_from(&words)
                && error.use_stderr()
                && error.kind() != ErrorKind::MissingRequiredArgument
            {
                panic!("{page}: {}\n{error}", words.join(" "));
            }
        }
    }
    assert!(
        commands > 30,
        "the documentation speaks of {commands} commands"
    );
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

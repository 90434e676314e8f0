//! The commands of a block, and what it shows that they print.

use super::page::Block;

/// A command with what stands below it.
pub struct Step {
    /// Of the page, from 1.
    pub line: usize,
    /// Without the comment behind it; several lines as one.
    pub command: String,
    /// What it prints, where the block shows that.
    pub printed: Option<Vec<String>>,
}

/// What is to be typed: each line of a block of `sh`; behind a `$` in one of `console`, where what it prints follows.
pub fn steps(block: &Block) -> Vec<Step> {
    let console = match block.language.as_str() {
        "sh" => false,
        "console" => true,
        _ => return Vec::new(),
    };
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for (at, line) in block.text.lines().enumerate() {
        let typed = match console {
            true if goes_on => Some(line),
            true => line.strip_prefix("$ "),
            false => Some(line),
        };
        let Some(typed) = typed else {
            let step = steps.last_mut().expect("a console begins with a command");
            let printed = step.printed.get_or_insert_default();
            printed.push(line.to_owned());
            continue;
        };
        let (part, more) = match typed.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (without_comment(typed), false),
        };
        let part = part.trim();
        match steps.last_mut().filter(|_| goes_on) {
            Some(step) => step.command += &format!(" {part}"),
            None if part.is_empty() => {}
            None => steps.push(Step {
                line: block.line + at,
                command: part.to_owned(),
                printed: None,
            }),
        }
        goes_on = more;
    }
    steps
}

/// A `#` behind a space begins a comment, unless it stands in quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => return &line[..at],
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
        before = c;
    }
    line
}

#[test]
fn commands_are_found_as_a_shell_finds_them() {
    let block = |language: &str, text: &str| Block {
        language: language.into(),
        line: 1,
        text: text.into(),
        saved_as: None,
        changes: None,
    };
    let found = |block: &Block| -> Vec<(usize, String, Option<Vec<String>>)> {
        let steps = steps(block).into_iter();
        steps.map(|s| (s.line, s.command, s.printed)).collect()
    };
    let typed = block("sh", "a 'x # y' # why\n\n# alone\nb --c \\\n  --d e\n");
    let expected = [
        (1, "a 'x # y'".to_owned(), None),
        (4, "b --c --d e".to_owned(), None),
    ];
    assert_eq!(found(&typed), expected);
    let shown = block("console", "$ a\none\n\ntwo\n$ b\n");
    let lines = ["one", "", "two"].map(str::to_owned).to_vec();
    let expected = [(1, "a".to_owned(), Some(lines)), (5, "b".to_owned(), None)];
    assert_eq!(found(&shown), expected);
    assert!(found(&block("yaml", "a\n")).is_empty());
}

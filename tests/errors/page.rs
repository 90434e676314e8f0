//! `docs/errors.md`, made from the cases.

use super::Case;
use mimc::diagnostic::{CODES, Code, FAILURES};
use std::{env, fs};

const PAGE: &str = "docs/errors.md";

const HEAD: &str = "\
# Errors and warnings

Every message about a recipe or a graph file has a code. Under each stands what it means, a file that brings it about, and what
mimc says of it. A first line `# mimc compile …` tells how it is compiled, where `this` is the file; a graph file is the model of
`tests/errors/smallest.yaml`. All of these files, and more, are under `tests/errors`; this page is made from them by

```sh
MIMC_UPDATE=1 cargo test --release --test errors
```

Mistakes that have nothing to do with one another are told together, in the order of their places; what only follows from
another is not told. Errors end a command with exit code 1. Warnings end nothing; `mimc compile --json` lists them under
`warnings`.
";

const FAILED: &str = "\
## Other failures

These have no place in a file. The message says what to do.

| code | |
|---|---|
";

fn page() -> String {
    let cases = Case::all();
    let mut text = HEAD.to_owned();
    for row in CODES {
        text += &section(row, &cases);
    }
    text += &format!("\n{FAILED}");
    for Code { code, meaning } in FAILURES {
        text += &format!("| `{code}` | {meaning} |\n");
    }
    text
}

fn section(row: &Code, cases: &[Case]) -> String {
    let Code { code, meaning } = row;
    let of_code = |case: &&Case| case.code().is_some_and(|of| of.code == *code);
    let mut own = cases.iter().filter(of_code);
    let plain = own.clone().find(|case| case.name == *code);
    let case = plain.or_else(|| own.next()).expect("every code has a case");
    let (input, told) = (case.text(), case.told());
    let input = input.trim_end();
    format!("\n## {code}\n\n{meaning}\n\n```yaml\n{input}\n```\n\n```text\n{told}```\n")
}

#[test]
fn the_page_is_made_from_the_cases() {
    let page = page();
    if env::var_os("MIMC_UPDATE").is_some() {
        fs::write(PAGE, &page).expect("the page can be written");
    }
    let written = fs::read_to_string(PAGE).unwrap_or_default();
    let differs = written.lines().zip(page.lines()).position(|(a, b)| a != b);
    assert!(
        written == page,
        "{PAGE} is not what the cases make it, from line {}: run this test with MIMC_UPDATE=1",
        differs.map_or(0, |line| line + 1)
    );
}

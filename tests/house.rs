//! The house rules of docs/architecture.md that are about what the sources do not say.

use std::path::{Path, PathBuf};

/// Every Rust file under a folder of `src`, with its text up to its tests.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src")
        .join(folder);
    if root.is_file() {
        return vec![(root.clone(), code(&root))];
    }
    let mut files: Vec<(PathBuf, String)> = walkdir::WalkDir::new(&root)
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.expect("the sources can be listed").into_path())
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .map(|path| (path.clone(), code(&path)))
        .collect();
    assert!(!files.is_empty(), "{} holds no sources", root.display());
    let tests = |path: &Path| {
        path.components()
            .any(|c| c.as_os_str() == "tests" || c.as_os_str() == "tests.rs")
    };
    files.retain(|(path, _)| !tests(path));
    files
}

fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("a source file is text");
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..end].to_string()
}

/// No file under `folders` holds one of `words` as a whole word (in code; comments may speak of anything).
fn assert_absent(folders: &[&str], words: &[&str]) {
    let mut found = Vec::new();
    for (path, text) in folders.iter().flat_map(|folder| sources(folder)) {
        for (number, line) in text.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            let said = line
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|word| words.contains(&word));
            if said {
                found.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(
        found.is_empty(),
        "{words:?} must not be named here:\n{}",
        found.join("\n")
    );
}

#[test]
fn language_recipe_plan_and_kernels_do_not_name_luminal() {
    assert_absent(
        &[
            "language",
            "recipe",
            "recipe.rs",
            "plan",
            "backend/cpu",
            "backend/cuda",
            "data",
            "train",
        ],
        &["luminal"],
    );
}

#[test]
fn passes_do_not_name_a_backend() {
    assert_absent(
        &["passes", "gradient", "ir"],
        &["backend", "cpu", "cuda", "reference"],
    );
}

#[test]
fn sources_do_not_name_models() {
    assert_absent(&[""], &["swin", "vit", "simmim", "Swin", "ViT", "SimMIM"]);
}

#[test]
fn only_the_rewriter_changes_a_graph() {
    let calls = [
        "add_node",
        "add_edge",
        "remove_node",
        "remove_edge",
        "add_op",
        "node_weight_mut",
        "edge_weight_mut",
    ];
    let others: Vec<String> = sources("")
        .into_iter()
        .filter(|(path, _)| !path.to_string_lossy().contains("ir/rewrite"))
        .flat_map(|(path, text)| {
            let named = calls
                .iter()
                .filter(move |call| text.contains(&format!(".{call}(")));
            named
                .map(move |call| format!("{}: {call}", path.display()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(
        others.is_empty(),
        "graphs change in ir/rewrite alone:\n{}",
        others.join("\n")
    );
}

#[test]
fn training_writes_through_its_disk() {
    let calls = [
        "fs::write(",
        "fs::rename(",
        "fs::remove_file(",
        "fs::create_dir",
        "File::create(",
        "OpenOptions::new(",
    ];
    let own = ["disk.rs", "claim.rs"];
    let mut others = Vec::new();
    for (path, text) in sources("train") {
        let named = own.iter().any(|own| path.ends_with(own));
        let calls = calls.iter().filter(|call| !named && text.contains(*call));
        others.extend(calls.map(|call| format!("{}: {call}", path.display())));
    }
    assert!(
        others.is_empty(),
        "files change through a Disk alone, but for the lock:\n{}",
        others.join("\n")
    );
}

#[test]
fn times_are_measured_by_a_clock_that_is_never_set() {
    let others: Vec<_> = sources("")
        .into_iter()
        .filter(|(path, text)| {
            // The lock tells when a run began; TensorBoard's format and the manifest of a run want dates.
            let told = path.ends_with("claim.rs") || path.ends_with("cli/clock.rs");
            text.contains("SystemTime") && !told
        })
        .map(|(path, _)| path)
        .collect();
    assert!(
        others.is_empty(),
        "`SystemTime` jumps when a clock is set; take `Instant`: {others:?}"
    );
}

/// The sources of the library: all but the command line.
fn library() -> impl Iterator<Item = (PathBuf, String)> {
    let own = |path: &Path| path.ends_with("src/main.rs") || path.iter().any(|part| part == "cli");
    sources("").into_iter().filter(move |(path, _)| !own(path))
}

#[test]
fn the_library_neither_prints_nor_ends_the_program() {
    let calls = [
        "print!(",
        "println!(",
        "eprint!(",
        "eprintln!(",
        "dbg!(",
        "stdout()",
        "stderr()",
        "exit(",
        "abort(",
    ];
    let mut found = Vec::new();
    for (path, text) in library() {
        for (number, line) in text.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            if calls.iter().any(|call| line.contains(call)) {
                found.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(
        found.is_empty(),
        "only `src/cli` may:\n{}",
        found.join("\n")
    );
}

#[test]
fn every_expect_says_why() {
    let (mut found, mut seen) = (Vec::new(), 0);
    for (path, text) in library() {
        for after in text.split(".expect(").skip(1) {
            // A message of the language's own parser is no claim: its `expect` takes a token.
            let Some(message) = after.trim_start().strip_prefix('"') else {
                continue;
            };
            let message = message.split('"').next().unwrap_or_default();
            seen += 1;
            if message.split_whitespace().count() < 3 && !path.ends_with("expression/parser.rs") {
                found.push(format!("{}: {message}", path.display()));
            }
        }
    }
    assert!(seen > 50, "{seen}");
    assert!(
        found.is_empty(),
        "no reason why it cannot fail:\n{}",
        found.join("\n")
    );
}

/// Another dependency of the tests asks clap for this too, so no test of the program itself would miss it.
#[test]
fn help_is_broken_into_lines_in_what_is_installed() {
    let manifest = include_str!("../Cargo.toml");
    let clap = manifest.lines().find(|line| line.starts_with("clap = "));
    assert!(
        clap.is_some_and(|clap| clap.contains("\"wrap_help\"")),
        "{clap:?}"
    );
}

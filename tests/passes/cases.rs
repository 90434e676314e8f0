//! Cases: one file each under `tests/passes/cases/<pass>/`. A graph in mimc's own language, and below it, as comments, what the
//! pass does to its listing. `INSTA_UPDATE=always` writes that part anew.
//!
//! A comment `# behind: gradient, fold constants` names what runs first.

use crate::{
    stage::{self, Stage},
    values,
};
use mimc::{
    diagnostic::SourceFile,
    elaborate::{Setting, elaborate_alone},
    ir::{Graph, Kind, kind, meta, ops, print::print, verify::verify},
    language::{graph_file, library::Library},
};
use similar::{ChangeTag, TextDiff};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Starts the part that is written by the test.
const MARK: &str = "# What the pass does: - goes, + comes.";
const BEHIND: &str = "# behind: ";
const BATCH: usize = 2;

#[test]
fn every_pass_has_a_case() {
    let missing: Vec<String> = (Stage::all().iter())
        .filter(|stage| files(stage).is_empty())
        .map(|stage| {
            let folder = stage.folder();
            format!(
                "`{}` has no case: put a graph file that shows what it does into {}, and run the test with INSTA_UPDATE=always",
                stage.name(),
                folder.display()
            )
        })
        .collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    let folders: Vec<PathBuf> = Stage::all().iter().map(Stage::folder).collect();
    for entry in fs::read_dir(stage::CASES).expect("the folder of cases is there") {
        let path = entry.expect("the folder of cases can be listed").path();
        assert!(
            folders.contains(&path),
            "{} belongs to no pass of the lists",
            path.display()
        );
    }
}

/// The listing is as the file says; the graph is legal; and every output has the values it had before.
#[test]
fn every_case_is_as_its_file_says() {
    let (mut cases, mut failed) = (0, Vec::new());
    for stage in Stage::all() {
        for file in files(&stage) {
            cases += 1;
            if let Err(why) = check(&stage, &file) {
                failed.push(format!("{}\n{why}", file.display()));
            }
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {cases} cases:\n\n{}\nINSTA_UPDATE=always takes listings over as they are; read the diff.",
        failed.len(),
        failed.join("\n")
    );
}

/// The cases of a stage, sorted by name.
fn files(stage: &Stage) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(stage.folder()) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn check(stage: &Stage, path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let (source, expected) = text.split_once(MARK).unwrap_or((&text, ""));
    let mut graph = elaborated(path, source)?;
    let behind = source.lines().find_map(|line| line.strip_prefix(BEHIND));
    for name in behind.into_iter().flat_map(|names| names.split(", ")) {
        Stage::named(name)?.run(&mut graph);
    }
    verify(&graph).map_err(|violation| format!("the graph before: {violation}"))?;
    let before = (listing(&graph), values::all(&graph));
    let copy = mimc::ir::copy::copy(&graph);
    stage.run(&mut graph);
    verify(&graph).map_err(|violation| format!("{violation}\n{}", print(&graph)))?;
    let after = (listing(&graph), values::all(&graph));
    values::same(&before.1, &after.1, stage.tolerance())
        .and_then(|()| match stage {
            Stage::Gradient => values::slopes(&copy, &after.1),
            Stage::Pass(_) => Ok(()),
        })
        .map_err(|why| format!("{why}\n{}", after.0))?;

    let found = change(&before.0, &after.0);
    if found == expected.trim_start_matches('\n') {
        return Ok(());
    }
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        let text = format!("{}\n\n{MARK}\n{found}", source.trim_end());
        return fs::write(path, text).map_err(|e| e.to_string());
    }
    let diff = TextDiff::from_lines(expected.trim_start_matches('\n'), &found);
    Err(diff
        .unified_diff()
        .header("as the file says", "as it is")
        .to_string())
}

fn elaborated(path: &Path, source: &str) -> Result<Graph, String> {
    let name = path.file_stem().and_then(|stem| stem.to_str());
    let file = SourceFile::new(path.display().to_string(), source);
    let file = graph_file::parse(&file, name.unwrap_or("case")).map_err(|e| e.to_string())?;
    // The size of images is nothing a case asks for.
    let setting = Setting::training(BATCH, 1);
    let model = elaborate_alone(&Library::new(&[]), &file, &setting);
    model.map(|model| model.graph).map_err(|e| e.to_string())
}

/// The graph's listing, and the outputs that are leaves or numbers: no line of a node names those.
fn listing(graph: &Graph) -> String {
    let mut text = print(graph);
    for root in &meta(graph).roots {
        let what = match kind(graph, root.node) {
            Kind::Constant(x) => x.to_string(),
            Kind::Own(own) => match own.get::<ops::Input>() {
                Some(input) => ops::Op::label(input),
                None => continue,
            },
            _ => continue,
        };
        text += &format!("{what} → {}\n", root.name);
    }
    text
}

/// Both listings as one, in comments.
fn change(before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let line = |change: similar::Change<&str>| {
        let mark = match change.tag() {
            ChangeTag::Equal => ' ',
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
        };
        format!("# {mark} {}", change.value())
    };
    diff.iter_all_changes().map(line).collect()
}

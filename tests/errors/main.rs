//! Every mistake in a recipe or a graph file, as it is told.
//!
//! A case is a file: a recipe in `recipes`, or in `graphs` a graph that stands in the recipe `smallest.yaml` as its model.
//! It is named by its code and perhaps a variant: `tab`, `wrong-type-nan`, `wrong_type__condition`. `several` are cases of
//! more than one mistake. A recipe whose first line reads `# mimc compile this --set …` is compiled like that.

mod huge;
mod page;
mod sources;

use mimc::{
    compile::{CompileError, Options, compile, load},
    diagnostic::{CODES, Code, Diagnostics},
    language::library::Library,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

const FOLDER: &str = "tests/errors";
/// Stands in place of the code for cases of more than one mistake.
const SEVERAL: &str = "several";

struct Case {
    /// From the root of the repository, with `/`.
    path: String,
    /// `wrong-type-nan`
    name: String,
    is_graph: bool,
}

impl Case {
    fn new(path: &Path) -> Self {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let stem = stem.expect("the names of cases are ASCII");
        let kind = path.parent().and_then(|folder| folder.file_name());
        let is_graph = kind.is_some_and(|kind| kind == "graphs");
        let kind = if is_graph { "graphs" } else { "recipes" };
        Case {
            path: format!("{FOLDER}/{kind}/{stem}.yaml"),
            name: stem.replace("__", "-").replace('_', "-"),
            is_graph,
        }
    }

    /// All of them, recipes first, each kind by name.
    fn all() -> Vec<Self> {
        let of_kind = |kind: &str| {
            let files = fs::read_dir(Path::new(FOLDER).join(kind)).expect("a folder of cases");
            let paths = files.map(|file| file.expect("can be listed").path());
            let mut paths: Vec<PathBuf> = paths.filter(|path| !is_part(path)).collect();
            paths.sort();
            paths
        };
        let paths = [of_kind("recipes"), of_kind("graphs")].concat();
        paths.iter().map(|path| Case::new(path)).collect()
    }

    /// The code it is a case of: the longest that its name starts with.
    fn code(&self) -> Option<&'static Code> {
        let begins = |code: &&Code| {
            let rest = self.name.strip_prefix(code.code);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let codes = CODES.iter().filter(begins);
        codes.max_by_key(|code| code.code.len())
    }

    fn text(&self) -> String {
        let bytes = fs::read(&self.path).expect("a case can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What is wrong with it.
    fn found(&self) -> Diagnostics {
        let text = self.text();
        let written = text
            .lines()
            .next()
            .and_then(|l| l.strip_prefix("# mimc compile "));
        let mut words = written.unwrap_or("this").split(' ');
        let recipe = match words.next() {
            _ if self.is_graph => "tests/errors/smallest.yaml",
            Some("this") | None => &self.path,
            Some(other) => other,
        };
        let mut sets: Vec<_> = words.filter(|w| *w != "--set").map(str::to_owned).collect();
        if self.is_graph {
            let stem = Path::new(&self.path).file_stem().and_then(|s| s.to_str());
            sets.push(format!(
                "model.graph={}",
                stem.expect("the names of cases are ASCII")
            ));
        }
        let library = Library::new(&[Path::new(FOLDER).join("graphs")]);
        let options = Options {
            micro_batch: Some(1),
            ..Options::default()
        };
        let compiled = load(recipe, &sets, &library).map_err(CompileError::from);
        match compiled.and_then(|recipe| compile(&recipe, &library, &options)) {
            Ok(program) => match program.check_fed() {
                Ok(()) => Diagnostics(program.warnings),
                Err(errors) => errors,
            },
            Err(CompileError::Recipe(errors)) => errors,
            Err(other) => panic!("{}: {other}", self.path),
        }
    }

    /// As a user reads it.
    fn told(&self) -> String {
        self.found().render(false)
    }
}

/// A graph that cases call and that is none itself.
fn is_part(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('_'))
}

#[test]
fn mistakes_in_recipes() {
    insta::glob!("recipes/*.yaml", |path| {
        insta::assert_snapshot!(Case::new(path).told());
    });
}

#[test]
fn mistakes_in_graph_files() {
    insta::glob!("graphs/[!_]*.yaml", |path| {
        insta::assert_snapshot!(Case::new(path).told());
    });
}

/// A case brings about one message of its code, and `several` more than one.
#[test]
fn every_case_is_one_of_its_code() {
    let wrong = Case::all().into_iter().filter_map(|case| {
        let found = case.found().0;
        let codes: Vec<_> = found.iter().map(|one| one.code).collect();
        let right = match case.code() {
            Some(own) => codes == [own.code] || case.name == "unused",
            None => case.name.starts_with(SEVERAL) && codes.len() > 1,
        };
        (!right).then(|| format!("{}: {codes:?}", case.path))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_case() {
    let cases = Case::all();
    let has_case = |code: &&Code| {
        let mut own = cases.iter().filter_map(Case::code);
        own.any(|of| of.code == code.code)
    };
    let without: Vec<_> = CODES.iter().filter(|code| !has_case(code)).collect();
    assert!(without.is_empty(), "without a case: {without:?}");
}

/// Three mistakes that have nothing to do with one another are told at once; what only follows from one is not.
#[test]
fn independent_mistakes_are_told_together_and_in_order() {
    let codes = |case: &str| {
        let found = Case::new(&Path::new(FOLDER).join(case)).found();
        let lines = found.0.iter().map(|one| {
            let span = one.span.as_ref().expect("each has a place");
            (one.code, span.position().line)
        });
        lines.collect::<Vec<_>>()
    };
    assert_eq!(
        codes("recipes/several-sections.yaml"),
        [("unknown-param", 4), ("wrong-type", 7), ("out-of-range", 8)]
    );
    assert_eq!(
        codes("recipes/several-follow.yaml"),
        [("wrong-type", 8), ("keys-disagree", 8)]
    );
    assert_eq!(
        codes("graphs/several__steps.yaml"),
        [("does-not-divide", 4), ("shapes-differ", 5)]
    );
}

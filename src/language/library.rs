//! Where graph files come from: folders on disk first, then those built into the binary.

use super::{
    expression::ExprKind,
    graph_file::{self, GraphFile, ParamKind},
    names::BUILTINS,
    yaml,
};
use crate::diagnostic::{Diagnostic, Result, SourceFile, nearest};
use include_dir::{Dir, include_dir};
use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Unknown calls of a file that are reported; each is compared with every name there is.
const ENOUGH: usize = 20;

static BUILT_IN: Dir = include_dir!("$CARGO_MANIFEST_DIR/graphs");

/// Graph files by name, each parsed once: `swin.block` is `swin/block.yaml` in the first folder that has it.
///
/// ```
/// use mimc::Library;
///
/// let folder = tempfile::tempdir()?;
/// let text = "
/// doc: Twice as much.
/// inputs:  { x: [..., dim] }
/// steps:   { y: 2 * x }
/// outputs: { y: [..., dim] }
/// ";
/// std::fs::write(folder.path().join("twice.yaml"), text)?;
///
/// let library = Library::new(&[folder.path().to_owned()]);
/// assert_eq!(library.get("twice").unwrap().doc, "Twice as much.");
/// assert!(library.get("mask.random").is_ok());
/// let error = library.get("mask.randm").unwrap_err();
/// assert!(error.to_string().contains("did you mean `mask.random`?"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Library {
    roots: Vec<PathBuf>,
    names: BTreeSet<String>,
    parsed: Mutex<HashMap<String, Result<Arc<GraphFile>>>>,
}

impl Library {
    /// The graphs under the given folders, which may be absent, and those built in.
    pub fn new(roots: &[PathBuf]) -> Self {
        let mut names = BTreeSet::new();
        for root in roots {
            let files = walkdir::WalkDir::new(root)
                .into_iter()
                .filter_map(|entry| entry.ok());
            names.extend(files.filter_map(|entry| name_of(entry.path().strip_prefix(root).ok()?)));
        }
        collect_built_in(&BUILT_IN, &mut names);
        Library {
            roots: roots.to_vec(),
            names,
            parsed: Mutex::default(),
        }
    }

    /// The names of all graphs, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The graph of a name.
    ///
    /// # Errors
    /// A name that no file has, an unreadable file, and every mistake in the file that shows without elaboration.
    pub fn get(&self, name: &str) -> Result<Arc<GraphFile>> {
        // A panic elsewhere cannot leave a half-written entry, so a poisoned lock is still good.
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = parsed.get(name) {
            return known.clone();
        }
        let graph = self.load(name);
        parsed.insert(name.to_owned(), graph.clone());
        graph
    }

    /// The sound graphs that were asked for so far, by name.
    pub fn loaded(&self) -> Vec<Arc<GraphFile>> {
        let parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut graphs: Vec<_> = parsed.values().filter_map(|one| one.clone().ok()).collect();
        graphs.sort_by(|a, b| a.name.cmp(&b.name));
        graphs
    }

    fn load(&self, name: &str) -> Result<Arc<GraphFile>> {
        if !self.names.contains(name) {
            return Err(self.unknown(name, []).into());
        }
        let source = self.source(name)?;
        graph_file::parse_with(&source, name, |graph| self.unknown_calls(graph)).map(Arc::new)
    }

    fn source(&self, name: &str) -> Result<Arc<SourceFile>> {
        let file = name.replace('.', "/") + ".yaml";
        for root in &self.roots {
            let path = root.join(&file);
            if path.is_file() {
                let shown = path.display().to_string();
                return yaml::read(&path, shown.strip_prefix("./").unwrap_or(&shown));
            }
        }
        let text = BUILT_IN
            .get_file(&file)
            .and_then(|file| file.contents_utf8());
        match text {
            Some(text) => Ok(SourceFile::new(format!("graphs/{file}"), text)),
            // The file was there when the folders were listed.
            None => Err(self.unknown(name, []).into()),
        }
    }

    /// Calls of what is neither a built-in, nor a param, nor a graph, whether an option reaches them or not.
    fn unknown_calls(&self, graph: &GraphFile) -> Vec<Diagnostic> {
        let of_kind_graph = graph
            .params
            .iter()
            .filter(|param| param.kind == ParamKind::Graph);
        let params: Vec<_> = of_kind_graph
            .map(|param| param.name.value.as_str())
            .collect();
        let mut found = Vec::new();
        for expr in graph.exprs() {
            if found.len() >= ENOUGH {
                break;
            }
            expr.walk(&mut |part| {
                if let ExprKind::Call { function, .. } = &part.kind {
                    let name = function.value.as_str();
                    let known = BUILTINS.contains(&name) || params.contains(&name);
                    if !known && !self.names.contains(name) && found.len() < ENOUGH {
                        let callable = params.iter().chain(BUILTINS).copied();
                        found.push(self.unknown(name, callable).at(&function.span));
                    }
                }
            });
        }
        found
    }

    fn unknown<'a>(&'a self, name: &str, also: impl IntoIterator<Item = &'a str>) -> Diagnostic {
        let known = self.names().chain(also);
        let error = Diagnostic::error("unknown-graph", format!("there is no graph `{name}`"));
        match nearest(name, known) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error.help(format!(
                "{name} would be graphs/{}.yaml",
                name.replace('.', "/")
            )),
        }
    }
}

/// `swin.block` for `swin/block.yaml`; nothing for any other kind of file.
fn name_of(path: &Path) -> Option<String> {
    let stem = path.to_str()?.strip_suffix(".yaml")?;
    let part = |part: &str| {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
        part.chars().all(inside) && part.starts_with(|c: char| !c.is_ascii_digit())
    };
    let parts: Vec<_> = stem.split(['/', '\\']).collect();
    parts.iter().all(|one| part(one)).then(|| parts.join("."))
}

fn collect_built_in(dir: &Dir, names: &mut BTreeSet<String>) {
    names.extend(dir.files().filter_map(|file| name_of(file.path())));
    dir.dirs().for_each(|dir| collect_built_in(dir, names));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_graph_parses() {
        let library = Library::new(&[]);
        assert!(library.names().count() >= 20);
        for name in library.names() {
            let graph = library.get(name).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(graph.name, name);
            assert!(!graph.doc.is_empty(), "{name} has no doc");
        }
    }
}

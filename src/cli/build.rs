//! What `mimc compile` leaves behind, and the record by which `mimc run` finds it again.
//!
//! ```text
//! build/swin_b/recipe.yaml    the resolved recipe
//! build/swin_b/graph.txt      behind elaboration; gradient.txt, fused.txt and plan.txt follow
//! build/swin_b/report.html    the same to look at
//! build/machine.json          how fast this machine is: pace.rs
//! build/last.json             what was compiled last in this directory, and from which texts
//! ```

use super::{
    failure::Failure,
    job::{Compiled, Job},
    pace,
};
use mimc::{
    backend::{self, cuda::Target},
    diagnostic::SourceFile,
    export::report,
    pace::Pace,
    recipe::Recipe,
    summary::Summary,
    train::{disk::RealDisk, replace::replace},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

pub const FOLDER: &str = "build";
const LAST: &str = "build/last.json";
const RECIPE: &str = "recipe.yaml";
const REPORT: &str = "report.html";

/// What was left.
pub struct Written {
    /// Names in the folder.
    pub files: Vec<&'static str>,
    /// What is to be told of the program.
    pub summary: Summary,
    /// The page to look at, in the folder or elsewhere.
    pub report: PathBuf,
}

/// The job compiled last in this directory.
#[derive(Debug, Serialize, Deserialize)]
pub struct Last {
    pub job: Job,
    pub name: String,
    pub folder: PathBuf,
    /// The GPU for which its report shows kernels.
    pub target: Option<Target>,
    /// Fingerprints of the recipe and the graph files, by their shown paths.
    sources: BTreeMap<String, u64>,
}

/// `build/<recipe name>`
pub fn default_folder(recipe: &Recipe) -> PathBuf {
    Path::new(FOLDER).join(&recipe.name)
}

/// Writes the resolved recipe, the listings and the report, and records the job. The report can go elsewhere, and shows
/// kernels in CUDA where a GPU is named.
pub fn write(
    job: &Job,
    compiled: &Compiled,
    folder: &Path,
    report: Option<&Path>,
    target: Option<Target>,
) -> Result<Written, Failure> {
    let recipe = compiled.recipe.to_yaml();
    let listings = compiled.program.listings.as_ref();
    let listings = listings.expect("a whole compilation lists the program");
    let summary = summary(compiled)?;
    let mut files = vec![
        (RECIPE, &recipe),
        ("graph.txt", &listings.graph),
        ("gradient.txt", &listings.gradient),
        ("fused.txt", &listings.fused),
        ("plan.txt", &listings.plan),
    ];
    let page = page(compiled, &summary.0, summary.1.as_ref(), target);
    let path = match report {
        Some(elsewhere) => {
            write_file(elsewhere, &page)?;
            elsewhere.to_owned()
        }
        None => {
            files.push((REPORT, &page));
            folder.join(REPORT)
        }
    };
    for (name, text) in &files {
        write_file(&folder.join(name), text)?;
    }
    let last = Last {
        job: job.clone(),
        name: compiled.recipe.name.clone(),
        folder: folder.to_owned(),
        target,
        sources: sources(compiled),
    };
    let record = serde_json::to_string_pretty(&last);
    let record = record.map_err(|error| Failure::new("file", error, None))?;
    write_file(Path::new(LAST), &(record + "\n"))?;
    Ok(Written {
        files: files.into_iter().map(|(name, _)| name).collect(),
        summary: summary.0,
        report: path,
    })
}

fn summary(compiled: &Compiled) -> Result<(Summary, Option<Pace>), Failure> {
    let pace = pace::pace_kept(compiled.backend)?;
    let summary = Summary::new(
        &compiled.recipe,
        &compiled.program,
        compiled.backend.name(),
        compiled.seconds,
        pace.as_ref(),
    );
    Ok((summary, pace))
}

fn page(
    compiled: &Compiled,
    summary: &Summary,
    pace: Option<&Pace>,
    target: Option<Target>,
) -> String {
    let anatomy = compiled.program.anatomy.as_ref();
    report::program(&report::Compiled {
        recipe: &compiled.recipe,
        program: &compiled.program,
        anatomy: anatomy.expect("a whole compilation tells what its kernels are made of"),
        summary,
        pace,
        target,
    })
}

/// The job compiled last in this directory, if any was.
pub fn last() -> Result<Option<Last>, Failure> {
    let path = Path::new(LAST);
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::file("read", path, &error)),
        Ok(text) => text,
    };
    let damaged = |how: String| {
        let message = format!("{LAST} is damaged: {how}");
        let help = "compile again, or name the recipe: mimc run RECIPE";
        Failure::new("file", message, Some(help.into()))
    };
    let last: Last = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    let name = &last.job.backend;
    match name == backend::AUTO || backend::named(name).is_some() {
        true => Ok(Some(last)),
        false => Err(damaged(format!("there is no backend `{name}`"))),
    }
}

impl Last {
    /// The texts that are not what they were when this was compiled.
    pub fn changed(&self, compiled: &Compiled) -> Vec<String> {
        let now = sources(compiled);
        let paths = now.keys().chain(self.sources.keys());
        let mut changed: Vec<_> = paths
            .filter(|path| now.get(*path) != self.sources.get(*path))
            .cloned()
            .collect();
        changed.sort();
        changed.dedup();
        changed
    }

    /// The job on the resolved recipe, for when the source is gone.
    pub fn resolved(&self) -> Result<Recipe, Failure> {
        let path = self.folder.join(RECIPE);
        let text =
            fs::read_to_string(&path).map_err(|error| Failure::file("read", &path, &error))?;
        let file = SourceFile::new(path.display().to_string(), text);
        Ok(Recipe::parse(&file, &self.name, &[])?)
    }
}

fn sources(compiled: &Compiled) -> BTreeMap<String, u64> {
    let recipe = &compiled.recipe.model.span.file;
    let graphs = compiled.library.loaded();
    let graphs = graphs.iter().map(|graph| &graph.span.file);
    let files = graphs.chain([recipe]);
    files
        .map(|file| (file.path.clone(), fingerprint(&file.text)))
        .collect()
}

fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let written = fs::create_dir_all(folder)
        .and_then(|()| replace(&RealDisk, path, |file| file.write_all(text.as_bytes())));
    written.map_err(|error| Failure::file("write", path, &error))
}

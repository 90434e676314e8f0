//! The command line as a user meets it: the program itself, in a folder of its own.

mod bench;
mod compile;
mod data;
mod diff;
mod errors;
mod explain;
mod help;
mod inspect;
mod lasting;
mod manner;
mod masks;
mod new;
mod reconstruct;
mod run;
mod run_folder;
mod run_images;
mod verify;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A recipe that compiles and trains in a moment.
const TINY: &str = "\
doc: Tiny, for tests.
model:
  graph: simmim
  encoder: { graph: vit.encoder, dim: 24, depth: 2, heads: 3, patch: 8 }
  masking: { graph: mask.random, unit: 16, ratio: 0.6 }
  head:    { graph: head.pixel_shuffle }
  loss:    { graph: loss.masked_l1 }
data: { images: synthetic, count: 8, size: 48 }
train:
  epochs: 10
  batch: 4
  picture_every: 0
  checkpoint_every: 2
";

/// An empty folder to work in, with `recipes/tiny.yaml`.
struct Desk(tempfile::TempDir);

/// What the program said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().expect("a temporary folder"));
        desk.write("recipes/tiny.yaml", TINY);
        desk
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().expect("in a folder")).expect("created");
        fs::write(path, text).expect("written");
    }

    fn read(&self, file: &str) -> String {
        let path = self.path(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Names in a folder, sorted; none where it is missing.
    fn list(&self, folder: &str) -> Vec<String> {
        let files = fs::read_dir(self.path(folder)).into_iter().flatten();
        let name = |file: std::io::Result<fs::DirEntry>| file.expect("listed").file_name();
        let mut names: Vec<_> = files
            .map(|file| name(file).to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// On a machine without CUDA, whatever this one has.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mimc"));
        command
            .current_dir(self.0.path())
            .args(arguments)
            .env("MIMC_CUDA_PATH", "");
        command
    }

    fn mimc(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output();
        Said::from(output.expect("the program starts"))
    }

    /// What it printed, if all went well.
    fn good(&self, arguments: &[&str]) -> Said {
        let said = self.mimc(arguments);
        assert_eq!(
            said.code,
            Some(0),
            "mimc {arguments:?}\n{}{}",
            said.out,
            said.err
        );
        said
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl Said {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// A file of `tests/fixtures`.
fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    path.to_str().expect("a plain path").to_owned()
}

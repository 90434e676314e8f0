//! A folder to work in, and the program on the emulated driver in it.

use super::emulator::Emulator;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A recipe that compiles and trains in a moment: every kind of kernel, four images as two micro-batches.
const TINY: &str = "\
doc: Tiny, for tests.
model:
  graph: simmim
  encoder: { graph: swin.encoder, dim: 8, depths: [2, 2], heads: [1, 2], window: 2, patch: 4 }
  masking: { graph: mask.random, unit: 8, ratio: 0.6 }
  head:    { graph: head.pixel_shuffle }
  loss:    { graph: loss.masked_l1 }
data: { images: synthetic, count: 8, size: 16 }
train:
  epochs: 10
  batch: 4
  micro_batch: 2
  picture_every: 0
  checkpoint_every: 2
  log_every: 1
";

pub struct Desk<'e> {
    folder: tempfile::TempDir,
    emulator: &'e Emulator,
    /// Where libraries are looked for.
    libraries: String,
    cache: PathBuf,
}

/// What the program said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl<'e> Desk<'e> {
    pub fn new(emulator: &'e Emulator) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("tiny.yaml"), TINY).expect("written");
        let libraries = emulator.folder.display().to_string();
        let cache = emulator.cache.clone();
        Self {
            folder,
            emulator,
            libraries,
            cache,
        }
    }

    /// A machine without CUDA.
    pub fn without_cuda(mut self) -> Self {
        self.libraries.clear();
        self
    }

    /// Kernels of its own, compiled anew.
    pub fn own_cache(mut self) -> Self {
        self.cache = self.path("cache");
        self
    }

    /// A folder with the emulated libraries to change.
    pub fn own_libraries(mut self) -> (Self, PathBuf) {
        let folder = self.path("lib");
        fs::create_dir(&folder).expect("created");
        for file in fs::read_dir(&self.emulator.folder).expect("a folder") {
            let file = file.expect("listed").path();
            let name = file.file_name().expect("a name");
            fs::copy(&file, folder.join(name)).expect("copied");
        }
        self.libraries = folder.display().to_string();
        (self, folder)
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The program's words, run with variables of the emulator.
    pub fn mimc_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mimc"));
        command
            .current_dir(self.folder.path())
            .args(arguments)
            .env("MIMC_CUDA_PATH", &self.libraries)
            .env("XDG_CACHE_HOME", &self.cache)
            .envs(variables.iter().copied());
        let output = command.output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Said {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    pub fn mimc(&self, arguments: &[&str]) -> Said {
        self.mimc_with(&[], arguments)
    }

    /// As [`Desk::mimc`], if all went well.
    pub fn good(&self, arguments: &[&str]) -> Said {
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

    /// Step, loss and gradient norm of each step of a run.
    pub fn metrics(&self, run: &str) -> Vec<[f64; 3]> {
        let path = self.path(run).join("metrics.jsonl");
        let text = fs::read_to_string(&path).expect("metrics");
        let numbers = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            ["step", "loss", "grad_norm"].map(|key| line[key].as_f64().expect("a number"))
        };
        text.lines().map(numbers).collect()
    }

    /// Names in a folder, sorted; none where it is missing.
    pub fn list(&self, folder: &str) -> Vec<String> {
        let files = fs::read_dir(self.path(folder)).into_iter().flatten();
        let name = |file: std::io::Result<fs::DirEntry>| file.expect("listed").file_name();
        let mut names: Vec<_> = files
            .map(|file| name(file).to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    pub fn checkpoint(&self, run: &str, step: u32) -> Vec<u8> {
        let name = format!("{run}/checkpoints/step_{step:06}.safetensors");
        fs::read(self.path(&name)).expect("a checkpoint")
    }
}

impl Said {
    /// Says all of it, on standard error, and ends with this code.
    #[track_caller]
    pub fn says(&self, code: i32, pieces: &[&str]) {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        for piece in pieces {
            assert!(self.err.contains(piece), "no `{piece}` in {}", self.err);
        }
    }
}

/// A file of `tests/fixtures`.
pub fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    path.to_str().expect("a plain path").to_owned()
}

//! The program on the emulated driver.

use super::{
    desk::{Desk, Said},
    emulator::Emulator,
};
use std::{ffi::OsString, fs, path::PathBuf};

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

/// Where the program keeps what it has compiled.
const CACHE: &str = "XDG_CACHE_HOME";

impl Desk {
    /// With `tiny.yaml`, and kernels that other tests may have compiled.
    pub fn new(emulator: &Emulator) -> Self {
        let mut desk = Self::empty(&emulator.folder);
        desk.variable(CACHE, &emulator.cache);
        desk.write("tiny.yaml", TINY);
        desk
    }

    /// The program gets this variable, whatever it was.
    fn variable(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
    }

    /// A machine without CUDA.
    pub fn without_cuda(mut self) -> Self {
        self.variable("MIMC_CUDA_PATH", "");
        self
    }

    /// Kernels of its own, compiled anew, and where they are kept.
    pub fn own_cache(mut self) -> (Self, PathBuf) {
        let cache = self.path("cache");
        self.variable(CACHE, &cache);
        (self, cache)
    }

    /// A folder with the emulated libraries to change.
    pub fn own_libraries(mut self, emulator: &Emulator) -> (Self, PathBuf) {
        let folder = self.path("lib");
        fs::create_dir(&folder).expect("created");
        for file in fs::read_dir(&emulator.folder).expect("a folder") {
            let file = file.expect("listed").path();
            let name = file.file_name().expect("a name");
            fs::copy(&file, folder.join(name)).expect("copied");
        }
        self.variable("MIMC_CUDA_PATH", &folder);
        (self, folder)
    }

    /// What it says with variables of the emulator.
    pub fn mimc_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Said {
        let mut command = self.command(arguments);
        let output = command.envs(variables.iter().copied()).output();
        Said::from(output.expect("the program starts"))
    }

    /// Step, loss and gradient norm of each step of a run.
    pub fn metrics(&self, run: &str) -> Vec<[f64; 3]> {
        let text = self.read(&format!("{run}/metrics.jsonl"));
        let numbers = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            ["step", "loss", "grad_norm"].map(|key| line[key].as_f64().expect("a number"))
        };
        text.lines().map(numbers).collect()
    }

    pub fn checkpoint(&self, run: &str, step: u32) -> Vec<u8> {
        let name = format!("{run}/checkpoints/step_{step:06}.safetensors");
        fs::read(self.path(&name)).expect("a checkpoint")
    }
}

impl Said {
    /// Says all of it, on standard error, wherever its lines are broken, and ends with this code.
    #[track_caller]
    pub fn says(&self, code: i32, pieces: &[&str]) {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        let told = self.err.split_whitespace().collect::<Vec<_>>().join(" ");
        for piece in pieces {
            assert!(told.contains(piece), "no `{piece}` in {}", self.err);
        }
    }
}

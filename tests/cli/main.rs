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

#[path = "../desk/mod.rs"]
mod desk;

use desk::{Desk, Said, fixture};

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

impl Said {
    /// What it said on the way, as one line: sentences are broken where a screen ends.
    fn told(&self) -> String {
        self.err.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Desk {
    /// On a machine without CUDA, whatever this one has, with `recipes/tiny.yaml`.
    fn new() -> Self {
        let desk = Self::empty("");
        desk.write("recipes/tiny.yaml", TINY);
        desk
    }
}

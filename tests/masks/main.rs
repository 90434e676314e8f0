//! What `graphs/mask/random.yaml` draws: how many units, which, and how far they are from what is seen.

mod counts;
mod distances;
mod doubt;
mod uniform;

use mimc::{
    backend::{BACKENDS, Backend},
    compile::compile_forward,
    diagnostic::SourceFile,
    language::library::Library,
    recipe::Recipe,
    train::step::{Draw, Step},
};
use std::fs;

/// A model that is a mask and nothing else.
const TOP: &str = "\
doc: A mask.
params:
  masking: { type: graph }
inputs:
  image: [batch, chans, size, size]
steps:
  mask:   masking(batch=batch, size=size)
  hidden: sum(mask)
outputs:
  hidden: []
  mask: [batch, units, units]
";
const SEED: u64 = 11;

/// A grid of units, a share of which is hidden.
#[derive(Debug, Clone, Copy)]
struct Grid {
    size: usize,
    unit: usize,
    ratio: f64,
}

/// The masks of a grid, `batch` at a time.
struct Masks {
    step: Box<dyn Step>,
    batch: usize,
    units: usize,
}

impl Grid {
    fn recipe(self) -> (Recipe, Library) {
        let Grid { size, unit, ratio } = self;
        let text = format!(
            "model:\n  graph: top\n  masking: {{ graph: mask.random, unit: {unit}, ratio: {ratio:?} }}\n\
             data: {{ images: synthetic, size: {size} }}\n"
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("top.yaml"), TOP).expect("written");
        let library = Library::new(&[folder.path().to_owned()]);
        library
            .get("top")
            .unwrap_or_else(|errors| panic!("{errors}"));
        let recipe = Recipe::parse(&SourceFile::new("masks", text), "masks", &[]);
        (recipe.unwrap_or_else(|errors| panic!("{errors}")), library)
    }

    fn masks(self, backend: &dyn Backend, batch: usize) -> Masks {
        let (recipe, library) = self.recipe();
        let graph = compile_forward(&recipe, &library, batch);
        let graph = graph.unwrap_or_else(|error| panic!("{self:?}: {error}"));
        Masks {
            step: backend.prepare(graph).expect("any machine runs this"),
            batch,
            units: self.size / self.unit,
        }
    }

    /// On the kernels that train.
    fn on_kernels(self, batch: usize) -> Masks {
        self.masks(BACKENDS[0], batch)
    }
}

impl Masks {
    /// The masks of the images from `first_sample` on, one after the other, 1 = hidden.
    fn draw(&mut self, step: u64, first_sample: usize) -> Vec<Vec<f32>> {
        let draw = Draw {
            seed: SEED,
            step,
            first_sample: first_sample as u64,
        };
        self.step.accumulate(draw).expect("it runs");
        let all = self.step.output("mask").expect("it is kept");
        assert_eq!(all.len(), self.batch * self.units * self.units);
        all.chunks(self.units * self.units)
            .map(<[f32]>::to_vec)
            .collect()
    }
}

/// The numbers that rank the units of one image.
fn draws(step: u64, sample: usize, total: usize) -> Vec<f32> {
    let draw = Draw {
        seed: SEED,
        step,
        first_sample: 0,
    };
    let key = draw.key().with("mask.noise");
    let first = sample * total;
    (first..first + total)
        .map(|at| key.uniform_f32(at as u64))
        .collect()
}

/// The mask that hides the units of the `count` smallest draws, the earlier unit of two alike.
fn of_smallest(draws: &[f32], count: usize) -> Vec<f32> {
    let mut places: Vec<usize> = (0..draws.len()).collect();
    places.sort_by(|&a, &b| draws[a].total_cmp(&draws[b]));
    let mut mask = vec![0.0; draws.len()];
    places[..count].iter().for_each(|&at| mask[at] = 1.0);
    mask
}

//! Whole runs, as `mimc run` makes them.

use super::{TOKENS, WINDOWS, recipe};
use mimc::{
    backend::BACKENDS,
    compile::{Options, compile},
    language::library::Library,
    plan,
    recipe::Recipe,
    train::{metrics, output::Output, run::Run, trainer::Trainer},
};
use std::{collections::BTreeMap, fs, path::Path};

const STEPS: u64 = 50;

/// What a run leaves, times aside.
#[derive(PartialEq)]
struct Results {
    checkpoints: BTreeMap<String, Vec<u8>>,
    /// Step, loss, rate and norm of the gradient, as bits.
    metrics: Vec<(u64, u32, u64, u32)>,
}

fn trained(recipe: &Recipe, threads: usize, workers: usize) -> Results {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = Run::from_recipe(
        recipe,
        &Library::new(&[]),
        Output::new(folder.path().join("run")),
    );
    // The text of the recipe lies in the checkpoint, so it stays the same.
    run.data.workers = workers;
    let program = compile(recipe, &Library::new(&[]), &Options::default());
    let program = program.unwrap_or_else(|error| panic!("{error}"));
    let mut step = program
        .prepare(BACKENDS[0], recipe.train.seed)
        .expect("a tiny plan fits any machine");
    let summary = Trainer::new(&run, &mut *step).train();
    assert_eq!(summary.expect("the run ends well").step, STEPS, "{threads}");
    let records = metrics::read(&run.output.metrics()).expect("logged");
    Results {
        checkpoints: files(&run.output.checkpoints()),
        metrics: records
            .iter()
            .map(|r| {
                (
                    r.step,
                    r.loss.to_bits(),
                    r.lr.to_bits(),
                    r.grad_norm.to_bits(),
                )
            })
            .collect(),
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("checkpoints");
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read(entry.path()).expect("readable"))
    };
    entries.map(|entry| file(entry.expect("listed"))).collect()
}

fn on_threads(recipe: &Recipe, threads: usize, workers: usize) -> Results {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let pool = pool.build().expect("the system has threads");
    pool.install(|| trained(recipe, threads, workers))
}

/// Kernels hand out work by the 32 Ki elements: with less there would be nothing to share.
fn assert_there_is_work_to_share(recipe: &Recipe) {
    let program = compile(recipe, &Library::new(&[]), &Options::default());
    let graph = program.unwrap_or_else(|error| panic!("{error}")).graph;
    let largest = plan::lower(&graph).buffers.iter().map(|b| b.len()).max();
    assert!(largest >= Some(64 * 1024), "{largest:?}");
}

fn assert_threads_change_nothing(encoder: &str) {
    let train = "epochs: 5, batch: 4, micro_batch: 2, checkpoint_every: 20, seed: 3, \
                 schedule: { base_lr: 0.1, warmup_lr: 0.001, min_lr: 0.001, warmup_epochs: 1 }";
    let recipe = recipe(encoder, 64, train);
    assert_there_is_work_to_share(&recipe);
    let one = on_threads(&recipe, 1, 1);
    assert_eq!(one.checkpoints.len(), 3);
    let first = f32::from_bits(one.metrics[0].1);
    let last = f32::from_bits(one.metrics[STEPS as usize - 1].1);
    assert!(last < 0.95 * first, "it learns: {first} to {last}");
    for (threads, workers) in [(2, 0), (3, 3)] {
        let other = on_threads(&recipe, threads, workers);
        assert_eq!(
            one.metrics, other.metrics,
            "{threads} threads, {workers} workers"
        );
        assert!(
            one == other,
            "{threads} threads, {workers} workers: other checkpoints"
        );
    }
}

#[test]
fn windows_train_to_the_same_bits_on_any_number_of_threads() {
    assert_threads_change_nothing(WINDOWS);
}

#[test]
fn tokens_train_to_the_same_bits_on_any_number_of_threads() {
    assert_threads_change_nothing(TOKENS);
}

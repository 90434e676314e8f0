//! Kernels one by one, as the plans of real models have them: products with their epilogues, layer norm and softmax with
//! their gradients, attention over windows of 36, 49 and 144 tokens and over 197, the update.
//!
//! `cargo bench --bench kernels`, or with a filter: `cargo bench --bench kernels -- attention`. The first lines are the
//! machine's ceilings. Items are floating-point operations of products; bytes are read and written, each once.

use divan::{
    Bencher, black_box,
    counter::{BytesCount, ItemsCount},
};
use mimc::{
    backend::{self, cpu::CpuStep},
    compile::{Options, compile, load},
    language::library::Library,
    plan,
    train::step::Step,
};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    fmt,
    sync::OnceLock,
};

/// Recipes of which each stage keeps one block: all of its kernels, at batch 4.
const MODELS: &[(&str, &str, &[&str])] = &[
    ("swin_b", "swin_b", &["model.encoder.depths=[1, 1, 1, 1]"]),
    (
        "swin_b, windows of 49",
        "swin_b",
        &[
            "model.encoder.depths=[1, 1, 1, 1]",
            "model.encoder.window=7",
            "data.size=224",
        ],
    ),
    ("swin_l", "swin_l", &["model.encoder.depths=[1, 1, 1, 1]"]),
    ("vit_b", "vit_b", &["model.encoder.depth=1"]),
];
const BATCH: [&str; 2] = ["train.batch=4", "train.micro_batch=4"];

fn main() {
    let cpu = backend::named("cpu").expect("a backend of that name");
    if let Some(ceiling) = cpu.ceiling() {
        println!(
            "ceilings: {:.1} GFLOP/s of multiply-adds, {:.1} GB/s\n",
            ceiling.flops / 1e9,
            ceiling.bandwidth / 1e9
        );
    }
    divan::main();
}

fn step(model: usize) -> CpuStep {
    let (_, recipe, sets) = MODELS[model];
    let sets: Vec<String> = sets.iter().chain(&BATCH).map(|s| (*s).to_owned()).collect();
    let library = Library::new(&[]);
    let recipe = load(recipe, &sets, &library).expect("a sound recipe");
    let program = compile(&recipe, &library, &Options::default()).expect("a sound model");
    CpuStep::new(plan::lower(&program.graph)).expect("memory for four images")
}

/// A kernel of one of the models.
#[derive(Clone)]
struct Which {
    model: usize,
    at: usize,
    kind: &'static str,
    name: String,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Kernels of one kind, those that differ: same work, same kernel.
fn kernels(kind: &str) -> Vec<Which> {
    static ALL: OnceLock<Vec<Which>> = OnceLock::new();
    let all = ALL.get_or_init(|| (0..MODELS.len()).flat_map(listed).collect());
    all.iter()
        .filter(|which| which.kind == kind)
        .cloned()
        .collect()
}

fn listed(model: usize) -> Vec<Which> {
    let mut step = step(model);
    step.time_kernels();
    let mut seen = HashSet::new();
    let times = step.kernel_times().into_iter().enumerate();
    let different = times.filter(|(_, time)| seen.insert((time.label, time.work)));
    let which = |(at, time): (usize, mimc::train::step::KernelTime)| Which {
        model,
        at,
        kind: time.label,
        name: format!("{}: {}", MODELS[model].0, time.origin),
    };
    different.map(which).collect()
}

thread_local! {
    /// One model at a time: each takes up to a gigabyte.
    static STEPS: RefCell<HashMap<usize, CpuStep>> = RefCell::default();
}

fn bench(bencher: Bencher, which: &Which) {
    STEPS.with_borrow_mut(|steps| {
        steps.retain(|model, _| *model == which.model);
        let step = steps
            .entry(which.model)
            .or_insert_with(|| step(which.model));
        step.time_kernels();
        let work = step.kernel_times()[which.at].work;
        bencher
            .counter(ItemsCount::new(work.flops))
            .counter(BytesCount::new(work.bytes))
            .bench_local(|| black_box(&mut *step).run_kernel(which.at));
    });
}

macro_rules! kinds {
    ($($name:ident: $kind:literal),* $(,)?) => {
        $(#[divan::bench(args = kernels($kind), sample_size = 1, sample_count = 12)]
        fn $name(bencher: Bencher, which: &Which) {
            bench(bencher, which);
        })*
    };
}

kinds! {
    gemm: "gemm",
    rows: "rows",
    fold: "fold",
    attention: "attention",
    attention_gradient: "attention'",
    update: "adamw",
    squares: "sum_squares",
}

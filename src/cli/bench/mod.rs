//! `mimc bench`: seconds per training step.

mod profile;

use super::{
    Outcome,
    arguments::{BackendArgument, Sets, Threads, settle, tell_notice},
    complete,
    failure::Failure,
    job::library,
    screen,
};
use clap::{Args, value_parser};
use clap_complete::engine::ArgValueCompleter;
use mimc::{
    backend::{Backend, Ceiling},
    compile::{CHANNELS, Options, compile, load},
    random::Key,
    recipe::{Precision, Recipe},
    text::{
        columns::{WIDTH, broken},
        units,
    },
    train::step::{Draw, Step, StepError},
};
use profile::Profile;
use serde::Serialize;
use std::{fs, process::ExitCode, time::Instant};

/// Measure seconds per training step on random images, without loading any
///
/// A step is forward, backward, clipping and update, on one fixed batch. The last line is JSON.
#[derive(Args)]
pub struct Arguments {
    /// A path, a name in ./recipes, or a built-in name
    #[arg(value_name = "RECIPE", add = ArgValueCompleter::new(complete::recipes))]
    recipe: String,
    /// Images per step, all at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u32).range(1..))]
    batch: u32,
    /// Steps measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    steps: u32,
    /// Steps made before, besides the first
    #[arg(long, value_name = "N", default_value_t = 2)]
    warmup: u32,
    /// Tell where the time goes: by kind of kernel, by part of the model, by kernel
    #[arg(long)]
    profile: bool,
    /// Measure what the machine can do at most, just before the steps, and set every figure beside it
    #[arg(long)]
    ceiling: bool,
    #[command(flatten)]
    backend: BackendArgument,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    sets: Sets,
    /// Print nothing but the JSON
    #[arg(long)]
    json: bool,
}

/// The keys are those that other implementations are measured with.
#[derive(Serialize)]
struct Document {
    /// Who was measured: `mimc 0.1.0`.
    peer: String,
    model: String,
    batch: u32,
    device: &'static str,
    /// That compute.
    threads: usize,
    dtype: &'static str,
    first_step_s: f64,
    /// The median.
    step_s: f64,
    step_min_s: f64,
    images_per_s: f64,
    gflop_per_image: f64,
    gflop_per_s: f64,
    /// `null` where the system does not tell.
    peak_gb: Option<f64>,
    parameters: usize,
    compile_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ceiling: Option<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
}

/// What the machine can do at most, on the threads that compute.
#[derive(Serialize)]
struct Measured {
    gflop_per_s: f64,
    bf16_gflop_per_s: f64,
    gb_per_s: f64,
    /// Of the multiply-adds in the precision of the step, what it reached, from 0 to 1.
    share_of_flops: f64,
}

/// A rate that moves weights without ruining them.
const RATE: f32 = 1e-4;

pub fn run(arguments: &Arguments) -> Outcome {
    let batch = arguments.batch;
    let own = [
        format!("train.batch={batch}"),
        format!("train.micro_batch={batch}"),
    ];
    let library = library();
    let mut recipe = load(
        &arguments.recipe,
        &[&arguments.sets.sets[..], &own].concat(),
        &library,
    )?;
    let backend = arguments.backend.chosen();
    settle(&mut recipe, backend);
    tell_notice(backend, recipe.train.computed_in());
    arguments.threads.start()?;

    let started = Instant::now();
    let program = compile(&recipe, &library, &Options::default())?;
    program.check_fed()?;
    let flops = program.cost.forward_flops + program.cost.backward_flops;
    let parameters = program.weights.iter().map(|weight| weight.len()).sum();
    let mut step = program.prepare(backend, recipe.train.seed)?;
    let compile_s = started.elapsed().as_secs_f64();

    if arguments.profile && !step.time_kernels() {
        let message = format!("the backend `{}` does not time its kernels", backend.name());
        return Err(StepError::Backend(message).into());
    }
    feed(&mut *step, batch as usize, &recipe)?;
    let ceiling = ceiling(backend, arguments.ceiling)?;
    let (first, measured) = measure(&mut *step, &recipe, arguments)?;
    let median = median(&measured);
    let gflop = flops as f64 / 1e9;
    let gflop_per_s = gflop * f64::from(batch) / median;
    let profile = || Profile::new(&step.kernel_times(), arguments.steps, ceiling);
    let document = Document {
        peer: concat!("mimc ", env!("CARGO_PKG_VERSION")).to_owned(),
        model: recipe.name.clone(),
        batch,
        device: backend.name(),
        threads: rayon::current_num_threads(),
        dtype: match recipe.train.computed_in() {
            Precision::F32 => "fp32",
            Precision::Bf16 => "bf16",
        },
        first_step_s: round(first, 3),
        step_s: round(median, 4),
        step_min_s: round(measured.iter().copied().fold(f64::INFINITY, f64::min), 4),
        images_per_s: round(f64::from(batch) / median, 2),
        gflop_per_image: round(gflop, 1),
        gflop_per_s: round(gflop_per_s, 1),
        peak_gb: peak_bytes().map(|bytes| round(bytes as f64 / 1e9, 2)),
        parameters,
        compile_s: round(compile_s, 3),
        ceiling: ceiling.map(|ceiling| Measured {
            gflop_per_s: round(ceiling.flops / 1e9, 1),
            bf16_gflop_per_s: round(ceiling.halves / 1e9, 1),
            gb_per_s: round(ceiling.bandwidth / 1e9, 1),
            share_of_flops: round(
                gflop_per_s * 1e9
                    / match recipe.train.computed_in() {
                        Precision::F32 => ceiling.flops,
                        Precision::Bf16 => ceiling.halves,
                    },
                3,
            ),
        }),
        profile: arguments.profile.then(profile),
    };
    if !arguments.json {
        screen::print(document.told())?;
    }
    let json = serde_json::to_string(&document);
    let json = json.map_err(|error| Failure::new("output", error, None))?;
    screen::print(format_args!("{json}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Standard normal pixels, as normalised images are on average.
fn feed(step: &mut dyn Step, batch: usize, recipe: &Recipe) -> Result<(), StepError> {
    let size = recipe.data.size;
    let key = Key::new(recipe.train.seed).with("bench");
    let pixels = 0..(batch * CHANNELS * size * size) as u64;
    let images: Vec<f32> = pixels.map(|pixel| key.normal(pixel) as f32).collect();
    step.feed("image", &images)
}

fn ceiling(backend: &dyn Backend, wanted: bool) -> Result<Option<Ceiling>, StepError> {
    if !wanted {
        return Ok(None);
    }
    let name = backend.name();
    let untold = || StepError::Backend(format!("the backend `{name}` knows no ceiling"));
    backend.ceiling().map(Some).ok_or_else(untold)
}

/// Seconds of the first step, and of those that count.
fn measure(
    step: &mut dyn Step,
    recipe: &Recipe,
    arguments: &Arguments,
) -> Result<(f64, Vec<f64>), StepError> {
    let mut update = 0;
    let mut timed = |step: &mut dyn Step| -> Result<f64, StepError> {
        let started = Instant::now();
        step.accumulate(Draw {
            seed: recipe.train.seed,
            step: update,
            first_sample: 0,
        })?;
        update += 1;
        step.apply(RATE, update)?;
        Ok(started.elapsed().as_secs_f64())
    };
    let first = timed(step)?;
    for _ in 0..arguments.warmup {
        timed(step)?;
    }
    if arguments.profile {
        // What ran until now was the start.
        step.time_kernels();
    }
    let measured = (0..arguments.steps)
        .map(|_| timed(step))
        .collect::<Result<_, _>>()?;
    Ok((first, measured))
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

/// The most memory this process has held.
fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kibibytes)
}

impl Document {
    fn told(&self) -> String {
        let Self {
            model,
            batch,
            device,
            threads,
            step_s,
            step_min_s,
            images_per_s,
            ..
        } = self;
        let peak = match self.peak_gb {
            Some(peak) => format!(", {peak} GB at the peak"),
            None => String::new(),
        };
        let step = format!(
            "{model}, batch {batch}, {device}, {}: {step_s} s per step ({step_min_s} at best), {images_per_s} images/s\n\
             {} GFLOP per image, {} GFLOP/s{peak}; {} parameters, compiled in {} s\n",
            match threads {
                1 => "1 thread".to_owned(),
                many => format!("{many} threads"),
            },
            self.gflop_per_image,
            self.gflop_per_s,
            units::grouped(self.parameters),
            self.compile_s,
        );
        let ceiling = self.ceiling.as_ref().map_or(String::new(), |ceiling| {
            format!(
                "the machine: {} GFLOP/s of multiply-adds ({} of bf16), {} GB/s; the step reaches {:.1} % of the multiply-adds\n",
                ceiling.gflop_per_s,
                ceiling.bf16_gflop_per_s,
                ceiling.gb_per_s,
                100.0 * ceiling.share_of_flops
            )
        });
        let profile = self
            .profile
            .as_ref()
            .map_or(String::new(), |profile| format!("\n{}\n", profile.told()));
        let lines = step.lines().chain(ceiling.lines());
        let lines = lines.flat_map(|line| broken(line, WIDTH));
        let lines: String = lines.map(|line| line + "\n").collect();
        lines + &profile
    }
}

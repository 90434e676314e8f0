//! Signals end a program as `src/cli/signals.rs` says. A signal handler belongs to a whole process, so each case runs
//! this file's own program again and signals it.

#![cfg(unix)]

#[path = "../src/cli/signals.rs"]
mod signals;

use std::{
    env,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use mimc::{
    backend::named,
    compile::{Options, compile},
    language::library::Library,
    recipe::Recipe,
    train::{
        checkpoint::Checkpoint,
        output::Output,
        run::Run,
        step::{Draw, Part, Step, StepError, WeightInfo},
        stop::Stop,
        trainer::Trainer,
    },
};
use signals::install;

/// Set in the program that is to be signalled.
const CHILD: &str = "MIMC_TEST_SIGNALS_CHILD";
/// Where that program is to train.
const FOLDER: &str = "MIMC_TEST_SIGNALS_FOLDER";

#[test]
fn child() {
    let Ok(kind) = env::var(CHILD) else {
        return;
    };
    let stop = Stop::default();
    let patience = Duration::from_millis(if kind == "stuck" { 300 } else { 60_000 });
    install(stop.clone(), patience).expect("the first handler of this process");
    if kind == "stuck" {
        let folder = env::var_os(FOLDER).expect("given");
        return train_stuck(Path::new(&folder), &stop);
    }
    println!("\nready");
    while !stop.requested() {
        thread::sleep(Duration::from_millis(5));
    }
    println!("\nstopping");
    // Stands for a micro-batch that takes long.
    thread::sleep(Duration::from_secs(if kind == "slow" { 60 } else { 0 }));
}

#[test]
fn the_first_signal_lets_the_program_end_by_itself() {
    for signal in ["-INT", "-TERM"] {
        let status = signalled("quick", signal, 1);
        assert!(status.success(), "{signal}: {status}");
    }
}

#[test]
fn the_second_signal_ends_the_program_at_once() {
    let status = signalled("slow", "-INT", 2);
    assert_eq!(status.code(), Some(130), "{status}");
}

#[test]
fn a_step_that_does_not_end_is_given_up_and_the_last_checkpoint_stays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = program("stuck");
    let child = command
        .env(FOLDER, folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this program runs");
    let started = Instant::now();
    let (status, told) = signal_when(child, "-TERM", &["ready"]);
    assert_eq!(status.code(), Some(130), "{status}");
    assert!(
        started.elapsed() < Duration::from_secs(40),
        "it waited for the step"
    );
    let path = folder.path().join("checkpoints/step_000001.safetensors");
    let last = format!("given up: --resume goes on from {}", path.display());
    assert!(told.contains(&last), "{told}");
    assert_eq!(Checkpoint::open(&path).expect("sound").state().step, 1);
}

#[test]
fn a_program_for_the_cpu_ends_between_two_kernels_and_leaves_its_weights() {
    let sets = ["train.batch=2", "train.micro_batch=1"].map(str::to_owned);
    let recipe = Recipe::load("quickstart", &sets).expect("a sound recipe");
    let program = compile(&recipe, &Library::new(&[]), &Options::default()).expect("compiles");
    let backend = named("cpu").expect("there is one");
    let mut step = program.prepare(backend, 0).expect("there is memory");
    let stop = Stop::default();
    step.end_early_on(&stop);
    step.feed("image", &vec![0.5; 3 * 96 * 96]).expect("fits");
    let draw = Draw {
        seed: 0,
        step: 0,
        first_sample: 0,
    };
    let state = |step: &dyn Step| -> Vec<Vec<f32>> {
        let read = |(index, weight): (usize, &WeightInfo)| {
            let mut values = vec![0.0; weight.len()];
            step.read(Part::Value, index, &mut values).expect("held");
            values
        };
        step.weights().iter().enumerate().map(read).collect()
    };
    let before = state(&*step);
    step.accumulate(draw).expect("nobody asks it to stop");
    stop.request();
    assert_eq!(step.accumulate(draw), Err(StepError::Interrupted));
    assert!(state(&*step) == before);
}

/// A program of one weight that gets stuck in its second step and knows of no way to end early.
struct Stuck {
    weights: [WeightInfo; 1],
    runs: usize,
}

impl Step for Stuck {
    fn weights(&self) -> &[WeightInfo] {
        &self.weights
    }

    fn read(&self, _: Part, _: usize, to: &mut [f32]) -> Result<(), StepError> {
        to.fill(0.5);
        Ok(())
    }

    fn write(&mut self, _: Part, _: usize, _: &[f32]) -> Result<(), StepError> {
        Ok(())
    }

    fn micro_batch(&self) -> usize {
        1
    }

    fn feed(&mut self, _: &str, _: &[f32]) -> Result<(), StepError> {
        Ok(())
    }

    fn accumulate(&mut self, _: Draw) -> Result<f32, StepError> {
        self.runs += 1;
        if self.runs > 1 {
            println!("\nready");
            thread::sleep(Duration::from_secs(60));
        }
        Ok(1.0)
    }

    fn apply(&mut self, _: f32, _: u64) -> Result<f32, StepError> {
        Ok(1.0)
    }

    fn output(&self, _: &str) -> Result<Vec<f32>, StepError> {
        Ok(Vec::new())
    }
}

fn train_stuck(folder: &Path, stop: &Stop) {
    let sets = ["data.count=4", "train.batch=1", "train.checkpoint_every=1"];
    let recipe = Recipe::load("quickstart", &sets.map(str::to_owned)).expect("a sound recipe");
    let run = Run::from_recipe(&recipe, &Library::new(&[]), Output::new(folder));
    let weight = WeightInfo {
        name: "weight".into(),
        dims: vec![2],
        decay: false,
    };
    let mut program = Stuck {
        weights: [weight],
        runs: 0,
    };
    let trainer = Trainer::new(&run, &mut program).stop(stop);
    trainer.train().expect("it never comes to this");
}

/// Starts the program, sends it signals, each when it is ready for it, and waits for its end.
fn signalled(kind: &str, signal: &str, times: usize) -> ExitStatus {
    let child = program(kind).spawn().expect("this program runs");
    signal_when(child, signal, &["ready", "stopping"][..times]).0
}

fn program(kind: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program has a path"));
    command
        .args(["child", "--exact", "--nocapture"])
        .env(CHILD, kind)
        .stdout(Stdio::piped());
    command
}

/// Sends a signal at each of the words, waits for the end, and returns what was told on standard error, if that was asked
/// for.
fn signal_when(mut child: Child, signal: &str, words: &[&str]) -> (ExitStatus, String) {
    let output = child.stdout.take().expect("piped");
    let mut lines = BufReader::new(output).lines();
    for awaited in words {
        let found = lines
            .by_ref()
            .find(|line| line.as_ref().is_ok_and(|line| line == awaited));
        assert!(found.is_some(), "the program ended before it was {awaited}");
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }
    // Read to the end, or the program could fail to write its last lines.
    lines.for_each(drop);
    let mut told = String::new();
    if let Some(mut errors) = child.stderr.take() {
        errors.read_to_string(&mut told).expect("text");
    }
    (child.wait().expect("it was started"), told)
}

//! `manifest.json`: what was run, on which images, by which program, where and when; a session for each time it was begun or
//! resumed.

use super::clock;
use mimc::train::{
    checkpoint::checksum,
    output::Output,
    replace::replace,
    run::{Run, Started},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, env, fs, io, thread};

/// Checksums are of XXH3 in 128 bits, as 32 hexadecimal digits.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The name of the recipe.
    pub recipe: String,
    /// Of the resolved recipe, which lies beside it.
    pub recipe_checksum: String,
    /// Of the graph files, by their paths.
    pub graphs: BTreeMap<String, String>,
    /// How many images there are.
    pub images: usize,
    /// Of their names, in order.
    pub images_checksum: String,
    /// The last one is that which wrote this.
    pub sessions: Vec<Session>,
}

/// One process that trained.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// The version of the program.
    pub mimc: String,
    /// Of the program itself; null where it cannot be read.
    pub program_checksum: Option<String>,
    pub command: Vec<String>,
    pub backend: String,
    pub machine: Machine,
    /// By the clock of the machine, in UTC.
    pub started: String,
    /// Null while it runs, and where it was killed.
    pub ended: Option<String>,
    /// `running`, `finished`, `stopped`, or why it failed.
    pub state: String,
    /// Optimizer steps made before it and by it.
    pub steps: [u64; 2],
}

/// As far as the system tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    /// That compute.
    pub threads: usize,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// `linux x86_64`
    pub system: String,
}

impl Manifest {
    /// Of a run that begins, behind the sessions of an earlier one that it resumes.
    pub fn begin(run: &Run, started: &Started, backend: &str) -> Self {
        let earlier = fs::read(run.output.manifest())
            .ok()
            .filter(|_| started.step > 0);
        let earlier = earlier.and_then(|text| serde_json::from_slice::<Self>(&text).ok());
        let mut sessions = earlier.map_or(Vec::new(), |earlier| earlier.sessions);
        sessions.push(Session::begin(started.step, backend));
        Self {
            recipe: run.title.clone(),
            recipe_checksum: checksum([&*run.recipe]),
            graphs: run.graphs.clone(),
            images: started.images,
            images_checksum: started.names.to_owned(),
            sessions,
        }
    }

    /// The session that is under way.
    pub fn session(&mut self) -> Option<&mut Session> {
        self.sessions.last_mut()
    }

    /// # Errors
    /// Of the file system.
    pub fn write(&self, output: &Output) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        replace(output.disk(), &output.manifest(), |file| {
            file.write_all(text.as_bytes())
        })
    }
}

impl Session {
    fn begin(step: u64, backend: &str) -> Self {
        Self {
            mimc: env!("CARGO_PKG_VERSION").to_owned(),
            program_checksum: program_checksum(),
            command: env::args().skip(1).collect(),
            backend: backend.to_owned(),
            machine: Machine::here(),
            started: clock::date(),
            ended: None,
            state: "running".to_owned(),
            steps: [step, step],
        }
    }

    pub fn end(&mut self, state: impl Into<String>) {
        self.state = state.into();
        self.ended = Some(clock::date());
    }
}

/// Of the file that runs: two of one version may differ.
fn program_checksum() -> Option<String> {
    let bytes = fs::read(env::current_exe().ok()?).ok()?;
    Some(format!("{:032x}", twox_hash::XxHash3_128::oneshot(&bytes)))
}

impl Machine {
    fn here() -> Self {
        let value = |file: &str, key: &str| {
            let text = fs::read_to_string(file).ok()?;
            let line = text.lines().find(|line| line.starts_with(key))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let kibibytes = value("/proc/meminfo", "MemTotal")
            .and_then(|told| told.split_whitespace().next()?.parse::<u64>().ok());
        Self {
            processor: value("/proc/cpuinfo", "model name").unwrap_or_default(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            threads: rayon::current_num_threads(),
            memory: kibibytes.map(|kibibytes| 1024 * kibibytes),
            system: format!("{} {}", env::consts::OS, env::consts::ARCH),
        }
    }
}

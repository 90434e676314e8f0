//! How fast this machine is, measured once and kept beside what was compiled: `build/machine.json`.

use super::{build, failure::Failure};
use mimc::{
    backend::Backend,
    pace::Pace,
    train::{disk::RealDisk, replace::replace},
};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

const KEPT: &str = "machine.json";

/// What was measured, and on what.
#[derive(Serialize, Deserialize)]
struct Kept {
    machine: Machine,
    pace: Pace,
}

/// Where a pace holds.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Machine {
    mimc: String,
    backend: String,
    threads: usize,
    /// Its name and instructions, where the system tells.
    processor: String,
}

/// That of a backend, as measured before on this machine, or now. `None` where the backend does not tell, or fails: a run has other
/// ways to find that out, and goes on without a forecast.
pub fn pace(backend: &dyn Backend) -> Option<Pace> {
    kept(&Machine::here(backend)).or_else(|| backend.pace().ok().flatten())
}

/// As [`pace`], and keeps it for the next time.
pub fn pace_kept(backend: &dyn Backend) -> Result<Option<Pace>, Failure> {
    let machine = Machine::here(backend);
    if let Some(pace) = kept(&machine) {
        return Ok(Some(pace));
    }
    let Some(pace) = backend.pace()? else {
        return Ok(None);
    };
    let path = Path::new(build::FOLDER).join(KEPT);
    let text = serde_json::to_string_pretty(&Kept { machine, pace });
    let text = text.map_err(|error| Failure::new("file", error, None))?;
    fs::create_dir_all(build::FOLDER)
        .and_then(|()| replace(&RealDisk, &path, |file| file.write_all(text.as_bytes())))
        .map_err(|error| Failure::file("write", &path, &error))?;
    Ok(Some(pace))
}

/// Forgets what was kept, so that it is measured anew: it was measured while something else took the machine.
pub fn forget() {
    // What cannot be removed stays as wrong as it was.
    let _ = fs::remove_file(Path::new(build::FOLDER).join(KEPT));
}

/// What was kept, if it is of this machine. A file that cannot be read is measured anew.
fn kept(machine: &Machine) -> Option<Pace> {
    let text = fs::read_to_string(Path::new(build::FOLDER).join(KEPT)).ok()?;
    let kept: Kept = serde_json::from_str(&text).ok()?;
    (kept.machine == *machine).then_some(kept.pace)
}

impl Machine {
    fn here(backend: &dyn Backend) -> Self {
        let told = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        // Of the first processor; clocks and numbers differ from one reading to the next.
        let lines = ["model name", "flags", "Features"].into_iter();
        let named = lines.filter_map(|key| told.lines().find(|line| line.starts_with(key)));
        Self {
            mimc: env!("CARGO_PKG_VERSION").to_owned(),
            backend: backend.name().to_owned(),
            threads: rayon::current_num_threads(),
            processor: named.collect::<Vec<_>>().join("\n"),
        }
    }
}

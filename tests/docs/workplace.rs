//! A folder as a reader's: photographs in it, `mimc` in the way, the repository's tests beside.

use super::{
    commands::Step,
    output::differs,
    page::root,
    table::{How, how},
};
use image::{ExtendedColorType, RgbImage, codecs::jpeg::JpegEncoder};
use std::{env, ffi::OsString, fs, path::Path, process::Command};

pub struct Workplace(tempfile::TempDir);

/// The folder of the program, before all others.
fn search_path() -> OsString {
    let program = Path::new(env!("CARGO_BIN_EXE_mimc"));
    let folder = program.parent().expect("it lies in a folder").to_owned();
    let others = env::var_os("PATH").unwrap_or_default();
    let all = [folder].into_iter().chain(env::split_paths(&others));
    env::join_paths(all).expect("the folders have plain names")
}

impl Workplace {
    /// With `photos/train` and `photos/val`, the same in an archive under `archives`, photographs of their own, and `tests`.
    pub fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary folder"));
        for (folder, numbers) in [("photos/train", 0..32), ("photos/val", 32..36)] {
            for at in numbers {
                place.write(&format!("{folder}/{at:02}.jpg"), photograph(at));
            }
        }
        for name in ["photo", "photo-1", "photo-2", "photo-3"] {
            place.write(&format!("{name}.jpg"), photograph(40));
        }
        fs::create_dir(place.path("archives")).expect("a folder of its own");
        let archive = fs::File::create(place.path("archives/000.tar")).expect("a new file");
        let mut archive = tar::Builder::new(archive);
        let added = archive.append_dir_all("train", place.path("photos/train"));
        added.and_then(|()| archive.finish()).expect("written");
        std::os::unix::fs::symlink(root().join("tests"), place.path("tests")).expect("a link");
        place
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.0.path().join(file)
    }

    pub fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(file);
        let folder = path.parent().expect("it lies in a folder");
        fs::create_dir_all(folder).expect("a folder");
        fs::write(path, bytes).expect("written");
    }

    /// Exchanges lines of a file as a difference says, each stretch of changed lines by itself.
    pub fn change(&self, file: &str, difference: &str) -> Result<(), String> {
        let read = fs::read_to_string(self.path(file));
        let mut text = read.map_err(|error| format!("{file}: {error}"))?;
        let lines: Vec<&str> = difference.lines().collect();
        let changed = |line: &&str| line.starts_with(['-', '+']);
        for stretch in lines.split(|line| !changed(line)).filter(|s| !s.is_empty()) {
            let of = |sign: char| -> String {
                let lines = stretch.iter().filter_map(|line| line.strip_prefix(sign));
                lines.map(|line| format!("{line}\n")).collect()
            };
            let (old, new) = (of('-'), of('+'));
            if old.is_empty() || text.matches(&old).count() != 1 {
                return Err(format!("{file} does not hold once:\n{old}"));
            }
            text = text.replacen(&old, &new, 1);
        }
        self.write(file, text);
        Ok(())
    }

    /// Runs a command as the table says, and compares what the page shows of it.
    pub fn run(&self, page: &str, step: &Step) -> Result<(), String> {
        let (command, code) = match how(page, &step.command)? {
            How::NotHere(_) => return Ok(()),
            How::AsItStands => (step.command.clone(), 0),
            How::Fails => (step.command.clone(), 1),
            How::With(more) => (with(&step.command, more), 0),
            How::As(other) => (other.to_owned(), 0),
        };
        // Both streams as one, as a screen shows them.
        let script = format!("exec 2>&1\n{command}\n");
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(self.0.path())
            .env("PATH", search_path())
            .env("XDG_CACHE_HOME", self.path(".cache"))
            // As on a machine without CUDA, whatever this one has.
            .env("MIMC_CUDA_PATH", "")
            .output()
            .map_err(|error| format!("no bash: {error}"))?;
        let printed = String::from_utf8_lossy(&output.stdout);
        if output.status.code() != Some(code) {
            return Err(format!(
                "run as `{command}`: {}, wanted {code}\n{printed}",
                output.status
            ));
        }
        match step
            .printed
            .as_deref()
            .and_then(|shown| differs(shown, &printed))
        {
            Some(difference) => Err(format!("run as `{command}`\n{difference}")),
            None => Ok(()),
        }
    }
}

/// With more words behind it, but before its output goes elsewhere. An option that was there takes the new value; `--set` is one
/// that is given as often as wanted.
fn with(command: &str, more: &str) -> String {
    let (command, elsewhere) = match command.split_once(" > ") {
        Some((command, file)) => (command, format!(" > {file}")),
        None => (command, String::new()),
    };
    let mut words: Vec<String> = shlex::split(command).expect("its quotes end");
    let more = shlex::split(more).expect("its quotes end");
    for option in more
        .iter()
        .filter(|word| word.starts_with("--") && *word != "--set")
    {
        if let Some(at) = words.iter().position(|word| word == option) {
            words.drain(at..at + 2);
        }
    }
    let all = words.iter().chain(&more).map(String::as_str);
    shlex::try_join(all).expect("no zero bytes") + &elsewhere
}

/// Something to look at: a sky, a ground and a disc, another in each.
fn photograph(number: u32) -> Vec<u8> {
    let (width, height) = (240 + 7 * (number % 9), 200 + 11 * (number % 5));
    let (x, y) = (60 + 37 * number % 150, 50 + 29 * number % 110);
    let picture = RgbImage::from_fn(width, height, |i, j| {
        let disc = i.abs_diff(x).pow(2) + j.abs_diff(y).pow(2) < 40 * 40;
        let shade = (i * 5 + j * (3 + number)) % 40;
        let [r, g, b] = match (disc, j > height / 2) {
            (true, _) => [200, 120 + number % 100, 40],
            (false, true) => [60, 110, 50 + number % 60],
            (false, false) => [90, 140, 210],
        };
        image::Rgb([r + shade, g + shade, b + shade].map(|c| c.min(255) as u8))
    });
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 90)
        .encode(&picture, width, height, ExtendedColorType::Rgb8)
        .expect("a picture is encoded");
    bytes
}

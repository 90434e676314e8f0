//! Runs that are killed, meet a full disk or each other, or go on with another recipe.

use super::{Desk, Said, TINY};
use std::{
    env, fs,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Of a splitmix64 sequence: where the kills fall.
struct Moments(u64);

impl Moments {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % end
    }
}

/// Kills of the normal test; the environment may ask for more.
const KILLS: usize = 20;
const MORE: &str = "MIMC_TEST_KILLS";

const LONG: &[&str] = &[
    "run",
    "tiny",
    "--resume",
    "--set",
    "train.epochs=60",
    "--set",
    "train.checkpoint_every=3",
    "--set",
    "train.picture_every=40",
    "--set",
    "data.workers=1",
];

fn start(desk: &Desk, arguments: &[&str]) -> Child {
    let mut command = desk.command(arguments);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.expect("the program starts")
}

/// All files of a run but those that tell times: the name and the content.
fn files(desk: &Desk, folder: &str) -> Vec<(String, Vec<u8>)> {
    let root = desk.path(folder);
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(&root).sort_by_file_name() {
        let path = entry.expect("listed").into_path();
        let name = path
            .strip_prefix(&root)
            .expect("below")
            .display()
            .to_string();
        let times = ["metrics.jsonl", ".lock", "report.html", "manifest.json"];
        let times = times.contains(&name.as_str()) || name.starts_with("tensorboard");
        if path.is_file() && !times {
            files.push((name, fs::read(path).expect("read")));
        }
    }
    files
}

/// What the lines of a run's log say but for the times.
fn logged(desk: &Desk, folder: &str) -> Vec<String> {
    let text = desk.read(&format!("{folder}/metrics.jsonl"));
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let keys = ["step", "epoch", "loss", "lr", "grad_norm"];
        keys.map(|key| line[key].to_string()).join(" ")
    };
    text.lines().map(line).collect()
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_with_the_same_bytes() {
    let kills = env::var(MORE).map_or(KILLS, |kills| kills.parse().expect("a number"));
    let desk = Desk::new();
    let began = Instant::now();
    desk.good(&[LONG, &["--output", "undisturbed"]].concat());
    let whole = began.elapsed().as_millis() as u64;
    let (wanted, steps) = (files(&desk, "undisturbed"), logged(&desk, "undisturbed"));
    assert_eq!(steps.len(), 120);

    let mut moments = Moments(1);
    let (mut killed, mut in_training) = (0, 0);
    for number in 0.. {
        let folder = format!("killed-{number}");
        let arguments = [LONG, &["--output", &folder]].concat();
        while killed < kills {
            let mut child = start(&desk, &arguments);
            thread::sleep(Duration::from_millis(moments.below(whole)));
            let ended = child.try_wait().expect("asked").is_some();
            child.kill().expect("killed, or gone by itself");
            child.wait().expect("it was started");
            if ended {
                break;
            }
            killed += 1;
            in_training += usize::from(desk.path(&folder).join("metrics.jsonl").exists());
        }
        desk.good(&arguments);
        let found = files(&desk, &folder);
        let names = |files: &[(String, Vec<u8>)]| -> Vec<String> {
            files.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&found), names(&wanted), "{folder}");
        for (found, wanted) in found.iter().zip(&wanted) {
            assert!(found == wanted, "{folder}: {} differs", found.0);
        }
        assert_eq!(logged(&desk, &folder), steps, "{folder}");
        if killed == kills {
            break;
        }
    }
    assert!(
        in_training > kills / 4,
        "{in_training} of {kills} kills met a run"
    );
}

#[test]
fn a_second_run_in_a_folder_is_refused_and_a_dead_one_is_no_obstacle() {
    let desk = Desk::new();
    let endless = ["run", "tiny", "--set", "train.epochs=100000"];
    let mut first = start(&desk, &endless);
    while !desk.path("runs/tiny/metrics.jsonl").exists() {
        thread::sleep(Duration::from_millis(20));
    }
    for resume in [&[][..], &["--resume"]] {
        let said = desk.mimc(&[&endless[..], resume].concat());
        assert_eq!(said.code, Some(1), "{}", said.err);
        let told = format!("runs/tiny: process {}, begun ", first.id());
        assert!(
            said.err.contains("another run is at work in"),
            "{}",
            said.err
        );
        assert!(said.err.contains(&told), "{}", said.err);
    }
    assert!(!desk.path("runs/tiny/earlier-1").exists());
    first.kill().expect("killed");
    first.wait().expect("it was started");
    let said = desk.good(&["run", "tiny", "--steps", "1"]);
    assert!(
        said.err.contains("moved the earlier run to"),
        "{}",
        said.err
    );
}

#[test]
fn another_recipe_is_refused_with_its_differences_and_a_longer_one_goes_on() {
    let desk = Desk::new();
    desk.good(&["run", "tiny", "--steps", "3"]);
    let before = files(&desk, "runs/tiny");
    desk.write(
        "recipes/tiny.yaml",
        &TINY
            .replace("depth: 2", "depth: 1")
            .replace("batch: 4", "batch: 8"),
    );
    let said = desk.mimc(&["run", "tiny", "--resume"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    for piece in [
        "runs/tiny/checkpoints/step_000003.safetensors is of another run: model",
        "model.encoder.depth was 2 and is 1; train.batch was 4 and is 8",
        "runs/tiny/recipe.yaml holds that run's recipe",
    ] {
        assert!(said.told().contains(piece), "{}", said.err);
    }
    assert_eq!(files(&desk, "runs/tiny"), before);
    desk.write("recipes/tiny.yaml", TINY);
    let said = desk.good(&[
        "run",
        "tiny",
        "--resume",
        "--steps",
        "4",
        "--set",
        "train.epochs=20",
        "--set",
        "train.keep=2",
    ]);
    let told: Vec<_> = said.err.split_whitespace().collect();
    let told = told.join(" ");
    for piece in [
        "train.epochs 10 → 20 the schedule is laid out anew",
        "train.keep 3 → 2 ",
        "resumed behind step 3",
    ] {
        assert!(told.contains(piece), "no `{piece}` in {told}");
    }
    assert!(said.out.contains("step 4 of 40"), "{}", said.out);
}

#[test]
fn a_run_that_does_not_fit_into_memory_is_refused_before_it_begins() {
    let desk = Desk::new();
    let wide = [
        "model.encoder.depth=12",
        "model.encoder.dim=72",
        "train.batch=200000",
        "train.micro_batch=200000",
    ];
    let said = refused(&desk, &wide);
    assert!(
        said.err.contains("error[memory]: the run needs "),
        "{}",
        said.err
    );
    assert!(said.err.contains(" left"), "{}", said.err);
    assert!(
        said.err.contains("--set train.micro_batch="),
        "{}",
        said.err
    );
    let huge = [
        "model.encoder.depth=24",
        "model.encoder.dim=8192",
        "model.encoder.heads=64",
    ];
    let said = refused(&desk, &huge);
    assert!(
        said.err.contains("even one image at a time takes "),
        "{}",
        said.err
    );
}

fn refused(desk: &Desk, sets: &[&str]) -> Said {
    let sets: Vec<_> = sets.iter().flat_map(|set| ["--set", *set]).collect();
    let said = desk.mimc(&[&["run", "tiny"], &sets[..]].concat());
    assert_eq!(said.code, Some(1), "{}", said.err);
    said
}

/// Runs a script with a small file system of its own mounted at `small`; nothing where the system allows no such thing.
#[cfg(target_os = "linux")]
fn on_a_small_disk(desk: &Desk, script: &str) -> Option<Said> {
    fs::create_dir_all(desk.path("small")).expect("created");
    let mount = "mount -t tmpfs -o size=512k small small";
    let shell = |script: &str| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", script]);
        command.current_dir(desk.path("."));
        command.env("MIMC", env!("CARGO_BIN_EXE_mimc"));
        command.output().ok()
    };
    if !shell(mount)?.status.success() {
        eprintln!("no file system can be mounted here: the simulated disk has to do");
        return None;
    }
    Some(Said::from(shell(&format!("{mount} && {script}"))?))
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_what_was_saved_stays() {
    let desk = Desk::new();
    let keep = "--set train.keep=50 --set train.checkpoint_every=1";
    let script = format!(
        "$MIMC run tiny {keep} --output small/run; code=$?; \
         cp -r small/run kept; exit $code"
    );
    let Some(said) = on_a_small_disk(&desk, &script) else {
        return;
    };
    assert_eq!(said.code, Some(1), "{}", said.err);
    for piece in [
        "51 of them are kept at once, so the disk will be full before the run ends",
        "No space left on device",
        "a checkpoint takes ",
        " are free there",
        "go on with --resume",
    ] {
        assert!(said.told().contains(piece), "no `{piece}` in {}", said.err);
    }
    assert!(!desk.list("kept/checkpoints").is_empty());
    let sets = [
        "--set",
        "train.keep=50",
        "--set",
        "train.checkpoint_every=1",
    ];
    let resumed =
        desk.good(&[&["run", "tiny", "--resume", "--output", "kept"], &sets[..]].concat());
    assert!(
        resumed.err.contains("resumed behind step"),
        "{}",
        resumed.err
    );
    desk.good(&[&["run", "tiny", "--output", "whole"], &sets[..]].concat());
    assert_eq!(logged(&desk, "kept"), logged(&desk, "whole"));
    let last = "checkpoints/step_000020.safetensors";
    let bytes = |run: &str| fs::read(desk.path(run).join(last)).expect("saved");
    assert!(bytes("kept") == bytes("whole"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_written_is_told_before_the_run() {
    let desk = Desk::new();
    let script = "mount -o remount,ro small && $MIMC run tiny --output small/run";
    let Some(said) = on_a_small_disk(&desk, script) else {
        return;
    };
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(
        said.err
            .contains("cannot write small/run: Read-only file system"),
        "{}",
        said.err
    );
    assert!(
        said.told().contains("give another folder with --output"),
        "{}",
        said.err
    );
}

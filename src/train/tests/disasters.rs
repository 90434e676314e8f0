//! Whatever the disk does and whenever the power fails, the run goes on to the bytes of an undisturbed one.

use std::{fs, num::NonZeroUsize, path::Path, sync::Arc};

use super::{
    linear::Linear,
    runs::{BATCH, Place, SIZE, go, records},
    simulated::{Accident, Simulated, Survives},
};
use crate::{
    random::Key,
    train::{checkpoint::latest, error::TrainError, output::Output, run::Run},
};

/// Six steps with three checkpoints, two of which are kept, and a curve at the end.
fn run_in(place: &Place, name: &str) -> Run {
    Run {
        title: "a run".into(),
        epochs: 2.0,
        checkpoint_every: 2,
        keep: NonZeroUsize::new(2).expect("not 0"),
        ..place.run(name)
    }
}

fn on(disk: &Simulated, run: &Run, resume: bool) -> Run {
    Run {
        output: Output::on(Arc::new(disk.clone()), run.output.folder()),
        resume,
        ..run.clone()
    }
}

fn trained(run: &Run) -> Result<(), TrainError> {
    go(run, &mut Linear::new(SIZE, BATCH, 2)).0.map(drop)
}

/// Names and content of everything below a folder but what depends on time.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let walk = walkdir::WalkDir::new(folder).sort_by_file_name();
    let mut files = Vec::new();
    for entry in walk {
        let entry = entry.expect("listed");
        let name = entry.path().strip_prefix(folder).expect("below");
        let name = name.display().to_string();
        if entry.file_type().is_file() && !name.ends_with("metrics.jsonl") && name != ".lock" {
            files.push((name, fs::read(entry.path()).expect("read")));
        }
    }
    files
}

/// What every disaster is compared with.
struct Undisturbed {
    run: Run,
    files: Vec<(String, Vec<u8>)>,
}

impl Undisturbed {
    fn new(place: &Place) -> Self {
        let run = run_in(place, "undisturbed");
        trained(&run).expect("ends well");
        let files = files(run.output.folder());
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [
            "checkpoints/step_000004.safetensors",
            "checkpoints/step_000006.safetensors",
            "loss.png",
            "recipe.yaml",
        ];
        assert_eq!(names, expected);
        Self { run, files }
    }

    /// Goes on without any accident, and compares all there is.
    fn assert_reached(&self, run: &Run, what: &str) {
        let run = on(&Simulated::new(None), run, true);
        trained(&run).unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = files(run.output.folder());
        let names = |files: &[(String, Vec<u8>)]| -> Vec<String> {
            files.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&found), names(&self.files), "{what}");
        for (found, wanted) in found.iter().zip(&self.files) {
            assert!(found == wanted, "{what}: {} differs", found.0);
        }
        assert_eq!(records(&run), records(&self.run), "{what}");
    }
}

/// Operations of a run that nothing happens to.
fn operations(place: &Place) -> usize {
    let disk = Simulated::new(None);
    trained(&on(&disk, &run_in(place, "counted"), false)).expect("ends well");
    disk.operations()
}

#[test]
fn a_power_cut_before_any_operation_loses_nothing() {
    let place = Place::new();
    let undisturbed = Undisturbed::new(&place);
    let operations = operations(&place);
    assert!(operations > 35, "{operations}");
    for at in 0..operations {
        let some = Survives::Some(Key::new(3).at(at as u64));
        for survives in [Survives::Nothing, some] {
            let what = format!("operation {at} of {operations}, {survives:?}");
            let disk = Simulated::new(Some((at, Accident::PowerCut)));
            let run = run_in(&place, "cut");
            trained(&on(&disk, &run, false)).expect_err(&what);
            disk.restart(survives);
            undisturbed.assert_reached(&run, &what);
            fs::remove_dir_all(run.output.folder()).expect("removed");
        }
    }
}

#[test]
fn power_cuts_while_resuming_lose_nothing() {
    let place = Place::new();
    let undisturbed = Undisturbed::new(&place);
    let operations = operations(&place) as u64;
    for trial in 0..40 {
        let key = Key::new(4).at(trial);
        let run = run_in(&place, "cut");
        for cut in 0..4 {
            let at = key.with("at").below(cut, operations / 2) as usize;
            let disk = Simulated::new(Some((at, Accident::PowerCut)));
            if trained(&on(&disk, &run, cut > 0)).is_ok() {
                break;
            }
            disk.restart(Survives::Some(key.with("survives").at(cut)));
        }
        undisturbed.assert_reached(&run, &format!("trial {trial}"));
        fs::remove_dir_all(run.output.folder()).expect("removed");
    }
}

#[test]
fn a_power_cut_while_an_earlier_run_is_moved_aside_keeps_that_run() {
    let place = Place::new();
    let undisturbed = Undisturbed::new(&place);
    let run = run_in(&place, "cut");
    let begin = || {
        let mut earlier = run.clone();
        earlier.data.seed = 8;
        earlier.steps = Some(3);
        trained(&on(&Simulated::new(None), &earlier, false)).expect("ends well");
        let mut files = files(earlier.output.folder());
        for (name, _) in &mut files {
            *name = format!("earlier-1/{name}");
        }
        files
    };
    let expected = begin();
    fs::remove_dir_all(run.output.folder()).expect("removed");
    // Nine operations on a folder that is there move the five entries and sync; the rest is as above.
    for at in 0..14 {
        let some = Survives::Some(Key::new(5).at(at as u64));
        for survives in [Survives::Nothing, some] {
            let what = format!("operation {at}, {survives:?}");
            begin();
            let disk = Simulated::new(Some((at, Accident::PowerCut)));
            trained(&on(&disk, &run, false)).expect_err(&what);
            disk.restart(survives);
            let resumed = on(&Simulated::new(None), &run, true);
            match trained(&resumed) {
                // Nothing had moved yet: the earlier run is still the one of this folder.
                Err(TrainError::AnotherRun { .. }) => {
                    drop(resumed);
                    trained(&on(&Simulated::new(None), &run, false)).expect("ends well");
                }
                ended => ended.unwrap_or_else(|error| panic!("{what}: {error}")),
            }
            let mut wanted = undisturbed.files.clone();
            wanted.extend(expected.clone());
            wanted.sort();
            let mut found = files(run.output.folder());
            found.sort();
            assert!(
                found == wanted,
                "{what}: {:?}",
                found.iter().map(|f| &f.0).collect::<Vec<_>>()
            );
            fs::remove_dir_all(run.output.folder()).expect("removed");
        }
    }
}

#[test]
fn a_disk_that_is_full_or_fails_is_told_and_loses_nothing() {
    let place = Place::new();
    let undisturbed = Undisturbed::new(&place);
    let operations = operations(&place);
    let mut told = Vec::new();
    for accident in [Accident::Full, Accident::Fails] {
        for at in 0..operations {
            let what = format!("operation {at} of {operations}, {accident:?}");
            let disk = Simulated::new(Some((at, accident)));
            let run = run_in(&place, "full");
            let failing = on(&disk, &run, false);
            let checkpoints = run.output.checkpoints();
            // What only removes or syncs goes on when the disk is full.
            if let Err(error) = trained(&failing) {
                assert!(error.help().is_some(), "{what}");
                told.push(error.to_string());
            }
            drop(failing);
            latest(&checkpoints).unwrap_or_else(|error| panic!("{what}: {error}"));
            undisturbed.assert_reached(&run, &what);
            fs::remove_dir_all(run.output.folder()).expect("removed");
        }
    }
    let says = |piece: &str| told.iter().any(|told| told.contains(piece));
    assert!(
        says("no storage space; a checkpoint takes 144 bytes, and 0 bytes are free there"),
        "{told:#?}"
    );
    assert!(says("metrics.jsonl: no storage space"), "{told:#?}");
    assert!(says("loss.png: a bad sector"), "{told:#?}");
    assert!(says("cannot remove an old checkpoint"), "{told:#?}");
}

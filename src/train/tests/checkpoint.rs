use std::{
    collections::BTreeMap,
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use super::linear::Linear;
use crate::train::{
    checkpoint::{Checkpoint, CheckpointError, State, latest, not_finite, prune, save},
    disk::RealDisk,
    step::{Draw, Part, Step},
};

/// A model that has made a few updates, so that its moments are not zero.
fn trained() -> Linear {
    let mut model = Linear::new(4, 2, 2);
    for update in 1..=3 {
        let image: Vec<f32> = (0..96)
            .map(|i| (i as f32 * 0.37 + update as f32).sin())
            .collect();
        let draw = Draw {
            seed: 0,
            step: update - 1,
            first_sample: 0,
        };
        model.feed("image", &image).expect("fits");
        model.accumulate(draw).expect("runs");
        model.apply(0.01, update).expect("runs");
    }
    model
}

fn state(step: u64) -> State {
    State {
        batch: 2,
        epoch: 1,
        graphs: BTreeMap::from([("a.yaml".into(), "1e".into())]),
        images: 12,
        micro_batch: 2,
        names: "0f".into(),
        position: 4,
        recipe: "doc: \"a\"\n".into(),
        seed: u64::MAX,
        step,
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn save_at(folder: &Path, step: u64) -> PathBuf {
    save(&RealDisk, folder, &trained(), &state(step)).expect("saved")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("listed");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<_> = entries.map(|entry| name(entry.expect("listed"))).collect();
    names.sort();
    names
}

#[test]
fn a_checkpoint_holds_weights_moments_and_place() {
    let folder = folder();
    let model = trained();
    let path = save(&RealDisk, folder.path(), &model, &state(200)).expect("saved");
    assert_eq!(path, folder.path().join("step_000200.safetensors"));
    let mut checkpoint = Checkpoint::open(&path).expect("sound");
    assert_eq!(*checkpoint.state(), state(200));
    let mut other = Linear::new(4, 2, 2);
    assert_ne!(other.bits(), model.bits());
    checkpoint.restore(&mut other).expect("fits");
    assert_eq!(other.bits(), model.bits());
}

#[test]
fn names_are_the_models_and_the_note_is_sorted() {
    let folder = folder();
    let bytes = fs::read(save_at(folder.path(), 7)).expect("written");
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a safetensors file");
    let names = [
        "encoder.weight",
        "decoder.0.bias",
        "optimizer.exp_avg.encoder.weight",
        "optimizer.exp_avg.decoder.0.bias",
        "optimizer.exp_avg_sq.encoder.weight",
        "optimizer.exp_avg_sq.decoder.0.bias",
    ];
    assert_eq!(header.offset_keys(), names);
    let notes = header.metadata().as_ref().expect("a note");
    let (checksum, rest) = notes["mimc"].split_at(46);
    let digits = checksum.strip_prefix("{\"checksum\":\"").expect("first");
    assert_eq!(digits.trim_matches(|c: char| c.is_ascii_hexdigit()), "\"");
    assert_eq!(
        rest,
        ",\"format\":2,\"state\":{\"batch\":2,\"epoch\":1,\"graphs\":{\"a.yaml\":\"1e\"},\"images\":12,\"micro_batch\":2,\
         \"names\":\"0f\",\"position\":4,\"recipe\":\"doc: \\\"a\\\"\\n\",\
         \"seed\":18446744073709551615,\"step\":7}}"
    );
    assert_eq!(notes.len(), 1);
}

#[test]
fn same_state_same_bytes() {
    let (one, other) = (folder(), folder());
    let bytes = |path: PathBuf| fs::read(path).expect("written");
    assert_eq!(
        bytes(save_at(one.path(), 3)),
        bytes(save_at(other.path(), 3))
    );
}

#[test]
fn old_checkpoints_go_and_later_ones_stay() {
    let folder = folder();
    for step in [900, 100, 200, 1_000_000, 300] {
        save_at(folder.path(), step);
    }
    fs::write(folder.path().join("notes.txt"), "mine").expect("written");
    prune(
        &RealDisk,
        folder.path(),
        NonZeroUsize::new(2).expect("not 0"),
        300,
    )
    .expect("pruned");
    let left = [
        "notes.txt",
        "step_000200.safetensors",
        "step_000300.safetensors",
        "step_000900.safetensors",
        "step_1000000.safetensors",
    ];
    assert_eq!(names(folder.path()), left);
}

#[test]
fn the_latest_sound_one_is_found() {
    let folder = folder();
    assert!(
        latest(&folder.path().join("none"))
            .expect("no error")
            .is_none()
    );
    assert!(latest(folder.path()).expect("no error").is_none());
    for step in [999_999, 1_000_000, 1_000_001] {
        save_at(folder.path(), step);
    }
    let newest = folder.path().join("step_1000001.safetensors");
    let bytes = fs::read(&newest).expect("written");
    fs::write(&newest, &bytes[..bytes.len() - 5]).expect("cut short");
    let (found, damaged) = latest(folder.path()).expect("one is sound").expect("found");
    assert_eq!(found.state().step, 1_000_000);
    assert_eq!(damaged.len(), 1);
    assert!(
        damaged[0]
            .to_string()
            .contains("step_1000001.safetensors: it should be")
    );
    for step in ["999999", "1000000"] {
        fs::write(
            folder.path().join(format!("step_{step}.safetensors")),
            "junk",
        )
        .expect("written");
    }
    let error = latest(folder.path()).expect_err("none is sound");
    let told = error.to_string();
    let start = format!(
        "none of the 3 checkpoints in {} is sound; cannot read the checkpoint {}: it should be",
        folder.path().display(),
        newest.display()
    );
    assert!(told.starts_with(&start), "{told}");
    assert!(told.contains("step_999999.safetensors: it "), "{told}");
    assert!(error.help().contains("start anew without --resume"));
}

#[test]
fn any_flipped_bit_is_noticed() {
    let folder = folder();
    let path = save_at(folder.path(), 1);
    let bytes = fs::read(&path).expect("written");
    let other = folder.path().join("flipped");
    // All bits of the sealed file are tried beside its writer; here, one in each byte.
    for (at, bit) in (0..bytes.len()).zip((0..8).cycle()) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << bit;
        fs::write(&other, flipped).expect("written");
        assert!(Checkpoint::open(&other).is_err(), "bit {bit} of byte {at}");
    }
    let mut changed = bytes.clone();
    *changed.last_mut().expect("not empty") ^= 1;
    fs::write(&other, changed).expect("written");
    let error = Checkpoint::open(&other).expect_err("one number is another");
    assert!(matches!(error, CheckpointError::Damaged { .. }), "{error}");
}

#[test]
fn numbers_that_are_not_finite_are_found_in_every_part() {
    let mut model = trained();
    assert_eq!(not_finite(&model), Ok(None));
    let names = [
        (Part::Value, "decoder.0.bias"),
        (Part::FirstMoment, "optimizer.exp_avg.decoder.0.bias"),
        (Part::SecondMoment, "optimizer.exp_avg_sq.decoder.0.bias"),
    ];
    for (part, name) in names {
        let mut sound = [0.0; 3];
        model.read(part, 1, &mut sound).expect("held");
        model
            .write(part, 1, &[0.0, f32::INFINITY, 0.0])
            .expect("held");
        assert_eq!(not_finite(&model), Ok(Some(name.to_owned())));
        model.write(part, 1, &sound).expect("held");
    }
}

#[test]
fn what_does_not_fit_is_named_and_changes_nothing() {
    let folder = folder();
    let path = save_at(folder.path(), 1);
    let mut checkpoint = Checkpoint::open(&path).expect("sound");
    let mut other = Linear::new(4, 2, 2).renamed("encoder.wieght");
    let before = other.bits();
    let error = checkpoint
        .restore(&mut other)
        .expect_err("has another name");
    assert_eq!(
        error.to_string().split_once(": ").expect("two halves").1,
        "3 tensors are missing: encoder.wieght (nearest: encoder.weight), \
         optimizer.exp_avg.encoder.wieght (nearest: optimizer.exp_avg.encoder.weight), \
         optimizer.exp_avg_sq.encoder.wieght (nearest: optimizer.exp_avg_sq.encoder.weight); \
         3 tensors are not the model's: encoder.weight, optimizer.exp_avg.encoder.weight, \
         optimizer.exp_avg_sq.encoder.weight"
    );
    assert_eq!(other.bits(), before);
}

#[test]
fn other_shapes_formats_and_files_are_told_apart() {
    let folder = folder();
    let path = save_at(folder.path(), 1);
    let patched = |from: &str, to: &str| {
        let bytes = fs::read(&path).expect("written");
        let at = bytes
            .windows(from.len())
            .position(|w| w == from.as_bytes())
            .expect("there");
        let mut bytes = bytes;
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        let other = folder.path().join("other.safetensors");
        fs::write(&other, bytes).expect("written");
        Checkpoint::open(&other)
    };
    let newer = patched("\\\"format\\\":2,", "\\\"format\\\":3,").expect_err("unknown");
    assert!(
        newer
            .to_string()
            .ends_with("is of format 3, and this mimc reads format 2")
    );
    let foreign = patched("\"mimc\"", "\"them\"").expect_err("not ours");
    assert!(matches!(foreign, CheckpointError::Foreign { .. }));
    let mut sound = Checkpoint::open(&path).expect("sound");
    let error = sound
        .restore(&mut Linear::new(4, 2, 2).reshaped(&[9, 1]))
        .expect_err("another shape");
    assert!(
        error.to_string().ends_with(
            "3 tensors are of another shape: encoder.weight [3, 3], wanted [9, 1], \
             optimizer.exp_avg.encoder.weight [3, 3], wanted [9, 1], \
             optimizer.exp_avg_sq.encoder.weight [3, 3], wanted [9, 1]"
        ),
        "{error}"
    );
}

use std::fs;

use super::{
    linear::{Accident, Linear},
    runs::{BATCH, Place, SIZE, TOTAL, checkpoint, finished, go, go_until, records},
};
use crate::{
    data::Source,
    train::{run::Run, stop::Stop},
};

#[test]
fn a_resumed_run_makes_the_same_bits() {
    let place = Place::new();
    resumes_to_the_same_bits(|name| place.run(name));
}

#[test]
fn a_resumed_run_that_reads_from_front_to_back_makes_the_same_bits() {
    let place = Place::new();
    let images = Source::Folder(place.archives());
    resumes_to_the_same_bits(|name| {
        let mut run = place.run(name);
        run.data.images = images.clone();
        run.data.shuffle_buffer = Some(5);
        run
    });
}

/// Stops a run of this name at every step, and goes on from there.
fn resumes_to_the_same_bits(named: impl Fn(&str) -> Run) {
    let whole = named("whole");
    let (model, _) = finished(&whole);
    for stop_at in 1..TOTAL {
        let mut run = named(&format!("cut at {stop_at}"));
        run.steps = Some(stop_at);
        finished(&run);
        assert_eq!(
            records(&run),
            records(&whole)[..stop_at as usize],
            "the schedule is that of the whole run"
        );
        run = Run {
            steps: None,
            resume: true,
            ..run
        };
        let mut resumed = Linear::new(SIZE, BATCH, 2);
        let (summary, heard) = go(&run, &mut resumed);
        assert_eq!(
            summary.expect("ends well").images,
            (TOTAL - stop_at) * BATCH as u64
        );
        assert_eq!(
            heard[0],
            format!("resumed step_{stop_at:06}.safetensors {stop_at}")
        );
        assert_eq!(resumed.bits(), model.bits());
        assert_eq!(records(&run), records(&whole));
        let bytes = |run: &Run| fs::read(checkpoint(run, TOTAL)).expect("saved");
        assert!(bytes(&run) == bytes(&whole), "the last checkpoints differ");
    }
}

#[test]
fn steps_behind_the_last_checkpoint_are_made_again() {
    let place = Place::new();
    let whole = place.run("whole");
    finished(&whole);
    let mut run = place.run("killed");
    run.checkpoint_every = 4;
    run.steps = Some(7);
    finished(&run);
    // As if the program had been killed at step 7.
    fs::remove_file(checkpoint(&run, 7)).expect("it was there");
    run = Run {
        steps: None,
        resume: true,
        ..run
    };
    let (summary, heard) = go(&run, &mut Linear::new(SIZE, BATCH, 2));
    summary.expect("ends well");
    assert_eq!(
        heard[..2],
        ["resumed step_000004.safetensors 4", "started 4 to 12 of 12"]
    );
    assert_eq!(
        heard[2..],
        [
            "saved step_000008.safetensors",
            "saved step_000012.safetensors"
        ]
    );
    assert_eq!(records(&run), records(&whole));
}

#[test]
fn a_signal_saves_the_last_optimizer_step() {
    let place = Place::new();
    let whole = place.run("whole");
    let (model, _) = finished(&whole);
    // Steps take two micro-batches: run 7 is the first half of step 4, run 8 its second.
    let kinds: [fn(Stop) -> Accident; 2] = [Accident::Signal, Accident::Interrupt];
    for (signal_at, made, kind) in [(7, 3, 0), (8, 4, 0), (1, 0, 0), (7, 3, 1), (8, 3, 1)] {
        let stop = Stop::default();
        let mut run = place.run(&format!("signal {kind} at {signal_at}"));
        let mut stopped = Linear::new(SIZE, BATCH, 2);
        stopped.accident = Some((signal_at, kinds[kind](stop.clone())));
        let (summary, heard) = go_until(&run, &mut stopped, &stop);
        let summary = summary.expect("a signal is no error");
        assert!(summary.interrupted);
        assert_eq!((summary.step, stopped.runs), (made, signal_at));
        assert_eq!(heard[1], "stopping");
        assert_eq!(checkpoint(&run, made).exists(), made > 0);
        run.resume = true;
        let mut resumed = Linear::new(SIZE, BATCH, 2);
        go(&run, &mut resumed).0.expect("ends well");
        assert_eq!(resumed.bits(), model.bits());
        assert_eq!(records(&run), records(&whole));
    }
}

#[test]
fn without_a_checkpoint_a_resumed_run_starts_at_0() {
    let place = Place::new();
    let mut run = place.run("a");
    run.resume = true;
    let (summary, heard) = go(&run, &mut Linear::new(SIZE, BATCH, 2));
    summary.expect("ends well");
    assert_eq!(heard[..2], ["nothing to resume", "started 0 to 12 of 12"]);
    let (summary, heard) = go(&run, &mut Linear::new(SIZE, BATCH, 2));
    let summary = summary.expect("nothing is left to do");
    assert_eq!((summary.step, summary.images, summary.loss), (12, 0, None));
    assert_eq!(
        heard,
        [
            "resumed step_000012.safetensors 12",
            "started 12 to 12 of 12"
        ]
    );
    assert_eq!(records(&run).len(), 12);
}

#[test]
fn another_run_is_refused_key_by_key() {
    let place = Place::new();
    let mut run = place.run("a");
    run.steps = Some(5);
    finished(&run);
    let before = fs::read(checkpoint(&run, 5)).expect("saved");
    run = Run {
        steps: None,
        resume: true,
        ..run
    };
    let refusal = |run: &Run| {
        let (result, _) = go(run, &mut Linear::new(SIZE, run.batch, 2));
        let error = result.expect_err("the run has changed");
        let help = error.help().expect("there is a way");
        assert!(help.contains("recipe.yaml"), "{help}");
        let error = error.to_string();
        let (_, changes) = error.split_once(" is of another run: ").expect("refused");
        changes.to_owned()
    };
    let mut seed = run.clone();
    seed.data.seed = 8;
    assert_eq!(refusal(&seed), "train.seed was 7 and is 8");
    let batch = Run {
        batch: 6,
        ..run.clone()
    };
    assert_eq!(refusal(&batch), "train.batch was 4 and is 6");
    let recipe = Run {
        recipe: "doc: a test\nmodel: { graph: other, depth: 2 }\ntrain: { epochs: 4 }\n".into(),
        ..run.clone()
    };
    assert_eq!(
        refusal(&recipe),
        "model.depth was absent and is 2; model.graph was absent and is other"
    );
    for number in 12..17 {
        let image = place.images().join("00.png");
        fs::copy(image, place.images().join(format!("{number}.png"))).expect("copied");
    }
    assert_eq!(
        refusal(&run),
        "what data.images holds was 12 images and is 17 images"
    );
    assert_eq!(fs::read(checkpoint(&run, 5)).expect("still there"), before);
}

#[test]
fn what_may_change_is_told_and_the_run_goes_on() {
    let place = Place::new();
    let mut run = place.run("a");
    run.steps = Some(5);
    finished(&run);
    run = Run {
        recipe: "doc: a test\ntrain: { epochs: 8, keep: 2 }\n".into(),
        epochs: 8.0,
        graphs: [("graphs/a.yaml".to_owned(), "2f".to_owned())].into(),
        steps: Some(13),
        resume: true,
        ..run
    };
    // One more image makes no more steps of an epoch, but another order.
    let image = place.images().join("00.png");
    fs::copy(image, place.images().join("zz.png")).expect("copied");
    let (summary, heard) = go(&run, &mut Linear::new(SIZE, BATCH, 4));
    assert_eq!(summary.expect("ends well").total, 24);
    assert_eq!(
        heard[..2],
        [
            "train.epochs was 4 and is 8; train.keep was 3 and is 2; \
             train.micro_batch was 2 and is 4; graphs/a.yaml was one text and is another; \
             what data.images holds was 12 images and is 13 images",
            "resumed step_000005.safetensors 5"
        ]
    );
    let steps: Vec<_> = records(&run).iter().map(|record| record.0).collect();
    assert_eq!(steps, (1..=13).collect::<Vec<_>>());
}

#[test]
fn images_may_move_to_another_folder() {
    let place = Place::new();
    let whole = place.run("whole");
    let (model, _) = finished(&whole);
    let mut run = place.run("a");
    run.steps = Some(5);
    finished(&run);
    let moved = match cfg!(unix) {
        true => "two\nlines",
        false => "photos",
    };
    let moved = place.images().with_file_name(moved);
    fs::rename(place.images(), &moved).expect("moved");
    run.data.images = Source::Folder(moved);
    run = Run {
        steps: None,
        resume: true,
        ..run
    };
    let mut resumed = Linear::new(SIZE, BATCH, 2);
    let (summary, heard) = go(&run, &mut resumed);
    summary.expect("ends well");
    assert_eq!(heard[0], "resumed step_000005.safetensors 5");
    assert_eq!(resumed.bits(), model.bits());
}

#[test]
fn damaged_checkpoints_are_passed_over_and_told() {
    let place = Place::new();
    let whole = place.run("whole");
    let (model, _) = finished(&whole);
    let mut run = place.run("a");
    run.checkpoint_every = 3;
    run.steps = Some(9);
    finished(&run);
    let flip = |step: u64| {
        let path = checkpoint(&run, step);
        let mut bytes = fs::read(&path).expect("saved");
        let middle = bytes.len() - 20;
        bytes[middle] ^= 4;
        fs::write(path, bytes).expect("damaged");
    };
    let run = Run {
        steps: None,
        resume: true,
        ..run.clone()
    };
    flip(9);
    let bytes = fs::read(checkpoint(&run, 6)).expect("saved");
    fs::write(checkpoint(&run, 6), &bytes[..bytes.len() / 2]).expect("cut short");
    let stray = run
        .output
        .checkpoints()
        .join(".step_000007.safetensors.partial");
    fs::write(&stray, "of a run that was killed").expect("written");
    let mut resumed = Linear::new(SIZE, BATCH, 2);
    let (summary, heard) = go(&run, &mut resumed);
    summary.expect("ends well");
    assert_eq!(
        heard[..3],
        ["damaged", "damaged", "resumed step_000003.safetensors 3"]
    );
    assert_eq!(resumed.bits(), model.bits());
    assert!(!stray.exists());
    for step in [6, 9, 12] {
        flip(step);
    }
    let before = fs::read(run.output.metrics()).expect("logged");
    let (result, _) = go(&run, &mut Linear::new(SIZE, BATCH, 2));
    let told = result.expect_err("none is sound").to_string();
    assert!(told.starts_with("none of the 3 checkpoints in "), "{told}");
    assert_eq!(told.matches(" is damaged").count(), 3, "{told}");
    assert_eq!(fs::read(run.output.metrics()).expect("kept"), before);
}

#[test]
fn pictures_and_curve_are_those_of_the_steps_that_were_made() {
    let place = Place::new();
    let mut run = place.run("a");
    run.checkpoint_every = 4;
    run.steps = Some(6);
    finished(&run);
    let early = fs::read(run.output.curve()).expect("drawn");
    fs::remove_file(checkpoint(&run, 6)).expect("it was there");
    for step in [4, 6, 100] {
        fs::write(run.output.picture(step), "a picture").expect("written");
    }
    run = Run {
        steps: Some(4),
        resume: true,
        ..run
    };
    finished(&run);
    assert_eq!(records(&run).len(), 4);
    assert!(run.output.picture(4).exists());
    assert!(!run.output.picture(6).exists() && !run.output.picture(100).exists());
    assert!(fs::read(run.output.curve()).expect("drawn") != early);
}

#[test]
fn an_unfinished_start_of_another_recipe_is_set_aside() {
    let place = Place::new();
    let run = place.run("a");
    finished(&run);
    fs::remove_dir_all(run.output.checkpoints()).expect("removed");
    let again = Run {
        resume: true,
        ..run.clone()
    };
    let (_, heard) = go(&again, &mut Linear::new(SIZE, BATCH, 2));
    assert_eq!(heard[..2], ["nothing to resume", "started 0 to 12 of 12"]);
    fs::remove_dir_all(run.output.checkpoints()).expect("removed");
    let other = Run {
        recipe: "doc: another\n".into(),
        ..again
    };
    let (_, heard) = go(&other, &mut Linear::new(SIZE, BATCH, 2));
    assert_eq!(heard[..2], ["nothing to resume", "set aside earlier-1"]);
    let aside = run.output.folder().join("earlier-1/metrics.jsonl");
    let kept = fs::read_to_string(aside).expect("kept");
    assert_eq!(kept.lines().count(), 12);
}

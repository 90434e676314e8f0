use std::fs;

use super::{
    linear::{Accident, Linear},
    runs::{BATCH, Place, SIZE, TOTAL, checkpoint, finished, go, go_until, records},
};
use crate::train::{run::Run, signals::Stop};

#[test]
fn a_resumed_run_makes_the_same_bits() {
    let place = Place::new();
    let whole = place.run("whole");
    let (model, _) = finished(&whole);
    for stop_at in 1..TOTAL {
        let mut run = place.run(&format!("cut at {stop_at}"));
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
    for (signal_at, made) in [(7, 3), (8, 4), (1, 0)] {
        let stop = Stop::default();
        let mut run = place.run(&format!("signal at {signal_at}"));
        let mut stopped = Linear::new(SIZE, BATCH, 2);
        stopped.accident = Some((signal_at, Accident::Signal(stop.clone())));
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
fn what_would_not_go_on_to_the_same_bits_is_refused() {
    let place = Place::new();
    let mut run = place.run("a");
    run.steps = Some(5);
    finished(&run);
    run = Run {
        steps: None,
        resume: true,
        ..run
    };
    let refusal = |run: &Run, micro_batch: usize| {
        let (result, _) = go(run, &mut Linear::new(SIZE, run.batch, micro_batch));
        result.expect_err("the run has changed").to_string()
    };
    let mut seed = run.clone();
    seed.data.seed = 8;
    assert_eq!(
        refusal(&seed, 2),
        "train.seed was 7 when the checkpoint was written and is 8 now"
    );
    assert_eq!(
        refusal(&run, 4),
        "the micro-batch was 2 when the checkpoint was written and is 4 now"
    );
    let batch = Run {
        batch: 6,
        ..run.clone()
    };
    assert_eq!(
        refusal(&batch, 2),
        "the place in the data was image 8 of epoch 1 when the checkpoint was written and is image 6 of epoch 2 now"
    );
    let recipe = Run {
        recipe: "doc: another\n".into(),
        ..run
    };
    let (summary, heard) = go(&recipe, &mut Linear::new(SIZE, BATCH, 2));
    summary.expect("ends well");
    assert_eq!(heard[0], "recipe changed");
}

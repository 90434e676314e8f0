use std::{fs, path::Path, sync::Arc};

use image::RgbImage;

use super::{
    linear::{Accident, Linear},
    runs::{BATCH, Heard, Place, SIZE, TOTAL, checkpoint, finished, go, records},
    simulated::Simulated,
};
use crate::train::{
    error::TrainError,
    metrics::{self, Record},
    output::Output,
    run::{Event, Observer, Run, Summary},
    trainer::Trainer,
};

#[test]
fn a_run_trains_and_leaves_its_results() {
    let place = Place::new();
    let run = place.run("a");
    let (_, summary) = finished(&run);
    let records = metrics::read(&run.output.metrics()).expect("logged");
    assert_eq!(
        records.iter().map(|r| r.step).collect::<Vec<_>>(),
        (1..=TOTAL).collect::<Vec<_>>()
    );
    assert_eq!(
        records.iter().map(|r| r.epoch).collect::<Vec<_>>(),
        [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    );
    assert!(records[11].loss < 0.9 * records[0].loss, "{records:?}");
    assert!(
        records
            .iter()
            .all(|r| r.seconds > 0.0 && r.data_wait <= r.seconds && r.images_per_s > 0.0)
    );
    // 4 of 512 images: the warm-up goes from 0.01 to 1 in three steps, and its first rate is used twice.
    let rates: Vec<_> = records[..4].iter().map(|r| r.lr * 128.0).collect();
    for (got, want) in rates.iter().zip([0.01, 0.01, 0.34, 0.67]) {
        assert!((got - want).abs() < 1e-12, "{rates:?}");
    }
    assert_eq!(
        fs::read_to_string(run.output.recipe()).expect("written"),
        run.recipe
    );
    assert!(run.output.curve().exists());
    let expected = Summary {
        step: TOTAL,
        total: TOTAL,
        loss: Some(records[11].loss),
        seconds: summary.seconds,
        images: TOTAL * BATCH as u64,
        unreadable: 0,
        checkpoint: Some(checkpoint(&run, TOTAL)),
        picture: None,
        interrupted: false,
    };
    assert_eq!(summary, expected);
}

#[test]
fn any_micro_batch_trains_alike() {
    let place = Place::new();
    let losses = [1, 2, 4].map(|micro_batch| {
        let run = place.run(&format!("micro-batch {micro_batch}"));
        let mut model = Linear::new(SIZE, BATCH, micro_batch);
        go(&run, &mut model).0.expect("ends well");
        assert_eq!(model.runs, TOTAL * (BATCH / micro_batch) as u64);
        let records = metrics::read(&run.output.metrics()).expect("logged");
        records.iter().map(|r| r.loss as f64).collect::<Vec<_>>()
    });
    for other in &losses[1..] {
        for (a, b) in losses[0].iter().zip(other) {
            assert!((a / b - 1.0).abs() < 1e-5, "{losses:?}");
        }
    }
    let (error, _) = go(&place.run("none"), &mut Linear::new(SIZE, BATCH, 3));
    let error = error.expect_err("3 does not divide 4");
    assert_eq!(
        error.to_string(),
        "the batch of 4 images is no multiple of the micro-batch of 3"
    );
}

#[test]
fn numbers_that_are_not_finite_stop_the_run() {
    let place = Place::new();
    let accidents = [
        (Accident::LossIsNan, "loss", 2),
        (Accident::GradientIsInfinite, "gradient norm", 4),
    ];
    for (accident, what, files_seen) in accidents {
        let mut run = place.run(what);
        run.checkpoint_every = 2;
        let mut model = Linear::new(SIZE, BATCH, 2);
        model.accident = Some((8, accident));
        let error = go(&run, &mut model).0.expect_err("must stop");
        let TrainError::NonFinite {
            step,
            files,
            checkpoint: last,
            ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!((*step, files.len()), (4, files_seen));
        assert!(
            files.iter().all(|file| Path::new(file).exists()),
            "{files:?}"
        );
        assert_eq!(*last, Some(checkpoint(&run, 2)));
        assert!(
            error
                .to_string()
                .starts_with(&format!("the {what} of step 4 is ")),
            "{error}"
        );
        assert!(!checkpoint(&run, 3).exists() && !checkpoint(&run, 4).exists());
        assert_eq!(records(&run).len(), 3);
    }
}

/// Takes the images away behind step 2.
struct Vandal<'a>(&'a Place);

impl Observer for Vandal<'_> {
    fn observe(&mut self, event: Event<'_>) {
        if let Event::Step(Record { step: 2, .. }) = event {
            fs::remove_dir_all(self.0.images()).expect("removed");
        }
    }
}

#[test]
fn a_state_that_is_not_finite_is_not_saved() {
    let place = Place::new();
    let mut run = place.run("a");
    run.checkpoint_every = 2;
    let mut model = Linear::new(SIZE, BATCH, 2);
    model.accident = Some((7, Accident::MomentIsInfinite));
    let error = go(&run, &mut model).0.expect_err("must stop");
    let told = format!(
        "`optimizer.exp_avg_sq.decoder.0.bias` holds a number that is not finite behind step 4, \
         so that state is not saved; the last good checkpoint is {}",
        checkpoint(&run, 2).display()
    );
    assert_eq!(error.to_string(), told);
    assert!(error.help().is_some_and(|help| help.contains("base_lr")));
    assert!(checkpoint(&run, 2).exists() && !checkpoint(&run, 4).exists());
}

#[test]
fn a_folder_takes_one_run_at_a_time() {
    let place = Place::new();
    let run = place.run("a");
    run.output.claim().expect("free");
    let other = place.run("a");
    let error = go(&other, &mut Linear::new(SIZE, BATCH, 2)).0;
    let told = error.expect_err("it is taken").to_string();
    let process = format!(": process {}, begun ", std::process::id());
    assert!(told.contains(&process), "{told}");
    assert!(!run.output.metrics().exists());
    drop(run);
    finished(&other);
}

#[test]
fn a_disk_without_room_for_the_checkpoints_is_told_at_the_start() {
    let place = Place::new();
    let disk = Simulated::new(None);
    let mut run = place.run("a");
    run.output = Output::on(Arc::new(disk.clone()), run.output.folder());
    disk.leave_free(500);
    let (_, heard) = go(&run, &mut Linear::new(SIZE, BATCH, 2));
    assert_eq!(heard[0], "no room for 4");
    // What is there already takes no more.
    run.resume = true;
    disk.leave_free(0);
    let (_, heard) = go(&run, &mut Linear::new(SIZE, BATCH, 2));
    assert!(!heard.contains(&"no room for 4".to_owned()), "{heard:?}");
}

#[test]
fn too_many_unreadable_images_stop_the_run_and_keep_its_state() {
    let place = Place::new();
    let run = place.run("a");
    let mut model = Linear::new(SIZE, BATCH, 2);
    let mut vandal = Vandal(&place);
    let trainer = Trainer::new(&run, &mut model).observer(&mut vandal);
    let error = trainer.train().expect_err("no images are left");
    assert!(matches!(error, TrainError::Data(_)), "{error}");
    assert!(error.to_string().starts_with("11 of the first "), "{error}");
    // What had been read by then was still trained on.
    let made = records(&run).len() as u64;
    assert!((2..TOTAL).contains(&made), "{made}");
    assert!(checkpoint(&run, made).exists());
}

#[test]
fn a_new_run_sets_the_earlier_one_aside() {
    let place = Place::new();
    let run = place.run("a");
    finished(&run);
    let (summary, heard) = go(&run, &mut Linear::new(SIZE, BATCH, 2));
    summary.expect("ends well");
    assert_eq!(heard[..2], ["set aside earlier-1", "started 0 to 12 of 12"]);
    assert_eq!(records(&run).len(), 12);
    assert!(
        run.output
            .folder()
            .join("earlier-1/checkpoints/step_000012.safetensors")
            .exists()
    );
}

#[test]
fn pictures_are_drawn_on_the_way_and_at_the_end() {
    let place = Place::new();
    let mut run = place.run("a");
    run.picture_every = 5;
    let (mut training, mut pictures) = (Linear::new(SIZE, BATCH, 2), Linear::new(SIZE, 3, 3));
    let mut heard = Heard::default();
    let trainer = Trainer::new(&run, &mut training)
        .pictures(&mut pictures)
        .observer(&mut heard);
    let summary = trainer.train().expect("ends well");
    assert_eq!(
        heard.0[1..],
        [
            "drew step_000005.png",
            "drew step_000010.png",
            "drew step_000012.png",
            "saved step_000012.safetensors"
        ]
    );
    assert_eq!(summary.picture, Some(run.output.picture(12)));
    let sheet = |step: u64| {
        image::open(run.output.picture(step))
            .expect("a picture")
            .into_rgb8()
    };
    let (early, late) = (sheet(5), sheet(12));
    assert!(late.width() >= 800);
    // Masks and originals stay, reconstructions change: the panels of a group are equally wide.
    let panel = late.width() / 8;
    let center =
        |sheet: &RgbImage, column: u32| *sheet.get_pixel(column * panel + panel / 2, panel);
    assert_eq!(center(&early, 0), center(&late, 0));
    assert_eq!(center(&early, 1), center(&late, 1));
    assert_ne!(center(&early, 2), center(&late, 2));
    // Drawing does not touch the training.
    let (model, _) = finished(&place.run("without pictures"));
    assert_eq!(training.bits(), model.bits());
}

#[test]
fn gradients_are_told_where_pictures_are_due_and_make_up_the_norm() {
    let place = Place::new();
    let run = Run {
        picture_every: 5,
        ..place.run("a")
    };
    let mut told = Vec::new();
    let mut norms = Vec::new();
    let mut observer = |event: Event<'_>| match event {
        Event::Gradients(gradients) => {
            let squares = gradients.norms.iter().map(|norm| norm * norm);
            told.push((gradients.step, squares.sum::<f32>().sqrt()));
            let names: Vec<_> = gradients.weights.iter().map(|w| w.name.as_str()).collect();
            assert_eq!(names.len(), gradients.norms.len());
        }
        Event::Step(record) => norms.push(record.grad_norm),
        _ => {}
    };
    let mut model = Linear::new(SIZE, BATCH, 2);
    let trainer = Trainer::new(&run, &mut model).observer(&mut observer);
    trainer.train().expect("the run ends well");
    let steps: Vec<u64> = told.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [5, 10, TOTAL]);
    for (step, norm) in told {
        let all = norms[step as usize - 1];
        assert!((norm / all - 1.0).abs() < 1e-4, "{norm} and {all}");
    }
}

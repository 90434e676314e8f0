//! `mimc run` on images of one's own: what cannot be read, what is held out.

use super::{
    Desk,
    run::{metrics, numbers},
};
use serde_json::Value;
use std::fs;

/// A folder of as many pictures, some of them empty files.
fn photographs(desk: &Desk, count: usize, empty: impl Fn(usize) -> bool) {
    for number in 0..count {
        let path = desk.path(&format!("photos/{number:02}.png"));
        desk.write(&format!("photos/{number:02}.png"), "");
        if !empty(number) {
            let picture = image::RgbImage::from_fn(64, 64, |x, y| {
                image::Rgb([x as u8 * 2, y as u8 * 2, number as u8])
            });
            picture.save(path).expect("written");
        }
    }
}

#[test]
fn unreadable_images_are_passed_over_named_once_and_counted() {
    let desk = Desk::new();
    photographs(&desk, 9, |number| number == 3 || number == 4);
    let train = ["run", "tiny", "--data", "photos", "--output", "out"];
    // Four steps are two epochs: each image is met.
    let said = desk.good(&[&train[..], &["--steps", "4"]].concat());
    for name in ["03", "04"] {
        let told = format!("passed over photos/{name}.png: the file is empty");
        assert_eq!(said.err.matches(&told).count(), 1, "{}", said.err);
    }
    let told = "unreadable  2 images passed over: out/unreadable.txt";
    assert!(said.out.contains(told), "{}", said.out);
    let mut named: Vec<_> = desk
        .read("out/unreadable.txt")
        .lines()
        .map(str::to_owned)
        .collect();
    named.sort();
    let line = |name: &str| format!("photos/{name}.png\tthe file is empty");
    assert_eq!(named, [line("03"), line("04")]);

    let said = desk.good(&[&train[..], &["--steps", "8", "--resume"]].concat());
    assert!(!said.err.contains("passed over"), "{}", said.err);
    assert!(said.out.contains(told), "{}", said.out);
    desk.good(&[
        "run", "tiny", "--data", "photos", "--output", "whole", "--steps", "8",
    ]);
    assert_eq!(numbers(&desk, "out"), numbers(&desk, "whole"));
}

#[test]
fn too_many_unreadable_images_stop_the_run_with_its_state_saved() {
    let desk = Desk::new();
    photographs(&desk, 24, |number| number >= 12);
    let said = desk.mimc(&["run", "tiny", "--data", "photos"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    for piece in [
        "error[data]: 11 of the first ",
        "more than 5 % are too many: photos/",
        "(the file is empty)",
        "and 8 more",
        "help: `mimc data`",
    ] {
        assert!(said.told().contains(piece), "no `{piece}` in {}", said.err);
    }
}

#[test]
fn images_held_out_tell_their_loss_and_change_no_training() {
    let desk = Desk::new();
    for number in 0..6u8 {
        let picture = image::RgbImage::from_fn(60, 50, |x, y| {
            image::Rgb([
                (x as u8).wrapping_mul(number),
                y as u8 * 4,
                90 + 10 * number,
            ])
        });
        let path = desk.path(&format!("held/{number}.png"));
        fs::create_dir_all(path.parent().expect("in a folder")).expect("created");
        picture.save(path).expect("written");
    }
    let metrics = |folder: &str| metrics(&desk, folder);
    let held = [
        "--set",
        "data.validation=held",
        "--set",
        "train.validate_every=2",
    ];
    let run = |more: &[&str], folder: &str| {
        desk.good(&[&["run", "tiny", "--output", folder], more].concat())
    };
    run(&["--steps", "5"], "plain");
    let said = run(&[&held[..], &["--steps", "5"]].concat(), "with");
    assert!(said.err.contains("held-out loss"), "{}", said.err);
    let (plain, with) = (metrics("plain"), metrics("with"));
    for (plain, with) in plain.iter().zip(&with) {
        assert_eq!(plain["loss"], with["loss"], "looking changes nothing");
        assert!(plain.get("held_out").is_none());
        let step = with["step"].as_u64().expect("a number");
        let due = step % 2 == 0 || step == 5;
        assert_eq!(
            with["held_out"].as_f64().is_some_and(|loss| loss > 0.0),
            due,
            "{with}"
        );
    }
    // The same masks over the same images: a resumed run sees the same loss.
    run(&[&held[..], &["--steps", "2"]].concat(), "twice");
    run(
        &[&held[..], &["--steps", "5", "--resume"]].concat(),
        "twice",
    );
    let losses = |lines: Vec<Value>| -> Vec<Value> {
        lines
            .into_iter()
            .map(|line| line["held_out"].clone())
            .collect()
    };
    assert_eq!(losses(metrics("twice")), losses(with));
    // A count that does not fill the program takes images twice; one of a missing folder is refused.
    run(
        &[
            &held[..],
            &["--set", "data.validation_count=1", "--steps", "1"],
        ]
        .concat(),
        "one",
    );
    assert!(
        metrics("one")[0]["held_out"]
            .as_f64()
            .is_some_and(|loss| loss > 0.0)
    );
    let said = desk.mimc(&[
        "run",
        "tiny",
        "--output",
        "none",
        "--set",
        "data.validation=nowhere",
    ]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("nowhere"), "{}", said.err);
}

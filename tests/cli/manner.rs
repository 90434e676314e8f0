//! How much is told, and how: quiet, plain, and on 80 columns.

use super::Desk;

const STEPS: &[&str] = &["--steps", "3"];

#[test]
fn quiet_runs_tell_their_end_and_what_is_wrong() {
    let desk = Desk::new();
    let said = desk.good(&[&["run", "tiny", "--quiet"], STEPS].concat());
    assert_eq!(said.err, "");
    assert!(said.out.starts_with("step 3 of"), "{}", said.out);
    // Before the verb as well; a warning is told all the same.
    desk.write("photos/empty.jpg", "");
    for number in 0..8u8 {
        let path = desk.path(&format!("photos/{number}.png"));
        let picture = image::RgbImage::from_pixel(64, 64, image::Rgb([number; 3]));
        picture.save(path).expect("written");
    }
    let more = ["--data", "photos", "--output", "run"];
    let said = desk.good(&[&["-q", "run", "tiny"], STEPS, &more].concat());
    let empty = "passed over photos/empty.jpg: the file is empty\n";
    assert_eq!(said.err, empty);
    assert_eq!(desk.good(&["data", "photos", "-q"]).err, "");
    let failed = desk.mimc(&["compile", "no_such", "-q"]);
    assert!(
        failed.err.starts_with("error[unknown-recipe]"),
        "{}",
        failed.err
    );
}

#[test]
fn what_is_no_terminal_gets_whole_lines_without_control_codes() {
    let desk = Desk::new();
    let runs: &[&[&str]] = &[
        &["run", "tiny", "--steps", "3"],
        &["data", "runs/tiny/pictures"],
        &["compile", "tiny"],
        &["compile", "no_such"],
        &["--help"],
    ];
    for arguments in runs {
        let said = desk.mimc(arguments);
        let plain = desk.mimc(&[arguments, &["--plain"][..]].concat());
        assert_eq!(said.code, plain.code);
        for text in [said.out, said.err, plain.out, plain.err] {
            let control = |c: char| c.is_control() && c != '\n';
            assert!(!text.contains(control), "{arguments:?}: {text:?}");
        }
    }
}

#[test]
fn eighty_columns_suffice() {
    let desk = Desk::new();
    let verbs: &[&[&str]] = &[
        &["recipes"],
        &["doctor"],
        &["compile", "swin_b"],
        &["compile", "tiny"],
        &["masks", "swin_b", "--count", "2"],
        &[
            "masks",
            "swin_b",
            "--count",
            "1",
            "--sweep",
            "model.masking.ratio=0.1,0.9",
            "--sweep",
            "model.masking.unit=32,64",
        ],
        &["diff", "swin_b", "vit_b"],
        &["run", "tiny", "--steps", "3"],
        &["data", "runs/tiny/pictures"],
        &["inspect", "runs/tiny"],
        &["explain", "train.optimizer"],
        &[
            "bench",
            "tiny",
            "--steps",
            "1",
            "--warmup",
            "0",
            "--profile",
        ],
        &["verify", "--help"],
        &["run", "--help"],
        &["--help"],
    ];
    for arguments in verbs {
        let said = desk.good(arguments);
        for line in said.out.lines().chain(said.err.lines()) {
            // The last line of `bench` is for a program, and steps that waited for images say so in the lines of a log.
            let longer = line.starts_with('{') || line.contains("data wait");
            let wide = line.chars().count() > 80 && !longer;
            assert!(!wide, "{arguments:?}:\n{line}");
        }
    }
}

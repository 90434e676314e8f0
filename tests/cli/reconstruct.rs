//! `mimc reconstruct`

use super::Desk;
use image::{Rgb, RgbImage};

/// A desk with a short run and two photographs of different sizes.
fn trained() -> Desk {
    let desk = Desk::new();
    desk.good(&["run", "tiny", "--steps", "2", "--output", "run"]);
    for (name, width, height) in [("wide.jpg", 200, 120), ("high.png", 90, 170)] {
        let picture = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 128]));
        picture.save(desk.path(name)).expect("written");
    }
    desk
}

fn picture(desk: &Desk, file: &str) -> RgbImage {
    image::open(desk.path(file)).expect("a picture").into_rgb8()
}

#[test]
fn photographs_of_any_size_become_one_picture_the_same_for_the_same_seed() {
    let desk = trained();
    let draw = |more: &[&str], output: &str| {
        let base = [
            "reconstruct",
            "run",
            "wide.jpg",
            "high.png",
            "--output",
            output,
        ];
        let said = desk.good(&[&base[..], more].concat()).out;
        assert!(
            said.starts_with("loss 0.") || said.starts_with("loss 1."),
            "{said}"
        );
        assert!(said.ends_with(&format!("{output}\n")), "{said}");
        picture(&desk, output)
    };
    let first = draw(&[], "a.png");
    assert!(
        first.width() >= 800 && first.height() > first.width() / 4,
        "{:?}",
        first.dimensions()
    );
    assert_eq!(draw(&[], "b.png"), first);
    assert_ne!(draw(&["--seed", "1"], "c.png"), first);
    assert_ne!(draw(&["--set", "model.masking.ratio=0.2"], "d.png"), first);
}

#[test]
fn a_sweep_draws_a_column_for_each_value() {
    let desk = trained();
    let sweep = ["--sweep", "model.masking.ratio=0.2,0.5,0.9"];
    let base = [
        "reconstruct",
        "run/checkpoints/step_000002.safetensors",
        "wide.jpg",
    ];
    let said = desk.good(&[&base[..], &sweep].concat()).out;
    assert!(
        said.starts_with("0.2: loss ") && said.contains(", 0.9: loss "),
        "{said}"
    );
    let strip = picture(&desk, "reconstruction.png");
    // Four columns of 48 pixels, enlarged by a whole number, and two rows of them.
    assert!(
        strip.width() >= 800 && strip.height() > strip.width() / 3,
        "{:?}",
        strip.dimensions()
    );
}

#[test]
fn what_cannot_be_drawn_is_told_and_nothing_is_written() {
    let desk = trained();
    desk.write("text.jpg", "no picture");
    let wrong: [(&[&str], i32, &str); 6] = [
        (&["run"], 2, "<IMAGE>"),
        (
            &["nowhere", "wide.jpg"],
            1,
            "there is no file or folder nowhere",
        ),
        (&["run", "none.jpg"], 1, "cannot read none.jpg"),
        (
            &["run", "text.jpg"],
            1,
            "text.jpg: its first bytes are those of no JPEG",
        ),
        (
            &["run", "wide.jpg", "--sweep", "ratio"],
            2,
            "wanted PATH=A,B",
        ),
        (
            &["run", "wide.jpg", "--set", "model.encoder.dim=48"],
            1,
            "does not fit the model",
        ),
    ];
    for (arguments, code, told) in wrong {
        let said = desk.mimc(&[&["reconstruct"], arguments].concat());
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
        assert!(said.told().contains(told), "{arguments:?}: {}", said.err);
    }
    assert!(!desk.path("reconstruction.png").exists());
}

//! `mimc data`

use super::Desk;

#[test]
fn a_folder_is_told_in_text_and_json() {
    let desk = Desk::new();
    desk.write("photos/broken.png", "");
    let picture = image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8, y as u8, 9]));
    for name in ["a b.png", "c.bmp"] {
        picture
            .save(desk.path(&format!("photos/{name}")))
            .expect("written");
    }
    let said = desk.good(&["data", "photos", "--size", "32"]);
    assert!(said.err.contains("looking at 3 images"), "{}", said.err);
    for piece in [
        "photos: 3 images, ",
        "1 BMP, 1 PNG",
        "data.mean  [",
        "cannot be read: 1\n  photos/broken.png: the file is empty\n",
    ] {
        assert!(said.out.contains(piece), "no `{piece}` in {}", said.out);
    }
    assert!(
        said.out.lines().all(|line| line.chars().count() <= 80),
        "{}",
        said.out
    );
    let json = desk
        .good(&["data", "photos", "--size", "32", "--json"])
        .json();
    assert_eq!((&json["images"], &json["readable"]), (&3.into(), &2.into()));
    assert_eq!(
        json["problems"]["unreadable"][0]["name"],
        "photos/broken.png"
    );
    assert_eq!(json["width"]["median"], 64);
    let mean = json["statistics"]["mean"].as_array().expect("a list");
    assert!(mean.iter().all(|value| {
        value
            .as_f64()
            .is_some_and(|value| (0.0..=1.0).contains(&value))
    }));
    // What it says can be written into a recipe.
    let set = format!("data.mean={}", json["statistics"]["mean"]);
    desk.good(&["compile", "tiny", "--set", &set]);
}

#[test]
fn a_folder_without_one_usable_image_fails() {
    let desk = Desk::new();
    desk.write("photos/broken.png", "");
    let said = desk.mimc(&["data", "photos"]);
    assert_eq!(said.code, Some(1));
    assert!(said.out.contains("cannot be read: 1"), "{}", said.out);
    for (arguments, code, told) in [
        (&["data", "phtos"][..], 1, "did you mean photos?"),
        (
            &["data", "recipes"],
            1,
            "no images in recipes: it holds 1 .yaml",
        ),
        (
            &["data", "photos", "--size", "0"],
            2,
            "0 is not in 1..=8192",
        ),
        (&["data"], 2, "<DIR>"),
    ] {
        let said = desk.mimc(arguments);
        assert_eq!(said.code, Some(code), "{}", said.err);
        assert!(said.told().contains(told), "{}", said.err);
    }
}

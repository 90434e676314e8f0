//! What a survey of a folder says.

use std::{fs, path::Path};

use image::{GrayImage, Luma, Rgb, RgbImage, RgbaImage};
use mimc::data::{
    Fault,
    survey::{Found, Named, Options, Spread, Survey},
};
use tempfile::TempDir;

use super::{photographs, png_of};

fn survey(path: &Path, size: usize, sample: Option<usize>) -> Survey {
    let options = Options { size, sample };
    let found = Found::at(path).unwrap();
    let looked_at = found.looked_at(&options);
    let done = std::sync::atomic::AtomicUsize::new(0);
    let count = || {
        done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
    let survey = found.survey(&options, &count).unwrap();
    assert_eq!(
        (looked_at, done.into_inner()),
        (survey.looked_at, survey.looked_at)
    );
    survey
}

#[test]
fn a_folder_is_counted_measured_and_checked() {
    let root = TempDir::new().unwrap();
    let at = |name: &str| root.path().join(name);
    let named = |name: &str| at(name).display().to_string();
    RgbImage::from_pixel(64, 32, Rgb([255, 0, 51]))
        .save(at("a.png"))
        .unwrap();
    RgbImage::from_pixel(32, 64, Rgb([0, 0, 51]))
        .save(at("b.bmp"))
        .unwrap();
    RgbaImage::new(16, 100).save(at("c.webp")).unwrap();
    GrayImage::from_pixel(32, 32, Luma([0]))
        .save(at("d.jpg"))
        .unwrap();
    fs::copy(at("a.png"), at("again.png")).unwrap();
    fs::write(at("e.gif"), b"").unwrap();
    fs::write(at("f.tif"), b"").unwrap();
    fs::write(
        at("bomb.gif"),
        b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;",
    )
    .unwrap();
    fs::write(at("notes.txt"), b"").unwrap();
    let survey = survey(root.path(), 32, None);
    assert_eq!(
        (survey.images, survey.looked_at, survey.readable),
        (8, 8, 5)
    );
    let formats: Vec<_> = survey
        .formats
        .iter()
        .map(|(name, count)| (*name, *count))
        .collect();
    assert_eq!(formats, [("BMP", 1), ("JPEG", 1), ("PNG", 2), ("WebP", 1)]);
    let width = Spread {
        min: 16,
        median: 32,
        max: 64,
    };
    let height = Spread {
        min: 32,
        median: 32,
        max: 100,
    };
    assert_eq!((survey.width, survey.height), (width, height));
    assert_eq!(
        (survey.grey, survey.alpha, survey.deep, survey.turned),
        (1, 1, 0, 0)
    );
    let bytes: u64 = fs::read_dir(root.path())
        .unwrap()
        .map(|f| f.unwrap().metadata().unwrap().len())
        .sum();
    assert_eq!(survey.total_bytes, bytes);

    let statistics = survey.statistics.unwrap();
    let near =
        |got: [f64; 3], wanted: [f64; 3]| got.iter().zip(wanted).all(|(g, w)| (g - w).abs() < 1e-9);
    // Red is 1 in two of five images; blue is a fifth in three of them.
    assert!(near(statistics.mean, [0.4, 0.0, 0.12]), "{statistics:?}");
    assert!(
        near(statistics.std, [0.24f64.sqrt(), 0.0, 0.2 * 0.24f64.sqrt()]),
        "{statistics:?}"
    );

    let problems = &survey.problems;
    let empty = |name: &str| Named {
        name: named(name),
        what: Fault::Empty.to_string(),
    };
    assert_eq!(problems.unreadable, [empty("e.gif"), empty("f.tif")]);
    assert_eq!(
        problems.small,
        [Named {
            name: named("c.webp"),
            what: [16, 100]
        }]
    );
    assert_eq!(problems.too_large.len(), 1);
    assert!(
        problems.too_large[0]
            .what
            .starts_with("it measures 65535 × 65535")
    );
    assert_eq!(problems.duplicates, [[named("a.png"), named("again.png")]]);
    assert_eq!(survey.passed_over.get("txt"), Some(&1));

    let text = survey
        .to_string()
        .replace(&named(""), "")
        .replace(root.path().to_str().unwrap(), "R");
    let mut lines: Vec<_> = text.lines().collect();
    let rate = lines
        .iter()
        .position(|line| line.starts_with("rate "))
        .unwrap();
    assert!(
        lines
            .remove(rate)
            .contains(" images/s read, decoded and resized on ")
    );
    let expected = format!(
        "\
R: 8 images, {}

formats      2 PNG, 1 BMP, 1 JPEG, 1 WebP
pictures     20.0 % grey, 20.0 % with alpha, which is dropped
passed over  1 .txt

",
        mimc::text::units::bytes(bytes)
    );
    assert!(
        lines.join("\n").starts_with(&expected),
        "{}",
        lines.join("\n")
    );
    let width = lines.iter().find(|line| line.starts_with("width")).unwrap();
    let width: Vec<_> = width.split_whitespace().collect();
    assert_eq!(width.join(" "), "width 16 px 32 px 64 px");
    for piece in [
        "data.mean  [0.400, 0.000, 0.120]\ndata.std   [0.490, 0.000, 0.098]\n",
        "of 5 images, their central squares at 32 px\n",
        "cannot be read: 2\n  e.gif: the file is empty\n  f.tif: the file is empty\n",
        "too many pixels: 1\n  bomb.gif:\n    it measures 65535 × 65535,",
        "smaller than 32 px, to be enlarged: 1\n  c.webp: 16 × 100\n",
        "the same bytes as another: 1\n  a.png = again.png\n",
    ] {
        assert!(text.contains(piece), "no {piece:?} in\n{text}");
    }
}

#[test]
fn a_sample_comes_from_all_over_and_is_the_same_each_time() {
    let root = photographs(40);
    let whole = survey(root.path(), 40, None);
    let some = survey(root.path(), 40, Some(10));
    assert_eq!((some.images, some.looked_at, some.readable), (40, 10, 10));
    let again = survey(root.path(), 40, Some(10));
    assert_eq!(
        (some.statistics, some.width),
        (again.statistics, again.width)
    );
    assert!(some.width.max > whole.width.median && some.width.min < whole.width.median);
    assert!(
        some.to_string()
            .contains("40 images; looked at 10 from all over")
    );
    assert_eq!(survey(root.path(), 40, Some(1000)).looked_at, 40);
    assert!(whole.to_string().ends_with("no problems\n"), "{whole}");
    assert!(
        whole
            .to_string()
            .lines()
            .all(|line| line.chars().count() <= 80),
        "{whole}"
    );
}

#[test]
fn archives_are_surveyed_like_folders() {
    let files = TempDir::new().unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    for index in 0..5 {
        let png = png_of(index);
        fs::write(files.path().join(format!("{index}.png")), &png).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(png.len() as u64);
        archive
            .append_data(&mut header, format!("{index}.png"), &png[..])
            .unwrap();
    }
    let root = super::written("a.tar", &archive.into_inner().unwrap());
    let (files, shards) = (
        survey(files.path(), 32, None),
        survey(root.path(), 32, None),
    );
    assert_eq!(shards.archives, 1);
    assert_eq!(shards.statistics, files.statistics);
    assert_eq!((shards.bytes, shards.readable), (files.bytes, 5));
    assert!(shards.to_string().contains("5 images in 1 archive, "));
}

#[test]
fn many_problems_are_told_in_few_lines() {
    let root = photographs(40);
    for index in 0..12 {
        fs::write(root.path().join(format!("broken{index:02}.jpg")), b"").unwrap();
    }
    let text = survey(root.path(), 300, None).to_string();
    assert!(text.contains("cannot be read: 12\n"), "{text}");
    assert!(
        text.contains("  and 7 more; --json names them all\n"),
        "{text}"
    );
    assert!(
        text.contains("A run stops where more than 5 % cannot be read."),
        "{text}"
    );
    assert!(
        text.contains("smaller than 300 px") && text.lines().count() < 40,
        "{text}"
    );
}

//! What errors say.

use std::{fs, path::PathBuf};

use mimc::data::{Crop, DataConfig, DataError, Loader, Source, describe};
use tempfile::TempDir;

use super::{config, folder, photographs};

fn told(error: DataError) -> String {
    format!("{error}\nhelp: {}", error.help())
}

#[test]
fn errors_say_what_was_found_and_what_to_do() {
    let root = TempDir::new().unwrap();
    let at = |name: &str| root.path().join(name);
    fs::create_dir_all(at("photos/train")).unwrap();
    fs::create_dir_all(at("other")).unwrap();
    fs::create_dir_all(at("empty")).unwrap();
    for name in [
        "other/a.heic",
        "other/b.heic",
        "other/c.HEIC",
        "other/README",
        "other/x.txt",
    ] {
        fs::write(at(name), b"").unwrap();
    }
    let five = photographs(5);
    let base = root.path().display();
    let of = |path: PathBuf| told(describe(&folder(path)).unwrap_err());
    let buffered = DataConfig {
        shuffle_buffer: Some(4096),
        ..folder(five.path())
    };
    let cases = [
        (
            of(at("photos/trian/cats")),
            format!(
                "no folder {base}/photos/trian/cats\n\
                help: the nearest folder that exists is {base}/photos; did you mean train?"
            ),
        ),
        (
            of(at("imagenet")),
            format!(
                "no folder {base}/imagenet\n\
                help: the nearest folder that exists is {base}, which holds empty, other, photos; --data gives another one"
            ),
        ),
        (
            of(at("empty/deeper")),
            format!(
                "no folder {base}/empty/deeper\n\
                help: the nearest folder that exists is {base}/empty; --data gives another one"
            ),
        ),
        (
            of(at("other/a.heic")),
            format!(
                "{base}/other/a.heic is a file, but images are read from a folder or a .tar\n\
                help: give the folder that holds it: --data {base}/other"
            ),
        ),
        (
            of(at("other")),
            format!(
                "no images in {base}/other: it holds 3 .heic, 1 without an extension, 1 .txt\n\
                help: looked in it and in all folders below for .jpg, .jpeg, .jpe, .jfif, .png, .webp, .gif, .tif, .tiff, .bmp and .tar, in upper or lower case; \
                other kinds of images need converting"
            ),
        ),
        (
            of(at("empty")),
            format!(
                "no images in {base}/empty: it holds no files\n\
                help: looked in it and in all folders below for .jpg, .jpeg, .jpe, .jfif, .png, .webp, .gif, .tif, .tiff, .bmp and .tar, in upper or lower case; \
                other kinds of images need converting"
            ),
        ),
        (
            told(Loader::new(&folder(five.path()), 8, 0).err().unwrap()),
            format!(
                "5 images in {}, but a batch takes 8\n\
                help: the largest batch that fits is 5: --set train.batch=5",
                five.path().display()
            ),
        ),
        (
            told(describe(&buffered).unwrap_err()),
            format!(
                "data.shuffle_buffer = 4096, but it must be null: {} holds files and no tar archives\n\
                help: change data.shuffle_buffer in the recipe, or --set data.shuffle_buffer=…",
                five.path().display()
            ),
        ),
        (
            told(
                Loader::in_parts(&folder(five.path()), 4, 3, 0)
                    .err()
                    .unwrap(),
            ),
            "train.micro_batch = 3, but it must be a divisor of train.batch = 4\n\
            help: change train.micro_batch in the recipe, or --set train.micro_batch=…"
                .into(),
        ),
    ];
    for (got, expected) in cases {
        assert_eq!(got, expected);
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let good = || config(Source::Synthetic { count: 4 });
    let crop = |scale, ratio| DataConfig {
        crop: Crop { scale, ratio },
        ..good()
    };
    let cases = [
        (
            folder(""),
            "data.images = \"\", but it must be a folder or `synthetic`",
        ),
        (
            DataConfig { size: 0, ..good() },
            "data.size = 0, but it must be 1 to 8192",
        ),
        (
            crop([0.9, 0.5], [0.75, 1.5]),
            "data.crop.scale = [0.9, 0.5], but it must be [low, high] with 0 < low ≤ high ≤ 1",
        ),
        (
            crop([0.5, 0.9], [0.0, f64::NAN]),
            "data.crop.ratio = [0.0, NaN], but it must be [low, high] with 0 < low ≤ high",
        ),
        (
            DataConfig {
                std: [0.2, 0.0, 0.2],
                ..good()
            },
            "data.std = [0.2, 0.0, 0.2], but it must be three finite numbers above 0",
        ),
        (
            DataConfig {
                shuffle_buffer: Some(0),
                ..folder("photos")
            },
            "data.shuffle_buffer = 0, but it must be at least 1, or null",
        ),
        (
            DataConfig {
                shuffle_buffer: Some(8),
                ..good()
            },
            "data.shuffle_buffer = 8, but it must be null: generated images lie in no archive",
        ),
    ];
    for (config, expected) in cases {
        assert_eq!(describe(&config).unwrap_err().to_string(), expected);
    }
    assert_eq!(describe(&good()), Ok(4));
    let none = config(Source::Synthetic { count: 0 });
    assert!(matches!(
        Loader::new(&none, 1, 0),
        Err(DataError::TooFewImages { found: 0, .. })
    ));
    assert!(matches!(
        Loader::new(&good(), 0, 0),
        Err(DataError::OutOfRange {
            key: "train.batch",
            ..
        })
    ));
}

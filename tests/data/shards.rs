//! Images in tar archives.

use std::{fs, path::Path};

use mimc::data::{Batch, DataConfig, DataError, Dataset, Loader, describe};
use tempfile::TempDir;

use super::{folder, png_of};

/// An archive of files, in this order.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, *bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Scenes `from` to `to`, each with a label and a text beside it.
fn shard(from: usize, to: usize) -> Vec<u8> {
    let images: Vec<_> = (from..to)
        .map(|index| (format!("{index:06}"), png_of(index)))
        .collect();
    let mut files = Vec::new();
    for (key, png) in &images {
        files.push((format!("{key}.cls"), b"7".as_slice()));
        files.push((format!("{key}.png"), png));
        files.push((format!("{key}.json"), b"{}"));
    }
    let files: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), *bytes))
        .collect();
    tar(&files)
}

/// Twelve scenes in three archives.
pub fn shards() -> TempDir {
    let root = TempDir::new().unwrap();
    fs::create_dir(root.path().join("more")).unwrap();
    fs::write(root.path().join("a.tar"), shard(0, 5)).unwrap();
    fs::write(root.path().join("b.TAR"), shard(5, 6)).unwrap();
    fs::write(root.path().join("more/c.tar"), shard(6, 12)).unwrap();
    fs::write(root.path().join("index.json"), b"{}").unwrap();
    root
}

pub fn batches(config: &DataConfig, from: u64, count: usize) -> Vec<Batch> {
    let mut loader = Loader::new(config, 4, from).unwrap();
    (0..count).map(|_| loader.next().unwrap()).collect()
}

pub fn bits(batches: &[Batch]) -> Vec<u32> {
    let values = batches.iter().flat_map(|batch| &batch.images);
    values.map(|value| value.to_bits()).collect()
}

#[test]
fn images_are_found_in_the_order_of_archives_and_entries() {
    let root = shards();
    let dataset = Dataset::open(&folder(root.path())).unwrap();
    assert_eq!(dataset.len(), 12);
    let at = |name: &str| format!("{}/{name}", root.path().display());
    assert_eq!(dataset.name(0), at("a.tar/000000.png"));
    assert_eq!(dataset.name(5), at("b.TAR/000005.png"));
    assert_eq!(dataset.name(11), at("more/c.tar/000011.png"));
    let one = Dataset::open(&folder(root.path().join("a.tar"))).unwrap();
    assert_eq!((one.len(), one.name(4)), (5, at("a.tar/000004.png")));
    for (image, index) in [(0, 0), (5, 5), (11, 11)] {
        let pixels = dataset
            .normalizer()
            .to_rgb8(&dataset.center(image).unwrap());
        assert_eq!(pixels, super::scene(index).into_raw());
    }
}

#[test]
fn an_archive_trains_to_the_bits_of_its_files_in_a_folder() {
    let root = shards();
    let files = TempDir::new().unwrap();
    for index in 0..12 {
        fs::write(files.path().join(format!("{index:06}.png")), png_of(index)).unwrap();
    }
    let whole = batches(&folder(files.path()), 0, 7);
    assert_eq!(bits(&batches(&folder(root.path()), 0, 7)), bits(&whole));
    let several = DataConfig {
        workers: 5,
        ..folder(root.path())
    };
    assert_eq!(bits(&batches(&several, 0, 7)), bits(&whole));
    for step in [1, 3, 5] {
        let resumed = batches(&folder(root.path()), step as u64, 7 - step);
        assert_eq!(bits(&resumed), bits(&whole[step..]));
    }
}

#[test]
fn only_visible_files_with_the_extension_of_an_image_count() {
    let long = format!("{}deep.png", "folder/".repeat(30));
    let bytes = tar(&[
        ("./a.PNG", &png_of(0)),
        ("./._a.png", b"resource fork"),
        ("dir/.hidden.png", b""),
        (&long, &png_of(1)),
        ("b.png.txt", b""),
        ("empty.jpg", b""),
        ("__key__", b""),
    ]);
    // A folder and a link are no samples, whatever they are called.
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir("folder.png", ".").unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    archive
        .append_link(&mut header, "link.png", "a.PNG")
        .unwrap();
    let links = archive.into_inner().unwrap();
    let bytes = [&links[..1024], &bytes].concat();
    let root = super::written("a.tar", &bytes);
    let dataset = Dataset::open(&folder(root.path())).unwrap();
    let below = format!("{}/a.tar/", root.path().display());
    let names: Vec<_> = (0..dataset.len())
        .map(|image| dataset.name(image).strip_prefix(&below).unwrap().to_owned())
        .collect();
    assert_eq!(names, ["a.PNG", long.as_str(), "empty.jpg"]);
    assert!(dataset.center(1).is_ok());
    let error = dataset.center(2).unwrap_err().to_string();
    assert!(
        error.ends_with("a.tar/empty.jpg: the file is empty"),
        "{error}"
    );
}

#[test]
fn what_is_no_plain_archive_is_refused_with_a_sentence() {
    let whole = shard(0, 4);
    let of = |name: &str, bytes: &[u8]| {
        let root = super::written(name, bytes);
        let error = describe(&folder(root.path())).unwrap_err();
        let same = describe(&folder(root.path().join(name))).unwrap_err();
        let told = |error: &DataError| {
            error
                .to_string()
                .replace(&format!("{}", root.path().display()), "R")
        };
        (told(&error), told(&same), error.help())
    };
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03";
    let told = "cannot read the archive R/a.tar: it is compressed with gzip, and images are read from the middle of archives";
    let (folder_told, told_alone, help) = of("a.tar", gzip);
    assert_eq!((folder_told.as_str(), told_alone.as_str()), (told, told));
    assert!(help.contains("gunzip"));
    let (folder_told, told_alone, help) = of("a.tar.gz", gzip);
    let told = "R/a.tar.gz is compressed, and images are read from plain tar archives";
    assert_eq!((folder_told.as_str(), told_alone.as_str()), (told, told));
    assert!(help.contains("unpack"));
    let (told, _, _) = of("a.tar", &whole[..whole.len() / 2]);
    assert!(
        told.starts_with("cannot read the archive R/a.tar: it ends in the middle of 00000"),
        "{told}"
    );
    let (told, _, _) = of(
        "a.tar",
        b"no archive at all, though it is long enough to be one"
            .repeat(30)
            .as_slice(),
    );
    assert!(
        told.starts_with("cannot read the archive R/a.tar: "),
        "{told}"
    );
    let (told, _, _) = of("a.tar", &tar(&[("a.txt", b"text")]));
    assert_eq!(told, "no images in R/a.tar: the archive holds none");
}

#[test]
fn no_archive_is_left_out_for_being_compressed() {
    let root = shards();
    fs::write(root.path().join("more/d.tgz"), b"").unwrap();
    let error = describe(&folder(root.path())).unwrap_err();
    assert!(matches!(error, DataError::Packed { path } if path.ends_with("more/d.tgz")));
}

#[test]
fn images_beside_archives_are_an_error_that_says_so() {
    let root = shards();
    fs::write(root.path().join("more/stray.jpg"), b"").unwrap();
    let error = describe(&folder(root.path())).unwrap_err();
    let at = |name: &str| root.path().join(name).display().to_string();
    let expected = format!(
        "{} holds both images and tar archives: 1 such as {}, and 3 such as {}",
        root.path().display(),
        at("more/stray.jpg"),
        at("a.tar")
    );
    assert_eq!(error.to_string(), expected);
    // A compressed original beside the images made from it is no second source.
    let images = super::photographs(3);
    fs::write(images.path().join("original.tar.gz"), b"").unwrap();
    assert_eq!(describe(&folder(images.path())), Ok(3));
}

#[test]
fn an_archive_that_is_cut_or_gone_later_has_unreadable_images() {
    let root = shards();
    let path = root.path().join("b.TAR");
    let dataset = Dataset::open(&folder(root.path())).unwrap();
    let reason = |image: usize| match dataset.center(image).unwrap_err() {
        DataError::Unreadable { reason, .. } => reason,
        other => panic!("{other}"),
    };
    cut(&path, 700);
    assert_eq!(
        reason(5),
        "the archive has become shorter, and ends before it does"
    );
    fs::remove_file(&path).unwrap();
    assert!(reason(5).starts_with("No such file"));
    assert!(dataset.center(4).is_ok() && dataset.center(6).is_ok());
    let batches = batches(&folder(root.path()), 0, 3);
    assert_eq!(batches.len(), 3);
}

fn cut(path: &Path, length: u64) {
    fs::OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(length)
        .unwrap();
}

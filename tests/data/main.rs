//! Images from files to batches, through the public interface.

use std::{fs, path::PathBuf};

use image::RgbImage;
use mimc::data::{Crop, DataConfig, Source, synthetic};
use tempfile::TempDir;

mod decode;
mod errors;
mod folder;
mod formats;
mod loader;
mod shards;
mod stream;
mod survey;

const SIDE: u32 = 40;

fn config(images: Source) -> DataConfig {
    DataConfig {
        images,
        size: SIDE as usize,
        crop: Crop::default(),
        flip: true,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
        shuffle_buffer: None,
        workers: 2,
        seed: 7,
    }
}

fn folder(path: impl Into<PathBuf>) -> DataConfig {
    config(Source::Folder(path.into()))
}

fn scene(index: usize) -> RgbImage {
    synthetic::scene(1, index, SIDE)
}

/// A folder of `count` scenes of various sizes and formats, in two folders.
fn photographs(count: usize) -> TempDir {
    let root = TempDir::new().unwrap();
    for (i, folder) in ["b", "a/c"].iter().enumerate() {
        fs::create_dir_all(root.path().join(folder)).unwrap();
        for image in (i..count).step_by(2) {
            let extension = ["png", "jpg", "webp"][image % 3];
            let path = root
                .path()
                .join(folder)
                .join(format!("{image:03}.{extension}"));
            synthetic::scene(1, image, SIDE + 7 * image as u32)
                .save(path)
                .unwrap();
        }
    }
    root
}

fn written(name: &str, bytes: &[u8]) -> TempDir {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join(name), bytes).unwrap();
    root
}

/// A scene as a file.
fn png_of(index: usize) -> Vec<u8> {
    let mut png = std::io::Cursor::new(Vec::new());
    scene(index)
        .write_to(&mut png, image::ImageFormat::Png)
        .unwrap();
    png.into_inner()
}

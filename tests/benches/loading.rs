//! One thread from a file's bytes to what the network sees: decode, random crop, resize, flip, normalise.
//!
//! `MIMC_IMAGES=photos cargo bench --bench loading`: every image in the folder, at 224 px; generated scenes as JPEG of
//! 500 × 375 where the variable is not set. Items are images.

use divan::{Bencher, black_box, counter::ItemsCount};
use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};
use mimc::{
    data::{Crop, DataConfig, Dataset, Source, synthetic},
    random::Key,
};
use std::{env, fs, path::PathBuf};

const SIZE: usize = 224;

fn main() {
    divan::main();
}

#[divan::bench(sample_size = 1, sample_count = 10)]
fn images(bencher: Bencher) {
    let made = tempfile::tempdir().expect("a temporary folder");
    let folder = match env::var_os("MIMC_IMAGES") {
        Some(folder) => PathBuf::from(folder),
        None => {
            scenes(made.path());
            made.path().to_owned()
        }
    };
    let config = DataConfig {
        images: Source::Folder(folder),
        shuffle_buffer: None,
        size: SIZE,
        crop: Crop::default(),
        flip: true,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
        workers: 1,
        seed: 0,
    };
    let dataset = Dataset::open(&config).expect("readable images");
    let mut epoch = 0;
    bencher
        .counter(ItemsCount::new(dataset.len()))
        .bench_local(|| {
            epoch += 1;
            for image in 0..dataset.len() {
                black_box(dataset.seen(image, epoch).expect("a readable image"));
            }
        });
}

/// Scenes with a little noise, so that they cost a decoder what photographs do.
fn scenes(folder: &std::path::Path) {
    const COUNT: usize = 32;
    let [width, height] = [500, 375];
    for number in 0..COUNT {
        let scene = synthetic::scene(1, number, width);
        let mut pixels = scene.into_raw();
        pixels.truncate((3 * width * height) as usize);
        let key = Key::new(number as u64);
        for (at, value) in pixels.iter_mut().enumerate() {
            *value = value.saturating_add(key.below(at as u64, 24) as u8);
        }
        let file = fs::File::create(folder.join(format!("{number}.jpg"))).expect("created");
        JpegEncoder::new_with_quality(file, 90)
            .encode(&pixels, width, height, ExtendedColorType::Rgb8)
            .expect("written");
    }
}

//! Every kind of image there is, as Pillow reads it. `files/make.py` made them.

use std::{fs, path::PathBuf};

use image::{
    DynamicImage, ExtendedColorType, ImageEncoder, RgbImage,
    codecs::{gif::GifEncoder, jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
    metadata::Orientation,
};
use mimc::data::{Fault, MAX_PIXELS, decode};

use super::scene;

/// The files with their names, sorted.
fn files() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/files");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && path.extension().is_some_and(|e| e != "py"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn expected(name: &str) -> RgbImage {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/files/expected");
    image::open(folder.join(format!("{name}.png")))
        .unwrap()
        .into_rgb8()
}

#[test]
fn every_kind_is_read_as_pillow_reads_it() {
    let mut kinds = std::collections::BTreeMap::<&str, usize>::new();
    for (name, bytes) in files() {
        let (header, got) = decode(&bytes).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let wanted = expected(&name);
        assert_eq!(got.dimensions(), wanted.dimensions(), "{name}");
        assert_eq!((header.width, header.height), got.dimensions(), "{name}");
        let worst = got
            .iter()
            .zip(wanted.iter())
            .map(|(a, b)| a.abs_diff(*b))
            .max()
            .unwrap();
        // Decoders of lossy formats differ in how they round, and in how they bring back colour at half the resolution.
        let allowed = match name.as_str() {
            "cmyk.tif" => 1,
            "lossy.webp" | "subsampled.jpg" | "progressive.jpg" => 6,
            name if name.ends_with(".jpg") => 3,
            _ => 0,
        };
        assert!(
            worst <= allowed,
            "{name}: off by {worst}\n{:?}\n{:?}",
            got.as_raw(),
            wanted.as_raw()
        );
        assert_eq!(header.turned, name.starts_with("turned"), "{name}");
        let grey = ["grey", "bilevel", "deflate"]
            .iter()
            .any(|start| name.starts_with(start));
        assert_eq!(header.grey, grey, "{name}");
        assert_eq!(header.deep, name.starts_with("deep"), "{name}");
        *kinds.entry(header.format).or_default() += 1;
    }
    let expected = ["BMP", "GIF", "JPEG", "PNG", "TIFF", "WebP"];
    assert_eq!(kinds.into_keys().collect::<Vec<_>>(), expected);
}

#[test]
fn all_eight_orientations_are_put_upright() {
    let upright =
        DynamicImage::ImageRgb8(image::imageops::crop_imm(&scene(2), 0, 0, 40, 24).to_image());
    for turn in 1..=8 {
        // What a camera stores when the picture is to be turned so.
        let undo = match turn {
            6 => 8,
            8 => 6,
            turn => turn,
        };
        let mut stored = upright.clone();
        stored.apply_orientation(Orientation::from_exif(undo).unwrap());
        let exif = [
            b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(),
            &[turn, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        let (width, height) = (stored.width(), stored.height());
        let mut png = Vec::new();
        let mut encoder = PngEncoder::new(&mut png);
        encoder.set_exif_metadata(exif.clone()).unwrap();
        encoder
            .write_image(stored.as_bytes(), width, height, ExtendedColorType::Rgb8)
            .unwrap();
        let mut webp = Vec::new();
        let mut encoder = WebPEncoder::new_lossless(&mut webp);
        encoder.set_exif_metadata(exif.clone()).unwrap();
        encoder
            .write_image(stored.as_bytes(), width, height, ExtendedColorType::Rgb8)
            .unwrap();
        let mut jpeg = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 100);
        encoder.set_exif_metadata(exif).unwrap();
        encoder
            .write_image(stored.as_bytes(), width, height, ExtendedColorType::Rgb8)
            .unwrap();
        for (bytes, allowed) in [(png, 0), (webp, 0), (jpeg, 24)] {
            let (header, got) = decode(&bytes).unwrap();
            assert_eq!(got.dimensions(), (40, 24), "{turn}");
            assert_eq!(header.turned, turn != 1);
            let far = |(a, b): (&u8, &u8)| a.abs_diff(*b) > allowed;
            let off = got
                .iter()
                .zip(upright.as_bytes())
                .filter(|pair| far(*pair))
                .count();
            assert!(
                off * 100 <= got.len(),
                "{} {turn}: {off} of {}",
                header.format,
                got.len()
            );
        }
    }
}

#[test]
fn of_an_animation_the_first_frame_counts() {
    let frames = [0, 1, 2].map(|index| DynamicImage::ImageRgb8(scene(index)).into_rgba8());
    let mut bytes = Vec::new();
    GifEncoder::new(&mut bytes)
        .encode_frames(frames.clone().map(image::Frame::new))
        .unwrap();
    let mut first = Vec::new();
    GifEncoder::new(&mut first)
        .encode_frame(image::Frame::new(frames[0].clone()))
        .unwrap();
    assert_eq!(decode(&bytes).unwrap(), decode(&first).unwrap());
}

/// A PNG that claims to measure so much.
fn claiming(width: u32, height: u32) -> Vec<u8> {
    let mut png = Vec::new();
    scene(0)
        .write_with_encoder(PngEncoder::new(&mut png))
        .unwrap();
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let check = crc(&png[12..29]);
    png[29..33].copy_from_slice(&check.to_be_bytes());
    png
}

/// Of a chunk of a PNG.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    };
    !bytes.iter().fold(!0, step)
}

#[test]
fn bombs_are_refused_before_memory_is_taken() {
    let gif = b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;".to_vec();
    let mut bmp = vec![0; 54];
    bmp[..2].copy_from_slice(b"BM");
    (bmp[10], bmp[14], bmp[26], bmp[28]) = (54, 40, 1, 24);
    bmp[18..22].copy_from_slice(&40_000i32.to_le_bytes());
    bmp[22..26].copy_from_slice(&40_000i32.to_le_bytes());
    // Not even a line of it.
    assert_eq!(
        decode(&claiming(2_000_000_000, 2_000_000_000)),
        Err(Fault::Memory)
    );
    let cases = [
        (claiming(13_378, 13_378), 13_378, 13_378),
        (gif, 65_535, 65_535),
        (bmp, 40_000, 40_000),
    ];
    for (bytes, width, height) in cases {
        let started = std::time::Instant::now();
        let fault = decode(&bytes).unwrap_err();
        assert_eq!(fault, Fault::TooLarge { width, height });
        assert!(started.elapsed().as_millis() < 100, "{width} × {height}");
    }
    let told = Fault::TooLarge {
        width: 20_000,
        height: 20_000,
    }
    .to_string();
    assert_eq!(
        told,
        "it measures 20000 × 20000, and more than 178,956,970 pixels are refused"
    );
    let told = "decoding it would take more memory than 1.33 GiB, the most that is allowed";
    assert_eq!(Fault::Memory.to_string(), told);
    // One row and column fewer are damaged, but not too large.
    assert_eq!(MAX_PIXELS.isqrt(), 13_377);
    assert!(!matches!(
        decode(&claiming(13_377, 13_377)),
        Err(Fault::TooLarge { .. })
    ));
}

#[test]
fn damage_of_any_kind_is_a_fault_and_no_panic() {
    for (name, bytes) in files() {
        for cut in 0..bytes.len() {
            assert_ne!(
                decode(&bytes[..cut]),
                Err(Fault::Panicked),
                "{name} cut at {cut}"
            );
        }
        // A JPEG needs every byte: without its last it is cut short.
        if name.ends_with(".jpg") {
            assert_eq!(
                decode(&bytes[..bytes.len() - 1]),
                Err(Fault::CutShort),
                "{name}"
            );
        }
        for at in 0..bytes.len() {
            let mut bent = bytes.clone();
            bent[at] ^= 0xa5;
            assert_ne!(decode(&bent), Err(Fault::Panicked), "{name} bent at {at}");
        }
    }
}

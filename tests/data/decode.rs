//! From files to pixels.

use std::{fs, path::Path};

use image::{
    DynamicImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba,
    codecs::jpeg::JpegEncoder,
};
use mimc::data::{DataConfig, Dataset};
use tempfile::TempDir;

use super::{SIDE, folder, scene, written};

/// The central square of the only image of a folder, as pixels; of the same size, so it is not resampled.
fn decoded(root: &Path) -> Vec<u8> {
    let dataset = Dataset::open(&folder(root)).unwrap();
    assert_eq!(dataset.len(), 1);
    let planes = dataset.center(0).unwrap();
    dataset.normalizer().to_rgb8(&planes)
}

fn saved(name: &str, image: impl Into<DynamicImage>) -> Vec<u8> {
    let root = TempDir::new().unwrap();
    image.into().save(root.path().join(name)).unwrap();
    decoded(root.path())
}

fn jpeg(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 95)
        .encode_image(image)
        .unwrap();
    bytes
}

#[test]
fn lossless_formats_keep_every_pixel_and_jpeg_nearly() {
    let image = scene(3);
    assert_eq!(saved("a.PNG", image.clone()), image.as_raw().as_slice());
    assert_eq!(saved("a.webp", image.clone()), image.as_raw().as_slice());
    let from_jpeg = decoded(written("a.JPeG", &jpeg(&image)).path());
    let differences = from_jpeg
        .iter()
        .zip(image.as_raw())
        .map(|(a, b)| a.abs_diff(*b) as u64);
    assert!(differences.sum::<u64>() / from_jpeg.len() as u64 <= 4);
}

#[test]
fn the_first_bytes_tell_the_format_not_the_name() {
    let image = scene(4);
    let root = TempDir::new().unwrap();
    image.save(root.path().join("a.png")).unwrap();
    fs::rename(root.path().join("a.png"), root.path().join("a.jpg")).unwrap();
    assert_eq!(decoded(root.path()), image.into_raw());
}

#[test]
fn grey_is_repeated_and_alpha_dropped() {
    let value = |x: u32, y: u32| (3 * x + 2 * y) as u8;
    let grey = GrayImage::from_fn(SIDE, SIDE, |x, y| Luma([value(x, y)]));
    let expected: Vec<u8> = grey.iter().flat_map(|v| [*v; 3]).collect();
    assert_eq!(saved("a.png", grey.clone()), expected);
    let with_alpha = ImageBuffer::from_fn(SIDE, SIDE, |x, y| LumaA([value(x, y), (5 * x) as u8]));
    assert_eq!(saved("a.png", with_alpha), expected);
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 100)
        .encode_image(&grey)
        .unwrap();
    let from_jpeg = decoded(written("a.jpg", &bytes).path());
    assert!(
        from_jpeg
            .iter()
            .zip(&expected)
            .all(|(a, b)| a.abs_diff(*b) <= 2)
    );

    let image = scene(5);
    // Colours under full transparency count as they are stored: they are not blended with anything.
    let transparent = ImageBuffer::from_fn(SIDE, SIDE, |x, y| {
        let Rgb([r, g, b]) = *image.get_pixel(x, y);
        Rgba([r, g, b, (x % 2) as u8 * 255])
    });
    assert_eq!(
        saved("a.png", transparent.clone()),
        image.as_raw().as_slice()
    );
    assert_eq!(saved("a.webp", transparent), image.into_raw());
}

#[test]
fn sixteen_bits_keep_their_high_byte() {
    let high = |x: u32, y: u32| (3 * x + 2 * y) as u16;
    // The low byte is large, so that rounding would show.
    let sample = |x: u32, y: u32| high(x, y) << 8 | 0xf0;
    let expected: Vec<u8> = (0..SIDE)
        .flat_map(|y| (0..SIDE).flat_map(move |x| [high(x, y) as u8; 3]))
        .collect();
    let grey = ImageBuffer::from_fn(SIDE, SIDE, |x, y| Luma([sample(x, y)]));
    assert_eq!(saved("a.png", DynamicImage::ImageLuma16(grey)), expected);
    let colour = ImageBuffer::from_fn(SIDE, SIDE, |x, y| Rgb([sample(x, y); 3]));
    assert_eq!(saved("a.png", DynamicImage::ImageRgb16(colour)), expected);
    let alpha = ImageBuffer::from_fn(SIDE, SIDE, |x, y| {
        let v = sample(x, y);
        Rgba([v, v, v, 9])
    });
    assert_eq!(saved("a.png", DynamicImage::ImageRgba16(alpha)), expected);
}

#[test]
fn palettes_are_looked_up() {
    // 2 × 2 pixels of the palette (10, 20, 30), (200, 100, 50), (0, 0, 255); the second is transparent.
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x02\0\0\0\x02\x02\x03\0\0\0\x0f\xd8\xe5\xb7\0\0\0\tPLTE\n\x14\x1e\
        \xc8d2\0\0\xff?t)\xef\0\0\0\x02tRNS\xff\0\xe5\xb70J\0\0\0\x0cIDATx\xdac\x10`\x98\0\0\0\xc4\0\xa1(\xa1i:\
        \0\0\0\0IEND\xaeB`\x82";
    let root = written("a.png", png);
    let dataset = Dataset::open(&DataConfig {
        size: 2,
        ..folder(root.path())
    })
    .unwrap();
    let pixels = dataset.normalizer().to_rgb8(&dataset.center(0).unwrap());
    assert_eq!(pixels, [10, 20, 30, 200, 100, 50, 0, 0, 255, 200, 100, 50]);
}

#[test]
fn a_damaged_file_is_an_error_that_names_it() {
    let whole = jpeg(&scene(6));
    let mut thumbnail_first = whole.clone();
    // As cameras do: a whole JPEG within a segment of another, which is then cut short.
    let segment = [
        &[0xff, 0xe1][..],
        &(whole.len() as u16 + 2).to_be_bytes(),
        &whole,
    ]
    .concat();
    thumbnail_first.splice(2..2, segment);
    let cut = thumbnail_first.len() - 200;
    let png = {
        let root = TempDir::new().unwrap();
        scene(6).save(root.path().join("a.png")).unwrap();
        fs::read(root.path().join("a.png")).unwrap()
    };
    let cases: [(&str, &[u8], &str); 6] = [
        (
            "cut.jpg",
            &whole[..whole.len() / 2],
            "the file is cut short",
        ),
        (
            "camera.jpg",
            &thumbnail_first[..cut],
            "the file is cut short",
        ),
        ("cut.png", &png[..png.len() / 2], ""),
        ("empty.jpg", b"", "the file is empty"),
        (
            "text.png",
            b"not an image",
            "its first bytes are those of no JPEG, PNG, WebP, GIF, TIFF or BMP",
        ),
        ("header.jpg", b"\xff\xd8\xff\xe0\xff\xd9", ""),
    ];
    for (name, bytes, reason) in cases {
        let root = written(name, bytes);
        let path = root.path().join(name);
        let dataset = Dataset::open(&folder(root.path())).unwrap();
        let message = dataset.center(0).unwrap_err().to_string();
        let expected = format!("cannot read the image {}: {reason}", path.display());
        assert!(message.starts_with(&expected), "{message}");
    }
    assert_eq!(
        decoded(written("a.jpg", &thumbnail_first).path()),
        decoded(written("a.jpg", &whole).path())
    );
}

//! Image files to 8-bit RGB, as Pillow's `convert("RGB")` does: grey is repeated, a palette looked up, alpha dropped
//! (not composited), orientation tags and colour profiles ignored. 16-bit samples keep their high byte.
//!
//! One departure: Pillow clips 16-bit *grey* at 255, which whitens the picture; here it too keeps the high byte.

use std::{
    fs,
    io::Cursor,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use image::{DynamicImage, ImageFormat, ImageReader, RgbImage};

use super::DataError;

/// Reads and decodes one file. Its kind is told by its first bytes, whatever its name.
///
/// # Errors
/// [`DataError::Unreadable`] names the file: it cannot be read, is no JPEG, PNG or WebP, is damaged or cut short, or
/// would take over 512 MiB.
pub fn read_rgb(path: &Path) -> Result<RgbImage, DataError> {
    let bytes = fs::read(path).map_err(|error| DataError::unreadable(path, error))?;
    decode(&bytes).map_err(|reason| DataError::unreadable(path, reason))
}

/// Decodes the bytes of one file.
///
/// # Errors
/// A sentence: what [`read_rgb`] says of a file that it could read.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    // Decoders are the work of others and meet arbitrary bytes: one that panics must not take training down.
    catch_unwind(AssertUnwindSafe(|| decoded(bytes)))
        .unwrap_or_else(|_| Err("the decoder failed on it".into()))
}

fn decoded(bytes: &[u8]) -> Result<RgbImage, String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let format = image::guess_format(bytes)
        .ok()
        .filter(|format| format.reading_enabled())
        .ok_or("its first bytes are those of no JPEG, PNG or WebP")?;
    if format == ImageFormat::Jpeg && cut_short(bytes) {
        return Err("the file is cut short".into());
    }
    let decoded = ImageReader::with_format(Cursor::new(bytes), format)
        .decode()
        .map_err(|error| error.to_string())?;
    let (width, height) = (decoded.width(), decoded.height());
    if width == 0 || height == 0 {
        return Err(format!("it measures {width}×{height}"));
    }
    Ok(to_rgb(decoded))
}

/// Whether a JPEG lacks its end. The decoder would fill what is missing with grey and not say so.
fn cut_short(bytes: &[u8]) -> bool {
    const END: [u8; 2] = [0xff, 0xd9];
    const START_OF_SCAN: [u8; 2] = [0xff, 0xda];
    // Both markers never occur inside a scan, where 0xff is always followed by 0 or a restart marker. A scan that
    // begins after the last end (which may be that of an embedded thumbnail) never ended.
    match bytes.windows(2).rposition(|pair| pair == END) {
        Some(end) => bytes[end..].windows(2).any(|pair| pair == START_OF_SCAN),
        None => true,
    }
}

fn to_rgb(image: DynamicImage) -> RgbImage {
    let (width, height) = (image.width(), image.height());
    let high = |sample: &u16| (sample >> 8) as u8;
    let pixels = match image {
        DynamicImage::ImageRgb8(image) => return image,
        DynamicImage::ImageLuma8(image) => grey(image.as_raw(), 1, |s| *s),
        DynamicImage::ImageLumaA8(image) => grey(image.as_raw(), 2, |s| *s),
        DynamicImage::ImageRgba8(image) => colour(image.as_raw(), 4, |s| *s),
        DynamicImage::ImageLuma16(image) => grey(image.as_raw(), 1, high),
        DynamicImage::ImageLumaA16(image) => grey(image.as_raw(), 2, high),
        DynamicImage::ImageRgb16(image) => colour(image.as_raw(), 3, high),
        DynamicImage::ImageRgba16(image) => colour(image.as_raw(), 4, high),
        other => return other.into_rgb8(),
    };
    RgbImage::from_raw(width, height, pixels).expect("three samples were written per pixel")
}

fn grey<S>(samples: &[S], channels: usize, to_u8: impl Fn(&S) -> u8) -> Vec<u8> {
    let pixels = samples.chunks_exact(channels);
    pixels.flat_map(|pixel| [to_u8(&pixel[0]); 3]).collect()
}

fn colour<S>(samples: &[S], channels: usize, to_u8: impl Fn(&S) -> u8) -> Vec<u8> {
    let pixels = samples.chunks_exact(channels);
    pixels
        .flat_map(|pixel| [to_u8(&pixel[0]), to_u8(&pixel[1]), to_u8(&pixel[2])])
        .collect()
}

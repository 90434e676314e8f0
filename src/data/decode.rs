//! Image files to 8-bit RGB, as Pillow's `convert("RGB")` does: grey is repeated, a palette looked up, alpha dropped
//! (not composited: colours under transparency count as they are stored), colour profiles ignored, of an animation the
//! first frame. CMYK is taken as Adobe writes it, inverted. 16-bit samples keep their high byte.
//!
//! Two departures: Pillow clips 16-bit *grey* at 255, which whitens the picture; here it too keeps the high byte. And
//! what a camera says of how it was held (EXIF, or the tag of a TIFF) is followed, so that no picture lies on its side.

use std::{
    io::Cursor,
    panic::{AssertUnwindSafe, catch_unwind},
};

use image::{
    ColorType, DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, ImageResult,
    Limits, RgbImage, metadata::Orientation,
};
use thiserror::Error;

use super::jpeg::{self, Jpeg};
use crate::text::units::{bytes as told, grouped};

/// An image of more pixels is refused before memory is taken for it: as many as Pillow's limit for decompression bombs.
pub const MAX_PIXELS: u64 = 178_956_970;

/// Of a decoder, in bytes: what the most pixels take at 16 bits, with alpha.
const MAX_MEMORY: u64 = 8 * MAX_PIXELS;

/// The formats read, with their names for people.
const FORMATS: [(ImageFormat, &str); 6] = [
    (ImageFormat::Jpeg, "JPEG"),
    (ImageFormat::Png, "PNG"),
    (ImageFormat::WebP, "WebP"),
    (ImageFormat::Gif, "GIF"),
    (ImageFormat::Tiff, "TIFF"),
    (ImageFormat::Bmp, "BMP"),
];

/// Why bytes are no picture.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "a variant's message says what its fields hold")]
pub enum Fault {
    #[error("the file is empty")]
    Empty,
    #[error("its first bytes are those of no {}", formats())]
    Unknown,
    #[error("the file is cut short")]
    CutShort,
    #[error("it measures {width} × {height}")]
    NoPixels { width: u32, height: u32 },
    #[error("it measures {width} × {height}, and more than {} pixels are refused", grouped(MAX_PIXELS as usize))]
    TooLarge { width: u32, height: u32 },
    #[error(
        "decoding it would take more memory than {}, the most that is allowed",
        told(MAX_MEMORY)
    )]
    Memory,
    #[error("the decoder failed on it")]
    Panicked,
    /// The decoder's own words.
    #[error("{0}")]
    Damaged(String),
}

/// What an image is, before it is turned into RGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// `JPEG`
    pub format: &'static str,
    /// In pixels, as the picture is seen.
    pub width: u32,
    /// In pixels, as the picture is seen.
    pub height: u32,
    /// Whether it has one channel of colour.
    pub grey: bool,
    /// Whether it has a channel of transparency.
    pub alpha: bool,
    /// More than 8 bits a sample.
    pub deep: bool,
    /// Stored in another orientation than it is seen.
    pub turned: bool,
}

/// Decodes one image. Its kind is told by its first bytes.
///
/// # Errors
/// The bytes are no image of a kind that is read, are damaged or cut short, or hold too many pixels.
pub fn decode(bytes: &[u8]) -> Result<(Header, RgbImage), Fault> {
    decode_into(bytes, Vec::new())
}

/// As [`decode`], into memory that is at hand, where that is of use. What it held does not matter.
///
/// # Errors
/// As [`decode`].
pub fn decode_into(bytes: &[u8], memory: Vec<u8>) -> Result<(Header, RgbImage), Fault> {
    // Decoders are the work of others and meet arbitrary bytes: one that panics must not take training down.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_trusting(bytes, memory)));
    decoded.unwrap_or(Err(Fault::Panicked))
}

fn decode_trusting(bytes: &[u8], memory: Vec<u8>) -> Result<(Header, RgbImage), Fault> {
    if bytes.is_empty() {
        return Err(Fault::Empty);
    }
    let guessed = image::guess_format(bytes).ok();
    let known = |(format, _): &&(ImageFormat, &str)| Some(*format) == guessed;
    let &(format, name) = FORMATS.iter().find(known).ok_or(Fault::Unknown)?;
    let (stored, color, orientation) = match format {
        ImageFormat::Jpeg => of_jpeg(bytes, memory)?,
        _ => of_another(bytes, format)?,
    };
    let mut seen = DynamicImage::ImageRgb8(to_rgb(stored));
    seen.apply_orientation(orientation);
    let pixels = seen.into_rgb8();
    let header = Header {
        format: name,
        width: pixels.width(),
        height: pixels.height(),
        grey: !color.has_color(),
        // The decoder of GIFs always gives alpha, used or not.
        alpha: color.has_alpha() && format != ImageFormat::Gif,
        deep: color.bytes_per_pixel() > color.channel_count(),
        turned: orientation != Orientation::NoTransforms,
    };
    Ok((header, pixels))
}

/// An image as it is stored, of which samples, and as which it is to be seen.
type Stored = (DynamicImage, ColorType, Orientation);

fn of_jpeg(bytes: &[u8], memory: Vec<u8>) -> Result<Stored, Fault> {
    let jpeg = Jpeg::open(bytes)?;
    let (width, height, grey) = (jpeg.width, jpeg.height, jpeg.grey);
    check(width, height)?;
    if !jpeg::ends(bytes) {
        return Err(Fault::CutShort);
    }
    let orientation = jpeg.orientation();
    let samples = jpeg.samples(memory)?;
    let whole = "the decoder was given room for every sample";
    Ok(match grey {
        true => {
            let image = GrayImage::from_raw(width, height, samples).expect(whole);
            (DynamicImage::ImageLuma8(image), ColorType::L8, orientation)
        }
        false => {
            let image = RgbImage::from_raw(width, height, samples).expect(whole);
            (DynamicImage::ImageRgb8(image), ColorType::Rgb8, orientation)
        }
    })
}

fn of_another(bytes: &[u8], format: ImageFormat) -> Result<Stored, Fault> {
    let mut decoder = open(bytes, format).map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    check(width, height)?;
    // Metadata that cannot be read is no reason to do without the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let color = decoder.color_type();
    let stored = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    Ok((stored, color, orientation))
}

/// Refuses what is not to be decoded, before memory is taken for it.
fn check(width: u32, height: u32) -> Result<(), Fault> {
    if width == 0 || height == 0 {
        return Err(Fault::NoPixels { width, height });
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Fault::TooLarge { width, height });
    }
    Ok(())
}

fn open(bytes: &[u8], format: ImageFormat) -> ImageResult<impl ImageDecoder + '_> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    reader.into_decoder()
}

fn damaged(error: image::ImageError) -> Fault {
    match error {
        image::ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Fault::CutShort
        }
        image::ImageError::Limits(_) => Fault::Memory,
        other => Fault::Damaged(other.to_string()),
    }
}

/// `JPEG, PNG, WebP, GIF, TIFF or BMP`
fn formats() -> String {
    let names = FORMATS.map(|(_, name)| name);
    let (last, rest) = names.split_last().expect("there are formats");
    format!("{} or {last}", rest.join(", "))
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

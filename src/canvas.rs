//! Smooth lines and text on pictures.
//!
//! plotters places letters and draws thick lines at whole pixels, so everything is drawn larger and scaled down. The font
//! travels in the binary: no font of the system is needed, and the pixels are the same everywhere.

use std::sync::LazyLock;

use image::{RgbImage, imageops};
use plotters::{
    coord::Shift,
    drawing::DrawingAreaErrorKind,
    prelude::{BitMapBackend, DrawingArea, DrawingBackend, IntoDrawingArea, RGBColor},
    style::{FontDesc, FontFamily, FontStyle, TextStyle, register_font},
};

pub type Canvas<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
pub type DrawError = DrawingAreaErrorKind<<BitMapBackend<'static> as DrawingBackend>::ErrorType>;

/// The colour of text.
pub const INK: RGBColor = RGBColor(0x33, 0x3a, 0x45);

const OVERSAMPLING: u32 = 3;
const FAMILY: &str = "noto-sans";

static REGISTERED: LazyLock<()> = LazyLock::new(|| {
    let registered = register_font(FAMILY, FontStyle::Normal, ttf_noto_sans::REGULAR);
    assert!(registered.is_ok(), "the font in the binary is a sound one");
});

/// Draws on white. `paint` measures in [`px`].
pub fn draw(
    width: u32,
    height: u32,
    paint: impl FnOnce(&Canvas<'_>) -> Result<(), DrawError>,
) -> RgbImage {
    let mut large = RgbImage::from_pixel(px(width), px(height), image::Rgb([0xff; 3]));
    let size = large.dimensions();
    paint(&BitMapBackend::with_buffer(large.as_mut(), size).into_drawing_area())
        .expect("drawing into memory fails only without a font, and the font is in the binary");
    imageops::thumbnail(&large, width, height)
}

/// Pixels of the picture as pixels of the canvas.
pub const fn px(pixels: u32) -> u32 {
    pixels * OVERSAMPLING
}

/// A point of the picture on the canvas.
pub const fn at(x: u32, y: u32) -> (i32, i32) {
    (px(x) as i32, px(y) as i32)
}

/// Noto Sans at a height in pixels of the picture.
pub fn text(height: u32, color: RGBColor) -> TextStyle<'static> {
    LazyLock::force(&REGISTERED);
    let family = FontFamily::Name(FAMILY);
    FontDesc::new(family, px(height) as f64, FontStyle::Normal).color(&color)
}

//! A contact sheet: masks over pictures.

use image::{
    Rgb, RgbImage,
    imageops::{self, FilterType},
};

/// What stands for a hidden pixel: this colour, and a little of the picture.
const HIDDEN: [u16; 3] = [0x9a; 3];
const PAPER: Rgb<u8> = Rgb([0xff; 3]);
const MARGIN: u32 = 12;
const GUTTER: u32 = 4;
/// Pictures in a row.
const COLUMNS: u32 = 6;
/// Small pictures are enlarged by a whole number until they are at least this wide.
const LEAST_SIDE: u32 = 128;

/// Draws each mask (`[units, units]`, 1 = hidden) over a picture, six in a row. Pictures are squares of one side that the
/// units divide, taken in turn; hidden parts show faintly.
///
/// # Panics
/// If there are no masks or no pictures.
pub fn sheet(masks: &[Vec<f32>], pictures: &[RgbImage]) -> RgbImage {
    let side = pictures[0].width();
    let panel = side * LEAST_SIDE.div_ceil(side);
    let columns = COLUMNS.min(masks.len() as u32);
    let rows = (masks.len() as u32).div_ceil(columns);
    let length = |count: u32| 2 * MARGIN + count * panel + (count - 1) * GUTTER;
    let mut sheet = RgbImage::from_pixel(length(columns), length(rows), PAPER);
    for ((mask, picture), at) in masks.iter().zip(pictures.iter().cycle()).zip(0..) {
        let covered = cover(picture, mask);
        let panel_of = imageops::resize(&covered, panel, panel, FilterType::Nearest);
        let place = |count: u32| i64::from(MARGIN + count * (panel + GUTTER));
        imageops::replace(
            &mut sheet,
            &panel_of,
            place(at % columns),
            place(at / columns),
        );
    }
    sheet
}

fn cover(picture: &RgbImage, mask: &[f32]) -> RgbImage {
    let units = mask.len().isqrt() as u32;
    let unit = (picture.width() / units).max(1);
    let mut covered = picture.clone();
    for (x, y, pixel) in covered.enumerate_pixels_mut() {
        if mask[((y / unit).min(units - 1) * units + (x / unit).min(units - 1)) as usize] > 0.5 {
            let faint = |c: usize| ((7 * HIDDEN[c] + u16::from(pixel[c])) / 8) as u8;
            *pixel = Rgb([faint(0), faint(1), faint(2)]);
        }
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_units_are_covered_and_visible_ones_are_not() {
        let red = RgbImage::from_pixel(128, 128, Rgb([255, 0, 0]));
        let masks = vec![vec![1.0, 0.0, 0.0, 1.0]; 8];
        let sheet = sheet(&masks, &[red]);
        let (width, height) = (2 * 12 + 6 * 128 + 5 * 4, 2 * 12 + 2 * 128 + 4);
        assert_eq!(sheet.dimensions(), (width, height));
        let hidden = Rgb([
            ((7 * 0x9a + 255) / 8) as u8,
            (7 * 0x9a / 8) as u8,
            (7 * 0x9a / 8) as u8,
        ]);
        let at = |x: u32, y: u32| *sheet.get_pixel(12 + x, 12 + y);
        assert_eq!([at(0, 0), at(63, 63), at(64, 64)], [hidden; 3]);
        assert_eq!([at(64, 0), at(0, 64)], [Rgb([255, 0, 0]); 2]);
        // The eighth stands second in the second row; behind it is paper.
        assert_eq!(at(132, 132), hidden);
        assert_eq!(at(2 * 132, 132), PAPER);
    }
}

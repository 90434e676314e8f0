//! AvgDist over two settings as a picture.

use super::lies;
use crate::canvas::{self, Canvas, DrawError, INK, at, px, text};
use image::RgbImage;
use plotters::{
    prelude::{RGBColor, Rectangle, Text},
    style::{
        Color,
        text_anchor::{HPos, Pos, VPos},
    },
};
use std::ops::RangeInclusive;

/// One choice of both settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// AvgDist in pixels; nothing where the masks have none or cannot be drawn.
    pub distance: Option<f64>,
}

const CELL: (u32, u32) = (84, 44);
const LEFT: u32 = 130;
const TOP: u32 = 76;
const MARGIN: u32 = 16;
const LETTERS: u32 = 17;
const SMALL: u32 = 14;

const NEAR: RGBColor = RGBColor(0x4a, 0x7f, 0xb5);
const GOOD: RGBColor = RGBColor(0x6b, 0xb3, 0x7a);
const FAR: RGBColor = RGBColor(0xd9, 0x8a, 0x4e);
const NONE: RGBColor = RGBColor(0xe6, 0xe9, 0xee);

/// Draws `cells[row][column]`: green in the range that is known to train well, bluer below it, redder above.
///
/// # Panics
/// If there are no cells, or not as many as the axes have values.
pub fn heat(
    cells: &[Vec<Cell>],
    [rows, columns]: [(&str, &[String]); 2],
    wanted: &RangeInclusive<f64>,
) -> RgbImage {
    assert_eq!(
        (cells.len(), cells[0].len()),
        (rows.1.len(), columns.1.len()),
        "one cell each"
    );
    let width = LEFT + columns.1.len() as u32 * CELL.0 + MARGIN;
    let height = TOP + rows.1.len() as u32 * CELL.1 + MARGIN;
    // The title must fit above a single column.
    canvas::draw(width.max(420), height, |canvas| {
        let style = |size: u32, h: HPos| text(size, INK).pos(Pos::new(h, VPos::Center));
        let title = format!("AvgDist in px over {}", columns.0);
        canvas.draw(&Text::new(
            title,
            at(MARGIN, 20),
            style(LETTERS, HPos::Left),
        ))?;
        canvas.draw(&Text::new(
            rows.0.to_owned(),
            at(MARGIN, TOP - 18),
            style(SMALL, HPos::Left),
        ))?;
        for (name, column) in columns.1.iter().zip(0..) {
            let center = at(LEFT + column * CELL.0 + CELL.0 / 2, TOP - 18);
            canvas.draw(&Text::new(name.clone(), center, style(SMALL, HPos::Center)))?;
        }
        for ((name, line), row) in rows.1.iter().zip(cells).zip(0..) {
            let middle = TOP + row * CELL.1 + CELL.1 / 2;
            canvas.draw(&Text::new(
                name.clone(),
                at(LEFT - 12, middle),
                style(SMALL, HPos::Right),
            ))?;
            for (cell, column) in line.iter().zip(0..) {
                draw_cell(
                    canvas,
                    cell,
                    (LEFT + column * CELL.0, TOP + row * CELL.1),
                    wanted,
                )?;
            }
        }
        Ok(())
    })
}

fn draw_cell(
    canvas: &Canvas<'_>,
    cell: &Cell,
    (x, y): (u32, u32),
    wanted: &RangeInclusive<f64>,
) -> Result<(), DrawError> {
    let corners = [at(x + 1, y + 1), at(x + CELL.0 - 1, y + CELL.1 - 1)];
    canvas.draw(&Rectangle::new(corners, colour(cell, wanted).filled()))?;
    let told = cell
        .distance
        .map_or("–".to_owned(), |distance| format!("{distance:.1}"));
    let style = text(LETTERS, INK).pos(Pos::new(HPos::Center, VPos::Center));
    let (x, y) = at(x + CELL.0 / 2, y + CELL.1 / 2);
    canvas.draw(&Text::new(told, (x, y - px(1) as i32), style))
}

/// Half as far as the range's end, or twice, is the full colour.
fn colour(cell: &Cell, wanted: &RangeInclusive<f64>) -> RGBColor {
    let Some(distance) = cell.distance else {
        return NONE;
    };
    if lies(distance, wanted) {
        return GOOD;
    }
    let (toward, octaves) = match distance < *wanted.start() {
        true => (NEAR, (wanted.start() / distance).log2()),
        false => (FAR, (distance / wanted.end()).log2()),
    };
    let part = (0.35 + 0.65 * octaves).clamp(0.0, 1.0);
    let mix = |from: u8, to: u8| (f64::from(from) + part * (f64::from(to) - f64::from(from))) as u8;
    RGBColor(
        mix(0xff, toward.0),
        mix(0xff, toward.1),
        mix(0xff, toward.2),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_the_colour_of_where_they_lie() {
        let cells = [Some(3.0), Some(9.0), Some(15.0), Some(50.0), None];
        let line: Vec<Cell> = cells.iter().map(|&distance| Cell { distance }).collect();
        let names: Vec<String> = (0..5).map(|n| n.to_string()).collect();
        let one = ["16".to_owned()];
        let picture = heat(&[line], [("unit", &one), ("ratio", &names)], &(10.0..=20.0));
        let of = |column: u32| picture.get_pixel(LEFT + column * CELL.0 + 8, TOP + 8).0;
        let [near, nearly, good, far, none] = [0, 1, 2, 3, 4].map(of);
        assert_eq!(good, [GOOD.0, GOOD.1, GOOD.2]);
        assert_eq!(none, [NONE.0, NONE.1, NONE.2]);
        assert!(near[2] > near[0] && far[0] > far[2]);
        assert!(
            nearly.iter().sum::<u8>() != 0 && nearly[0] > near[0],
            "paler: {nearly:?} {near:?}"
        );
    }
}

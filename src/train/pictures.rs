//! A sheet of reconstructions: what a model sees, and what it makes of it.
//!
//! One line per image: original | masked | reconstruction | the masked image completed from it. More than
//! four images stand in two groups side by side, so that eight make a sheet that is wider than high.

use image::{
    Rgb, RgbImage,
    imageops::{self, FilterType},
};
use plotters::{
    prelude::Text,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::canvas::{self, INK, at, text};

/// One image in the three forms that a line is made of. All pictures are squares of the same side.
#[derive(Debug, Clone)]
pub struct View {
    /// As the network is fed it.
    pub original: RgbImage,
    /// As the network makes it.
    pub reconstruction: RgbImage,
    /// Whether each unit is hidden, row by row; a square number of units that divides the picture.
    pub hidden: Vec<bool>,
}

const COLUMNS: [&str; 4] = ["original", "masked", "reconstruction", "completed"];
const PAPER: Rgb<u8> = Rgb([0xff; 3]);
/// What stands for a hidden unit.
const HIDDEN: Rgb<u8> = Rgb([0x9a; 3]);
/// Small images are enlarged by a whole number until the sheet is at least this wide.
const LEAST_WIDTH: u32 = 800;
const GUTTER: u32 = 4;
const MARGIN: u32 = 12;
/// Between the two groups.
const AISLE: u32 = 20;
const HEADER: u32 = 24;
const LETTERS: u32 = 16;
/// From so many images on they stand in two groups.
const TWO_GROUPS: usize = 5;

/// Draws the sheet. There must be at least one view.
pub fn sheet(views: &[View]) -> RgbImage {
    let layout = Layout::new(views);
    let mut sheet = RgbImage::from_pixel(layout.width(), layout.height(), PAPER);
    let groups = (0..layout.groups).map(|group| (group * layout.rows) as usize);
    let heads = groups.flat_map(|image| {
        let center = |column| layout.place(image, column).0 + layout.panel / 2;
        COLUMNS
            .into_iter()
            .zip((0..).map(center))
            .collect::<Vec<_>>()
    });
    label(&mut sheet, heads);
    for (index, view) in views.iter().enumerate() {
        let (masked, completed) = (masked(view), completed(view));
        let panels = [&view.original, &masked, &view.reconstruction, &completed];
        for (column, panel) in panels.into_iter().enumerate() {
            let (x, y) = layout.place(index, column);
            let panel = imageops::resize(panel, layout.panel, layout.panel, FilterType::Nearest);
            imageops::replace(&mut sheet, &panel, x.into(), y.into());
        }
    }
    sheet
}

/// A strip for each image: the original, then a column for each of `names`, in it the masked image above the completed one.
/// There must be at least one image, and for each as many views as names.
pub fn strips(images: &[Vec<View>], names: &[String]) -> RgbImage {
    let side = images[0][0].original.width();
    let columns = names.len() as u32 + 1;
    let panel = side * LEAST_WIDTH.div_ceil(side * columns);
    let left = |column: u32| MARGIN + column * (panel + GUTTER);
    let top = |row: u32| MARGIN + HEADER + row * (panel + GUTTER) + row / 2 * AISLE;
    let rows = 2 * images.len() as u32;
    let (width, height) = (
        left(columns) - GUTTER + MARGIN,
        top(rows) - GUTTER - AISLE + MARGIN,
    );
    let mut picture = RgbImage::from_pixel(width, height, PAPER);
    let heads = ["original"]
        .into_iter()
        .chain(names.iter().map(String::as_str));
    label(
        &mut picture,
        heads
            .zip(0..)
            .map(|(name, column)| (name, left(column) + panel / 2)),
    );
    let mut place = |panel_of: &RgbImage, column: u32, row: u32| {
        let enlarged = imageops::resize(panel_of, panel, panel, FilterType::Nearest);
        imageops::replace(
            &mut picture,
            &enlarged,
            left(column).into(),
            top(row).into(),
        );
    };
    for (views, row) in images.iter().zip((0..).step_by(2)) {
        place(&views[0].original, 0, row);
        for (view, column) in views.iter().zip(1..) {
            place(&masked(view), column, row);
            place(&completed(view), column, row + 1);
        }
    }
    picture
}

fn masked(view: &View) -> RgbImage {
    compose(view, |_| HIDDEN, |at| *view.original.get_pixel(at.0, at.1))
}

fn completed(view: &View) -> RgbImage {
    compose(
        view,
        |at| *view.reconstruction.get_pixel(at.0, at.1),
        |at| *view.original.get_pixel(at.0, at.1),
    )
}

/// A picture made of one source where units are hidden and of another where they are not.
fn compose(
    view: &View,
    hidden: impl Fn((u32, u32)) -> Rgb<u8>,
    visible: impl Fn((u32, u32)) -> Rgb<u8>,
) -> RgbImage {
    let side = view.original.width();
    let units = view.hidden.len().isqrt() as u32;
    let unit = side / units;
    RgbImage::from_fn(side, side, |x, y| {
        match view.hidden[(y / unit * units + x / unit) as usize] {
            true => hidden((x, y)),
            false => visible((x, y)),
        }
    })
}

/// Where everything stands, in pixels of the sheet.
struct Layout {
    groups: u32,
    rows: u32,
    /// Side of an enlarged picture.
    panel: u32,
}

impl Layout {
    fn new(views: &[View]) -> Self {
        let groups = if views.len() >= TWO_GROUPS { 2 } else { 1 };
        let rows = views.len().div_ceil(groups) as u32;
        let groups = groups as u32;
        let side = views[0].original.width();
        let scale = LEAST_WIDTH.div_ceil(side * groups * COLUMNS.len() as u32);
        Self {
            groups,
            rows,
            panel: side * scale,
        }
    }

    fn group_width(&self) -> u32 {
        let columns = COLUMNS.len() as u32;
        columns * self.panel + (columns - 1) * GUTTER
    }

    fn width(&self) -> u32 {
        2 * MARGIN + self.groups * self.group_width() + (self.groups - 1) * AISLE
    }

    fn height(&self) -> u32 {
        MARGIN + HEADER + self.rows * self.panel + (self.rows - 1) * GUTTER + MARGIN
    }

    /// Left upper corner of one panel of an image. Images fill the first group from above, then the second.
    fn place(&self, image: usize, column: usize) -> (u32, u32) {
        let (group, row) = (image as u32 / self.rows, image as u32 % self.rows);
        let step = self.panel + GUTTER;
        let left = MARGIN + group * (self.group_width() + AISLE);
        (left + column as u32 * step, MARGIN + HEADER + row * step)
    }
}

/// Names above columns, each by the middle of its column.
fn label<'n>(picture: &mut RgbImage, names: impl Iterator<Item = (&'n str, u32)>) {
    let header = canvas::draw(picture.width(), HEADER, |canvas| {
        let style = text(LETTERS, INK).pos(Pos::new(HPos::Center, VPos::Center));
        for (name, middle) in names {
            let center = at(middle, HEADER / 2);
            canvas.draw(&Text::new(name, center, style.clone()))?;
        }
        Ok(())
    });
    imageops::replace(picture, &header, 0, (MARGIN - 3).into());
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: Rgb<u8> = Rgb([200, 0, 0]);
    const BLUE: Rgb<u8> = Rgb([0, 0, 200]);

    /// Red, reconstructed in blue, hidden at the upper left of 2 × 2 units.
    fn view(side: u32) -> View {
        View {
            original: RgbImage::from_pixel(side, side, RED),
            reconstruction: RgbImage::from_pixel(side, side, BLUE),
            hidden: vec![true, false, false, false],
        }
    }

    #[test]
    fn a_line_shows_the_four_forms() {
        let sheet = sheet(&[view(200)]);
        let (width, height) = (4 * 200 + 3 * GUTTER + 2 * MARGIN, 200 + 2 * MARGIN + HEADER);
        assert_eq!(sheet.dimensions(), (width, height));
        let top = MARGIN + HEADER;
        let panel = |column: u32| {
            let left = MARGIN + column * (200 + GUTTER);
            let at = |x: u32, y: u32| *sheet.get_pixel(left + x, top + y);
            [at(0, 0), at(99, 99), at(100, 99), at(99, 100), at(199, 199)]
        };
        assert_eq!(panel(0), [RED; 5]);
        assert_eq!(panel(1), [HIDDEN, HIDDEN, RED, RED, RED]);
        assert_eq!(panel(2), [BLUE; 5]);
        assert_eq!(panel(3), [BLUE, BLUE, RED, RED, RED]);
        assert_eq!(*sheet.get_pixel(MARGIN + 200 + 1, top), PAPER);
    }

    #[test]
    fn eight_small_images_stand_in_two_groups_enlarged() {
        let views = vec![view(96); 8];
        let sheet = sheet(&views);
        let group = 4 * 192 + 3 * GUTTER;
        assert_eq!(sheet.width(), 2 * group + AISLE + 2 * MARGIN);
        assert_eq!(sheet.height(), 4 * 192 + 3 * GUTTER + 2 * MARGIN + HEADER);
        let last = (sheet.width() - MARGIN - 1, sheet.height() - MARGIN - 1);
        assert_eq!(*sheet.get_pixel(last.0, last.1), RED);
    }

    #[test]
    fn a_strip_shows_masked_above_completed_for_each_name() {
        let names = ["0.2", "0.4"].map(String::from);
        let images = vec![vec![view(300); 2]; 2];
        let picture = strips(&images, &names);
        let width = 3 * 300 + 2 * GUTTER + 2 * MARGIN;
        let height = 4 * 300 + 3 * GUTTER + AISLE + 2 * MARGIN + HEADER;
        assert_eq!(picture.dimensions(), (width, height));
        let at = |column: u32, row: u32| {
            let y = MARGIN + HEADER + row * (300 + GUTTER) + row / 2 * AISLE;
            *picture.get_pixel(MARGIN + column * (300 + GUTTER), y)
        };
        assert_eq!([at(0, 0), at(1, 0), at(2, 0)], [RED, HIDDEN, HIDDEN]);
        assert_eq!([at(0, 1), at(1, 1), at(2, 1)], [PAPER, BLUE, BLUE]);
        assert_eq!([at(0, 2), at(1, 3)], [RED, BLUE]);
    }

    #[test]
    fn every_number_of_images_has_a_sheet() {
        for count in 1..=9 {
            for side in [8, 32, 224] {
                let sheet = sheet(&vec![view(side); count]);
                assert!((800..2100).contains(&sheet.width()), "{}", sheet.width());
            }
        }
    }
}

//! Columns that line up.

/// Columns of the narrowest screen that all should fit on.
pub const WIDTH: usize = 80;

/// Between two columns.
const GAP: &str = "  ";

/// A column of texts is not broken into lines narrower than this.
const NARROWEST: usize = 24;

/// Which end of a column's cells line up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// Lays out rows of cells, without spaces at their ends. A row may have fewer cells than there are columns. It is one line, but
/// where a last column of texts goes beyond [`WIDTH`]: those are broken between words.
pub fn columns<C: AsRef<str>>(align: &[Align], rows: &[Vec<C>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.as_ref().chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..align.len()).map(width).collect();
    let (last, before) = match widths.len().checked_sub(1) {
        Some(last) => (last, widths[..last].iter().map(|w| w + GAP.len()).sum()),
        None => (0, 0),
    };
    let texts = align.last() == Some(&Align::Left);
    let room = WIDTH.saturating_sub(before).max(NARROWEST);
    let mut text = String::new();
    for row in rows {
        let mut row: Vec<&str> = row.iter().map(AsRef::as_ref).collect();
        let lines = match row.get(last) {
            Some(cell) if texts && cell.chars().count() > room => broken(cell, room),
            _ => Vec::new(),
        };
        if let Some(first) = lines.first() {
            row[last] = first;
        }
        text += &line(align, &widths, &row);
        for more in lines.iter().skip(1) {
            text += &format!("{:before$}{more}\n", "");
        }
    }
    text
}

/// Lines of a text, broken between words; a word that is longer has a line of its own.
pub fn broken(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn line(align: &[Align], widths: &[usize], row: &[&str]) -> String {
    let cells = row.iter().zip(align).zip(widths);
    let cells = cells.map(|((cell, align), &width)| match align {
        Align::Left => format!("{cell:<width$}"),
        Align::Right => format!("{cell:>width$}"),
    });
    let line = cells.collect::<Vec<_>>().join(GAP);
    line.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_by_characters() {
        let rows = vec![vec!["loss", "1", "ok"], vec!["‖Δ‖", "100"]];
        let align = [Align::Left, Align::Right, Align::Left];
        assert_eq!(columns(&align, &rows), "loss    1  ok\n‖Δ‖   100\n");
    }

    #[test]
    fn long_texts_are_broken_below_their_beginning() {
        let long = "word ".repeat(30);
        let path = "x".repeat(100);
        let rows = vec![vec!["a", &long], vec!["bcd", &path], vec!["e", "short"]];
        let text = columns(&[Align::Left; 2], &rows);
        let line = |words: usize| vec!["word"; words].join(" ");
        let expected = format!(
            "a    {}\n     {}\nbcd  {path}\ne    short\n",
            line(15),
            line(15)
        );
        assert_eq!(text, expected);
    }
}

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

/// Lines of a text, broken between words; a word that is longer has a line of its own. What stands in backticks is one word, for it
/// is to be copied, and so is `size = 8`, and what stands in double quotes or in brackets, where a line can hold it.
pub fn broken(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words(text, room) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// Whether a text begins something that it does not end, for each pair of marks.
fn open(text: &str) -> [bool; 3] {
    let count = |mark: char| text.matches(mark).count();
    [
        count('`') % 2 == 1,
        count('"') % 2 == 1,
        count('[') > count(']'),
    ]
}

fn words(text: &str, room: usize) -> Vec<String> {
    // What the whole text does not end holds nothing together.
    let odd = open(text);
    let goes_on = |word: &str| {
        open(word)
            .into_iter()
            .zip(odd)
            .any(|(open, odd)| open && !odd)
    };
    let mut words: Vec<String> = Vec::new();
    for piece in text.split_whitespace() {
        match words.last_mut() {
            Some(word) if goes_on(word) || piece == "=" || word.ends_with(" =") => {
                word.push(' ');
                word.push_str(piece);
            }
            _ => words.push(piece.to_owned()),
        }
    }
    let parts = |word: String| match word.contains('`') || word.chars().count() <= room {
        true => vec![word],
        false => word.split_whitespace().map(str::to_owned).collect(),
    };
    words.into_iter().flat_map(parts).collect()
}

/// A name with its middle left out where it is longer than so many letters: `attn.relativ…bias_table`.
pub fn shortened(name: &str, most: usize) -> String {
    let length = name.chars().count();
    if length <= most {
        return name.to_owned();
    }
    let kept = most.saturating_sub(1);
    let begin = name.chars().take(kept / 2);
    let end = name.chars().skip(length - kept.div_ceil(2));
    begin.chain(['…']).chain(end).collect()
}

/// Rows with the names in their first cells shortened where a line would go beyond [`WIDTH`].
pub fn fitted(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let cells = rows.iter().map(Vec::len).max().unwrap_or(0);
    let others: usize = (1..cells).map(|column| GAP.len() + width(column)).sum();
    // Of a shorter name nothing can be told any more.
    let room = WIDTH.saturating_sub(others).max(16);
    for row in &mut rows {
        row[0] = shortened(&row[0], room);
    }
    rows
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

    #[test]
    fn long_names_keep_their_ends() {
        assert_eq!(shortened("abcdefgh", 8), "abcdefgh");
        assert_eq!(shortened("abcdefgh", 6), "ab…fgh");
        assert_eq!(shortened("ñbcdefgü", 4), "ñ…gü");
    }

    #[test]
    fn what_is_to_be_copied_is_not_broken() {
        assert_eq!(broken("where size = 8", 10), ["where", "size = 8"]);
        let text = "write `mimc run mine --resume` or `x`, then `y z`";
        let lines = ["write", "`mimc run mine --resume`", "or `x`, then", "`y z`"];
        assert_eq!(broken(text, 12), lines);
        assert_eq!(
            broken(r#"sum(x, "b c -> b")"#, 11),
            ["sum(x,", r#""b c -> b")"#]
        );
        assert_eq!(
            broken("an odd ` quotes nothing", 8),
            ["an odd `", "quotes", "nothing"]
        );
    }
}

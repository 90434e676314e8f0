//! Columns that line up.

/// Between two columns.
const GAP: &str = "  ";

/// Which end of a column's cells line up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// Lays out rows of cells, one line each, without spaces at their ends. A row may have fewer cells than there are columns.
pub fn columns<C: AsRef<str>>(align: &[Align], rows: &[Vec<C>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.as_ref().chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..align.len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(align).zip(&widths);
        let cells = cells.map(|((cell, align), &width)| match align {
            Align::Left => format!("{:<width$}", cell.as_ref()),
            Align::Right => format!("{:>width$}", cell.as_ref()),
        });
        let line = cells.collect::<Vec<_>>().join(GAP);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
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
}

//! Rows added to those of a table.

use super::{
    Argument, Emission,
    source::{Draft, Part, c_type},
};
use crate::plan::{Work, kernel::Scatter};

const BLOCK: usize = 256;
/// Columns that a block owns.
const COLUMNS: usize = 32;

impl Emission<'_> {
    pub fn scatter(&mut self, scatter: &Scatter, work: Work) {
        let Scatter {
            rows,
            count,
            width,
            accumulate,
            ..
        } = *scatter;
        if rows * width == 0 {
            return;
        }
        let [source, out] = [scatter.source, scatter.out].map(|b| c_type(self.element(b)));
        let text = format!(
            "constexpr unsigned ROWS = {rows}, COUNT = {count}, WIDTH = {width};\n\
             constexpr bool ACCUMULATE = {accumulate};\ntypedef {source} Source;\ntypedef {out} Out;\n\n{}",
            include_str!("../kernels/scatter.cu")
        );
        let draft = Draft {
            stem: "scatter",
            note: format!("{count} rows of {width} added to {rows}"),
            parts: vec![Part::Element],
            text,
            grid: [rows as u32, width.div_ceil(COLUMNS) as u32, 1],
            block: BLOCK as u32,
            shared: (BLOCK * 4) as u32,
        };
        let arguments = [scatter.source, scatter.index, scatter.out].map(Argument::Buffer);
        self.launch(draft, arguments.to_vec(), work);
    }
}

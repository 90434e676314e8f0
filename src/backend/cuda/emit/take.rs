//! Rows picked from a table.

use super::{
    Argument, Emission,
    source::{Draft, Part, c_type},
};
use crate::plan::{Element, Work, kernel::Take};

const BLOCK: usize = 256;

impl Emission<'_> {
    pub fn take(&mut self, take: &Take, work: Work) {
        let Take {
            rows, count, width, ..
        } = *take;
        let size = self.element(take.table).bytes();
        let fits = |bytes: &&usize| (width * size).is_multiple_of(**bytes) && **bytes >= size;
        let bytes = [16, 8, 4].iter().find(fits).copied().unwrap_or(size);
        let unit = match bytes {
            16 => "uint4",
            8 => "uint2",
            4 => "unsigned",
            _ => c_type(Element::Bf16),
        };
        let pieces = width * size / bytes;
        if count * pieces == 0 {
            return;
        }
        let text = format!(
            "constexpr unsigned ROWS = {rows}, COUNT = {count}, PIECES = {pieces};\ntypedef {unit} Piece;\n\n{}",
            include_str!("../kernels/take.cu")
        );
        let draft = Draft {
            stem: "take",
            note: format!("{count} of {rows} rows of {width}"),
            parts: vec![Part::Element],
            text,
            grid: [(count * pieces).div_ceil(BLOCK) as u32, 1, 1],
            block: BLOCK as u32,
            shared: 0,
        };
        let arguments = [take.table, take.index, take.out].map(Argument::Buffer);
        self.launch(draft, arguments.to_vec(), work);
    }
}

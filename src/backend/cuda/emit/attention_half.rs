//! Attention on tensor cores, where queries, keys and values are stored in bf16.

use super::{
    Argument, Emission,
    attention::{Form, Heads},
    attention_backward::{Tasks, UNIT, shape, total},
    source::{Draft, Part},
};
use crate::plan::{
    Access, BufferId, Element, Work,
    kernel::{Attention, AttentionBackward},
};

/// Rows and columns of a block of a product.
const SIDE: usize = 16;
/// Warps of a block, at most.
const WARPS: usize = 8;
/// Warps of a multiprocessor whose gradients its registers can hold.
const RESIDENT: usize = 24;
/// Keys whose scores a warp has in registers at a time, at most.
const MOST_KEYS: usize = 112;
/// Numbers of the gradients of a key and its value that a warp can hold for each of its 16 keys.
const MOST_SUMS: usize = 256;

impl Emission<'_> {
    /// Launches the kernel, unless the operands are not such as it reads.
    pub fn attention_on_tensor_cores(&mut self, attention: &Attention, work: Work) -> bool {
        let out = &attention.out;
        if !(self.reads_in_eights(attention) && steps(out, attention.batch.len(), 2)) {
            return false;
        }
        let tiles = attention.queries.div_ceil(SIDE);
        let blocks = tiles.div_ceil(WARPS);
        let warps = tiles.div_ceil(blocks);
        let parts = attention.keys.div_ceil(MOST_KEYS);
        let tile = attention.keys.div_ceil(parts).next_multiple_of(SIDE);
        let rows = SIDE * warps;
        let widths = across(attention.width) + across(attention.value_width);
        let shared = (tile * widths + rows * across(attention.width)) * Element::Bf16.bytes();
        let registers = across(attention.width) + across(attention.value_width);
        if registers > MOST_SUMS || shared > self.target.shared() {
            return false;
        }
        let mut heads = Heads::new(self, attention);
        heads.parts.extend([Part::Vector, Part::Matrix]);
        heads.text += &format!(
            "constexpr unsigned THREADS = {}, ROWS = {rows}, TILE = {tile};\n",
            32 * warps,
        );
        let form = Form {
            parts: &[
                include_str!("../kernels/attention_fragments.cu"),
                include_str!("../kernels/attention_half.cu"),
            ],
            blocks,
            threads: 32 * warps,
            // Of many warps, one block would leave a multiprocessor waiting with it.
            together: if warps > WARPS / 2 { 2 } else { 1 },
            shared,
        };
        self.attend(attention, heads, &form, work);
        true
    }

    /// Whether one block can have all keys of a unit, and reads what it needs in eights.
    pub fn fits_tensor_cores(&self, backward: &AttentionBackward) -> bool {
        let forward = &backward.forward;
        let division = Division::new(forward);
        let slope = &backward.out_gradient;
        let sums = division.each * (forward.width + forward.value_width);
        self.reads_in_eights(forward)
            && self.element(slope.0) == Element::Bf16
            && steps(slope, forward.batch.len(), 8)
            && sums <= MOST_SUMS
            && division.shared(forward) <= self.target.shared()
    }

    /// Blocks of that kernel that a multiprocessor has at a time.
    pub fn together(&self, backward: &AttentionBackward) -> usize {
        let division = Division::new(&backward.forward);
        let by_memory = self.target.shared() / division.shared(&backward.forward).max(1);
        by_memory.min(RESIDENT / division.warps).max(1)
    }

    pub fn gradients_at_once(
        &mut self,
        backward: &AttentionBackward,
        tasks: &Tasks,
        totals: Option<Argument>,
        work: Work,
    ) {
        let forward = &backward.forward;
        let division = Division::new(forward);
        let threads = 32 * division.warps;
        let constants = format!(
            "constexpr unsigned THREADS = {threads}, ROWS = {}, EACH = {};\nconstexpr bool OUT_IN_EIGHTS = {};\n",
            SIDE * division.warps,
            division.each,
            self.element(forward.out.0) == Element::Bf16
                && steps(&forward.out, forward.batch.len(), 8),
        );
        let mut heads = self.heads_of(backward, &constants, Some((tasks, totals.is_some())));
        heads.parts.extend([Part::Vector, Part::Matrix]);
        let taken = self.taken(&mut heads, backward, &["Q", "K", "V"], totals);
        let call = format!(
            "differentiate({UNIT}, {}, sums, {}, turn == from);",
            taken.places,
            total(totals)
        );
        let put = format!("put(sums, {});\n", total(totals));
        let text = [
            &heads.text,
            "\n",
            include_str!("../kernels/attention_fragments.cu"),
            "\n",
            include_str!("../kernels/attention_backward_half.cu"),
            "\n",
            &heads.head(&taken.parameters, [threads, 1]),
            &tasks.body(&heads, 1, ["Totals sums = {};\n", &call, &put]),
        ]
        .concat();
        let draft = Draft {
            stem: "attention_gradient",
            note: format!("all gradients, {}", shape(backward)),
            parts: heads.parts.clone(),
            text,
            grid: [tasks.count as u32, 1, 1],
            block: threads as u32,
            shared: division.shared(forward) as u32,
        };
        let arguments = heads.arguments(forward, &taken.arguments);
        self.launch(draft, arguments, work);
    }

    fn reads_in_eights(&self, attention: &Attention) -> bool {
        let operands = [&attention.q, &attention.k, &attention.v];
        let widths = [attention.width, attention.value_width];
        let rank = attention.batch.len();
        let fits =
            |of: &&(BufferId, Access)| self.element(of.0) == Element::Bf16 && steps(of, rank, 8);
        operands.iter().all(fits) && widths.iter().all(|width| width.is_multiple_of(8))
    }
}

/// How a backward block shares out the keys: 16 at a time, so many to each warp.
struct Division {
    warps: usize,
    each: usize,
}

impl Division {
    fn new(attention: &Attention) -> Division {
        let tiles = attention.keys.div_ceil(SIDE);
        let each = tiles.div_ceil(WARPS);
        Division {
            warps: tiles.div_ceil(each),
            each,
        }
    }

    /// Bytes: keys and values, some queries with their gradients, and of these the weights and gradients of scores.
    fn shared(&self, attention: &Attention) -> usize {
        let tall = attention.keys.next_multiple_of(SIDE);
        let rows = SIDE * self.warps;
        let widths = across(attention.width) + across(attention.value_width);
        ((tall + rows) * widths + 2 * rows * (tall + 8)) * Element::Bf16.bytes()
    }
}

/// Elements from one row to the next in shared memory.
fn across(width: usize) -> usize {
    width.next_multiple_of(SIDE) + 8
}

/// Whether rows are contiguous and begin at multiples of so many elements.
fn steps((_, access): &(BufferId, Access), rank: usize, step: usize) -> bool {
    let (outer, inner) = access.strides.split_at(rank);
    let multiple = |n: &usize| n.is_multiple_of(step);
    inner[1] == 1 && multiple(&access.offset) && multiple(&inner[0]) && outer.iter().all(multiple)
}

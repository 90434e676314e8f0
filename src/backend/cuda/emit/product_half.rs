//! Products of bf16 with what is done to each sum, in one kernel on tensor cores: the product is never in memory unless somebody
//! else reads it.

use super::{
    Emission,
    body::{Port, Read},
    product::product,
    rows::rest,
    source::{Draft, Part, indented},
};
use crate::{
    backend::cuda::program::Factor,
    ir::program::{ValueId, formula},
    plan::{Element, Work, kernel::Gemm},
};

const THREADS: usize = 256;
/// Rows of a block of the product, terms that are in shared memory at a time, and how many times over.
const HIGH: usize = 128;
const TERMS: usize = 32;
const STAGES: usize = 4;
/// With more terms, arithmetic outweighs the way of the product to memory and back, and a library's is faster.
const MOST_TERMS: usize = 512;

impl Emission<'_> {
    /// Launches a product with its epilogue, unless either is not such as this kernel computes.
    pub fn product_at_once(&mut self, gemm: &Gemm, [a, b]: [&Port; 2], work: Work) -> bool {
        let Some(epilogue) = &gemm.epilogue else {
            return false;
        };
        let Gemm { m, n, k, .. } = *gemm;
        let c = self.port(gemm.c.0, &gemm.c.1);
        let Some(call) = product(gemm, [a, b, &c]) else {
            return false;
        };
        let whole = epilogue.grid == [m] && epilogue.row == [n];
        let half = call.a.element == Element::Bf16 && !gemm.accumulate && k <= MOST_TERMS;
        let aligned =
            length(&call.a, [m, k]).is_multiple_of(8) && length(&call.b, [k, n]).is_multiple_of(8);
        if !(whole && half && aligned) {
            return false;
        }
        let reads = self.reads(&epilogue.operands);
        let stores = epilogue.stores.iter();
        let stores = stores.map(|s| (s.value, self.port(s.buffer, &s.access)));
        let mut stores: Vec<(ValueId, Port)> = stores.collect();
        let is_product = |read: &Read| read.port().is_some_and(|port| port.argument == c.argument);
        let mut products = reads
            .iter()
            .filter_map(Read::port)
            .filter(|port| port.argument == c.argument);
        if !products.all(|port| port.access == c.access) {
            return false;
        }
        let written = stores.iter().any(|(_, port)| port.argument == c.argument);
        if !(written || self.lies_aside(gemm.c.0)) {
            let Some(value) = reads.iter().position(is_product) else {
                return false;
            };
            stores.push((value, c.clone()));
        }
        let wide = if n.next_multiple_of(128) == n.next_multiple_of(64) {
            128
        } else {
            64
        };
        let line = wide + 8;
        let tile = [HIGH, wide, line];
        let Some(rest) = rest(
            [m, n],
            &reads,
            &epilogue.code,
            &stores,
            c.argument,
            tile,
            THREADS,
        ) else {
            return false;
        };
        let mut parameters = rest.parameters;
        let [a_name, b_name] = [a, b].map(|port| parameters.read(port.argument, port.element));
        let shared = shared(&call.a, &call.b, wide);
        if shared > self.target.shared() {
            return false;
        }
        let rows = m.div_ceil(HIGH);
        let text = format!(
            "constexpr unsigned M = {m}, N = {n}, K = {k}, WIDE = {wide};\n\
             constexpr bool A_DOWN = {}, B_DOWN = {};\n\
             constexpr unsigned A_STRIDE = {}, B_STRIDE = {};\n\n{}\n{}{{\n    \
             // Blocks of the same columns follow each other.\n    \
             const unsigned m = blockIdx.x % {rows} * {HIGH}, n = blockIdx.x / {rows} * {wide};\n    \
             multiply({a_name} + {}, {b_name} + {}, m, n);\n{}}}\n",
            call.a.transposed,
            call.b.transposed,
            call.a.stride,
            call.b.stride,
            include_str!("../kernels/product_half.cu"),
            parameters.head(THREADS as u32),
            call.a.offset,
            call.b.offset,
            indented(1, &rest.body),
        );
        let mut parts = rest.parts;
        parts.extend([Part::Vector, Part::Matrix]);
        let values: Vec<ValueId> = stores.iter().map(|(value, _)| *value).collect();
        let formula = formula(reads.len(), &epilogue.code, &values);
        let draft = Draft {
            stem: "product",
            note: format!("{m} x {n} x {k} in bf16, then {formula}"),
            parts,
            text,
            grid: [(rows * n.div_ceil(wide)) as u32, 1, 1],
            block: THREADS as u32,
            shared: shared as u32,
        };
        self.launch(draft, parameters.arguments(), work);
        true
    }
}

/// Elements of what is contiguous.
fn length(factor: &Factor, [rows, columns]: [usize; 2]) -> usize {
    if factor.transposed { rows } else { columns }
}

/// Bytes: the stages of both factors, or the sums.
fn shared(a: &Factor, b: &Factor, wide: usize) -> usize {
    let part = |down: bool, lines: usize, length: usize| match down {
        false => lines * (length + 8),
        true => length * (lines + 8),
    };
    let stage = part(a.transposed, HIGH, TERMS) + part(b.transposed, TERMS, wide);
    (STAGES * stage * 2).max(HIGH * (wide + 8) * 4)
}

//! Products: by cublasLt where it can, else by a kernel of ours; the epilogue is a row program behind.

use super::{
    Argument, Emission,
    body::{Port, Read},
    finish::Finish,
    nest::{Nest, coordinates, place},
    product::product,
    source::{Draft, Part, c_type},
};
use crate::plan::{self, Access, Element, Kernel, Work, kernel::Gemm};

impl Emission<'_> {
    pub fn contraction(&mut self, gemm: &Gemm, work: Work) {
        let epilogue = gemm.epilogue.as_ref();
        let around = epilogue.map_or(Work::default(), |rows| {
            let alone = plan::Scheduled {
                kernel: Kernel::Rows(rows.clone()),
                origin: self.origin.clone(),
                flops: 0,
            };
            alone.work(self.plan)
        });
        let [a, b] = self.factors(gemm);
        let finish = self.library_finishes(gemm, [&a, &b]);
        // Where the library does all of it, a kernel of ours has nothing to save.
        let whole = finish.as_ref().is_some_and(Finish::is_whole);
        if !whole && self.product_at_once(gemm, [&a, &b], work) {
            return;
        }
        if let Some(finish) = finish {
            return self.multiply_and_finish(finish, [&a, &b], work);
        }
        if self.lies_aside(gemm.c.0) {
            let product = self.scratch(gemm.m * gemm.n * Element::F32.bytes());
            self.aside = Some((gemm.c.0, product));
        }
        let c = self.port(gemm.c.0, &gemm.c.1);
        let own = Work {
            pointwise: work.pointwise - around.pointwise.min(work.pointwise),
            bytes: work.bytes - around.bytes.min(work.bytes),
            ..work
        };
        match product(gemm, [&a, &b, &c]) {
            Some(product) => self.multiply(product, own),
            None => self.product_by_tiles(gemm, [&a, &b, &c], own),
        }
        if let Some(rows) = epilogue {
            self.rows(rows, around);
        }
        self.aside = None;
    }

    /// What is multiplied, both of one element: rounded copies where they are rounded, else widened ones.
    fn factors(&mut self, gemm: &Gemm) -> [Port; 2] {
        let sides = [(&gemm.a, gemm.rounds[0]), (&gemm.b, gemm.rounds[1])];
        let half = |(of, rounds): &(&(usize, Access), bool)| {
            *rounds || self.element(of.0) == Element::Bf16
        };
        let element = match sides.iter().all(half) {
            true => Element::Bf16,
            false => Element::F32,
        };
        sides.map(|(of, rounds)| {
            let port = self.port(of.0, &of.1);
            match self.rounded.get(&of.0) {
                Some(&offset) if element == Element::Bf16 => Port {
                    argument: Argument::Scratch(offset),
                    element,
                    ..port
                },
                _ if port.element == element && !(rounds && element == Element::F32) => port,
                _ => self.copied(port, of.0, element, rounds),
            }
        })
    }

    /// A copy of a whole buffer, walked alike.
    fn copied(&mut self, port: Port, buffer: usize, element: Element, rounds: bool) -> Port {
        let len = self.plan.buffers[buffer].len();
        let argument = self.scratch(len * element.bytes());
        let access = Access::plain(&[len]);
        let from = Port {
            access: access.clone(),
            ..port.clone()
        };
        let to = Port {
            argument,
            element,
            access,
        };
        let work = Work {
            bytes: (len * (element.bytes() + port.element.bytes())) as u64,
            ..Work::default()
        };
        let rounding = crate::ir::program::Instr {
            op: crate::ir::program::RowOp::Bf16,
            args: vec![0],
        };
        let (code, value) = match rounds && element == Element::F32 {
            true => (vec![rounding], 1),
            false => (vec![], 0),
        };
        let stores = [(value, to)];
        self.row_program([&[], &[len]], &[Read::Memory(from)], &code, &stores, work);
        Port {
            argument,
            element,
            ..port
        }
    }

    /// Any strides, in blocks of 64 × 64 sums.
    fn product_by_tiles(&mut self, gemm: &Gemm, ports: [&Port; 3], work: Work) {
        const SIDE: usize = 64;
        let Gemm { m, n, k, .. } = *gemm;
        let accesses = ports.map(|port| Access {
            offset: port.access.offset,
            strides: port.access.strides[..gemm.batch.len()].to_vec(),
        });
        let [a, b, c] = &accesses;
        let repeated = Nest::merged(&[&gemm.batch], &[a, b, c]);
        let count = repeated.count(0);
        if count * m * n == 0 {
            return;
        }
        let accumulate = gemm.accumulate;
        let mut text = format!(
            "constexpr unsigned M = {m}, N = {n}, K = {k};\nconstexpr bool ACCUMULATE = {accumulate};\n"
        );
        for (at, (name, port)) in ["A", "B", "C"].iter().zip(ports).enumerate() {
            let [row, column] = [0, 1].map(|i| port.access.strides[gemm.batch.len() + i]);
            text += &format!("typedef {} {name};\n", c_type(port.element));
            text += &format!("constexpr unsigned {name}_ROW = {row}, {name}_COLUMN = {column};\n");
            text += &offset_function(name, &repeated, at);
        }
        text += "\n";
        text += include_str!("../kernels/product.cu");
        let [a, b, c] = ports.map(|port| c_type(port.element));
        let draft = Draft {
            stem: "product",
            note: format!(
                "{count} products {m} x {n} x {k} of {a} and {b} into {c}, for strides that no library has"
            ),
            parts: vec![Part::Element],
            text,
            grid: [(count * m.div_ceil(SIDE) * n.div_ceil(SIDE)) as u32, 1, 1],
            block: 256,
            shared: 2 * 16 * (SIDE as u32 + 4) * 4,
        };
        let arguments = ports.map(|port| port.argument).to_vec();
        self.launch(draft, arguments, work);
    }
}

/// A function from the index of a batch to the first element of its matrix.
pub fn offset_function(name: &str, repeated: &Nest, access: usize) -> String {
    let of = &repeated.accesses[access];
    let term = |(axis, &stride): (usize, &usize)| (format!("i{axis}"), stride);
    let place = place(
        of.offset,
        &of.strides.iter().enumerate().map(term).collect::<Vec<_>>(),
    );
    let coordinates = coordinates("i", "unit", &repeated.dims, 1);
    format!(
        "__device__ __forceinline__ unsigned {name}_at(unsigned unit) {{ {coordinates} return {place}; }}\n"
    )
}

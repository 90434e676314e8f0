//! Straight-line code over tiles of a loop nest: what [`super::rows`] and [`super::fold`] have in common.
//!
//! A nest is merged and cut into boxes that fit the cache ([`nest`]), the code simplified ([`code`]), and every value given a
//! place ([`place`]). Running a box then means a few copies ([`copy`], [`draw`]) and one sweep for each operation ([`apply`]).

mod apply;
mod code;
mod copy;
mod draw;
mod frame;
pub mod nest;
mod place;
pub mod scratch;
pub mod tasks;

use pulp::Arch;

pub use apply::{Apply, Arg, load, load_part, store, store_part};
pub use code::Op;
pub use copy::Copy;
pub use frame::Frame;

use self::code::{Code, Span};
use self::nest::{Nest, Window};
use self::place::Layout;
use super::{Launch, Memory};
use crate::ir::program::{Instr, RowOp, ValueId};
use crate::plan::kernel::Operand;
use crate::plan::{Access, BufferId, Element, Plan};

#[derive(Debug, Clone)]
enum Source {
    Buffer(BufferId),
    /// What lies aside, at an address that each block brings along.
    Aside,
    Stream {
        purpose: String,
        per_sample: u64,
    },
}

/// An operand or a store: a tensor and how the nest walks it.
#[derive(Debug, Clone)]
struct Port {
    source: Source,
    element: Element,
    offset: usize,
    strides: Vec<usize>,
}

impl Port {
    fn in_memory(&self) -> bool {
        !matches!(self.source, Source::Stream { .. })
    }

    /// Whether tiles can be computed on where they lie.
    fn holds_floats(&self) -> bool {
        self.in_memory() && self.element == Element::F32
    }

    /// Whether both are the same memory: what a kernel reads and writes has one name, as `plan::check` sees to.
    fn shares(&self, other: &Port) -> bool {
        match (&self.source, &other.source) {
            (Source::Buffer(a), Source::Buffer(b)) => a == b,
            (Source::Aside, Source::Aside) => true,
            _ => false,
        }
    }

    fn offset_of(&self, window: &Window) -> usize {
        let steps = self.strides.iter().zip(&window.start);
        self.offset + steps.map(|(stride, start)| stride * start).sum::<usize>()
    }
}

/// What a kernel computes, apart from its loops.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    pub operands: &'a [Operand],
    pub code: &'a [Instr],
    pub stores: &'a [(ValueId, BufferId, &'a Access)],
    /// Values to read with [`Frame::arg`] after each tile.
    pub kept: &'a [ValueId],
    /// Of this buffer's memory no operand is read: it lies aside.
    pub aside: Option<BufferId>,
    /// Elements of a row: over what the code's reductions run.
    pub row: usize,
    /// Whether rows mean something: the code reduces over them, or stores one number for each.
    pub keeps_rows: bool,
}

impl<'a> Body<'a> {
    /// The accesses of the operands, then of the stores.
    pub fn accesses(&self) -> Vec<&'a Access> {
        let reads = self.operands.iter().map(Operand::access);
        reads
            .chain(self.stores.iter().map(|store| store.2))
            .collect()
    }

    /// What to compute of a value that goes to memory: rounding is in the store.
    fn unrounded(&self, value: ValueId, element: Element) -> ValueId {
        let made = value.checked_sub(self.operands.len());
        match made.map(|i| &self.code[i]) {
            Some(Instr {
                op: RowOp::Bf16,
                args,
            }) if element == Element::Bf16 => args[0],
            _ => value,
        }
    }

    /// About as many elements as keep a tile's working set in the first-level cache.
    pub fn tile_budget(&self) -> usize {
        const WORKING_SET: usize = 16 * 1024;
        // Operands and results pass through; two intermediate values at a time is typical.
        let values = self.operands.len() + self.stores.len() + 2;
        (WORKING_SET / values).clamp(512, 4096) / 64 * 64
    }
}

/// A body compiled for the tiles of a nest.
#[derive(Debug)]
pub struct Program {
    pub nest: Nest,
    pub arch: Arch,
    ports: Vec<Port>,
    /// The ports that read what comes from memory, and how their tiles are walked.
    reads: Vec<(usize, Copy)>,
    layout: Layout,
}

impl Program {
    /// `strides`: of the body's accesses along the axes of the nest.
    pub fn new(nest: Nest, strides: &[Vec<usize>], body: Body, plan: &Plan) -> Program {
        let ports = ports(strides, body, plan);
        let spans: Vec<Span> = (ports.iter().take(body.operands.len()))
            .map(|port| span(&nest, &port.strides, body))
            .collect();
        let stored = body.stores.iter().zip(&ports[body.operands.len()..]);
        let stored = stored.map(|(store, port)| body.unrounded(store.0, port.element));
        let results: Vec<ValueId> = stored.chain(body.kept.iter().copied()).collect();
        let code = Code::new(&spans, body.row, body.code, &results);
        let layout = place::place(&nest, &ports, body.operands.len(), &code);
        let reads = ports.iter().take(body.operands.len()).enumerate();
        let reads = reads.filter(|(_, port)| matches!(port.source, Source::Buffer(_)));
        let reads = reads.map(|(number, port)| {
            let walk = Copy::new(&nest, &port.strides, &port.strides);
            (number, walk.between(port.element, port.element))
        });
        Program {
            reads: reads.collect(),
            nest,
            arch: Arch::new(),
            layout,
            ports,
        }
    }

    /// Lets `work` run tiles on this thread, with `extra` floats of working memory of its own, on a cache line boundary.
    pub fn with_frame<R>(
        &self,
        memory: &Memory,
        launch: &Launch,
        extra: usize,
        work: impl FnOnce(&mut Frame, *mut f32) -> R,
    ) -> R {
        scratch::with(self.layout.scratch + extra, |scratch| {
            let mut frame = Frame::new(self, memory, launch, scratch);
            work(&mut frame, scratch.wrapping_add(self.layout.scratch))
        })
    }
}

fn ports(strides: &[Vec<usize>], body: Body, plan: &Plan) -> Vec<Port> {
    let reads = body.operands.iter().map(|operand| match operand {
        Operand::Memory(buffer, access) if body.aside == Some(*buffer) => (Source::Aside, access),
        Operand::Memory(buffer, access) => (Source::Buffer(*buffer), access),
        Operand::Draw(stream, access) => {
            let stream = &plan.streams[*stream];
            let source = Source::Stream {
                purpose: stream.purpose.clone(),
                per_sample: stream.per_sample as u64,
            };
            (source, access)
        }
    });
    let writes = (body.stores.iter()).map(|&(_, buffer, access)| (Source::Buffer(buffer), access));
    let reads_of = body.operands.iter().map(Operand::buffer);
    let buffers = reads_of.chain(body.stores.iter().map(|store| Some(store.1)));
    let elements = buffers.map(|b| b.map_or(Element::F32, |b| plan.buffers[b].element));
    (reads.chain(writes).zip(strides).zip(elements))
        .map(|(((source, access), strides), element)| Port {
            source,
            element,
            offset: access.offset,
            strides: strides.clone(),
        })
        .collect()
}

/// Over what an operand varies. Without reductions, one value for each short row is spread out, so that rows need no loop.
fn span(nest: &Nest, strides: &[usize], body: Body) -> Span {
    let varies = |strides: &[usize]| strides.iter().any(|&s| s != 0);
    let spread = nest.rows() > 1 && nest.width() < place::SHORT_ROW && !body.keeps_rows;
    if varies(&strides[nest.row..]) {
        Span::Full
    } else if varies(&strides[..nest.row]) {
        if spread { Span::Full } else { Span::Row }
    } else {
        Span::One
    }
}

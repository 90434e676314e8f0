//! Straight-line code over tiles of a loop nest: what [`super::rows`] and [`super::fold`] have in common.
//!
//! A nest is merged and cut into boxes that fit the cache ([`nest`]), the code simplified ([`code`]), and every value given a
//! place ([`place`]). Running a box then means a few copies ([`copy`], [`draw`]) and one sweep for each operation ([`apply`]).

mod apply;
mod code;
mod copy;
mod draw;
pub mod nest;
mod place;
pub mod scratch;
pub mod tasks;

use pulp::Arch;

pub use apply::{Apply, Arg, load, load_part, store, store_part};
pub use code::Op;
pub use copy::Copy;

use self::code::{Code, Span};
use self::nest::{Nest, Window};
use self::place::{Home, Layout, Step};
use super::{Launch, Memory};
use crate::ir::program::{Instr, ValueId};
use crate::plan::kernel::Operand;
use crate::plan::{Access, BufferId, Place, Plan};
use crate::random::Key;

#[derive(Debug, Clone)]
enum Source {
    Buffer(BufferId),
    Stream { purpose: String, per_sample: u64 },
}

/// An operand or a store: a tensor and how the nest walks it.
#[derive(Debug, Clone)]
struct Port {
    source: Source,
    offset: usize,
    strides: Vec<usize>,
}

impl Port {
    fn in_memory(&self) -> bool {
        matches!(self.source, Source::Buffer(_))
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
    /// Elements of a row: over what the code's reductions run.
    pub row: usize,
    /// Whether rows mean something: the code reduces over them, or stores one number for each.
    pub keeps_rows: bool,
}

impl<'a> Body<'a> {
    /// The accesses of the operands, then of the stores.
    pub fn accesses(&self) -> Vec<&'a Access> {
        let reads = self.operands.iter().map(|operand| match operand {
            Operand::Memory(_, access) | Operand::Draw(_, access) => access,
        });
        reads
            .chain(self.stores.iter().map(|store| store.2))
            .collect()
    }

    /// About as many elements as keep a tile's working set in the first-level cache.
    pub fn tile_budget(&self) -> usize {
        const WORKING_SET: usize = 10 * 1024;
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
    layout: Layout,
    /// The values of the body's `kept`.
    kept: Vec<usize>,
}

impl Program {
    /// `strides`: of the body's accesses along the axes of the nest.
    pub fn new(nest: Nest, strides: &[Vec<usize>], body: Body, plan: &Plan) -> Program {
        let ports = ports(strides, body, plan);
        let spans: Vec<Span> = (ports.iter().take(body.operands.len()))
            .map(|port| span(&nest, &port.strides, body))
            .collect();
        let stored = body.stores.iter().map(|store| store.0);
        let results: Vec<ValueId> = stored.chain(body.kept.iter().copied()).collect();
        let code = Code::new(&spans, body.row, body.code, &results);
        let overlaps =
            |read: usize, written: usize| match (&ports[read].source, &ports[written].source) {
                (Source::Buffer(a), Source::Buffer(b)) => overlap(plan, *a, *b),
                _ => false,
            };
        let layout = place::place(&nest, &ports, body.operands.len(), &code, &overlaps);
        Program {
            nest,
            arch: Arch::new(),
            layout,
            kept: code.results[body.stores.len()..].to_vec(),
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
            let streams = self.ports.iter().map(|port| match &port.source {
                Source::Buffer(_) => (Key(0), 0),
                Source::Stream {
                    purpose,
                    per_sample,
                } => (launch.key.with(purpose), launch.first_sample * per_sample),
            });
            let mut frame = Frame {
                program: self,
                memory,
                scratch,
                streams: streams.collect(),
                bases: vec![std::ptr::null_mut(); self.ports.len()],
                rows: 0,
                width: 0,
            };
            work(&mut frame, scratch.wrapping_add(self.layout.scratch))
        })
    }
}

/// A program at work on one thread.
pub struct Frame<'a> {
    program: &'a Program,
    memory: &'a Memory,
    scratch: *mut f32,
    /// For each port that draws, its key and the position of the first sample.
    streams: Vec<(Key, u64)>,
    /// The address of the tile's first element at each port.
    bases: Vec<*mut f32>,
    pub rows: usize,
    pub width: usize,
}

impl Frame<'_> {
    /// Computes one tile.
    pub fn run(&mut self, window: &Window) {
        let program = self.program;
        let row = program.nest.row;
        self.rows = window.count(0..row);
        self.width = window.count(row..program.nest.dims.len());
        for (base, port) in self.bases.iter_mut().zip(&program.ports) {
            if let Source::Buffer(buffer) = port.source {
                *base = self.memory.at(buffer).wrapping_add(port.offset_of(window));
            }
        }
        for step in &program.layout.steps {
            // SAFETY: the plan keeps accesses inside their buffers and apart where they are written; scratch is this thread's,
            // and `place` gave every value that is alive its own part of it.
            unsafe { self.step(step, window) }
        }
    }

    unsafe fn step(&self, step: &Step, window: &Window) {
        // SAFETY: the caller's.
        unsafe {
            match step {
                Step::Apply { value, op, args } => self.apply(*value, *op, args),
                Step::Gather { value, port, copy } => {
                    copy.run(window, self.bases[*port], self.address(*value));
                }
                Step::Store { value, port, copy } => {
                    copy.run(window, self.address(*value), self.bases[*port]);
                }
                Step::Draw { value, port, draw } => {
                    let (key, first) = self.streams[*port];
                    let position = first + self.program.ports[*port].offset_of(window) as u64;
                    draw.run(
                        self.program.arch,
                        window,
                        key,
                        position,
                        self.address(*value),
                    );
                }
            }
        }
    }

    unsafe fn apply(&self, value: usize, op: Op, args: &[usize; 3]) {
        let placed = &self.program.layout.placed[value];
        let reduces = matches!(op, Op::RowSum | Op::RowMax);
        let shape = if reduces { Span::Full } else { placed.span };
        let (rows, width) = match shape {
            Span::Full => (self.rows, self.width),
            Span::Row => (1, self.rows),
            Span::One => (1, 1),
        };
        let apply = Apply {
            op,
            rows,
            width,
            args: args.map(|v| self.arg_for(v, shape)),
            out: self.address(value),
            out_row: placed.row,
        };
        // SAFETY: the caller's.
        unsafe { apply.run(self.program.arch) }
    }

    /// A kept value over the tile that ran last.
    pub fn arg(&self, kept: usize) -> Arg {
        self.arg_for(self.program.kept[kept], Span::Full)
    }

    fn arg_for(&self, value: usize, shape: Span) -> Arg {
        let placed = &self.program.layout.placed[value];
        let (row, lane) = match (placed.span, shape) {
            (Span::Full, _) => (placed.row, 1),
            (Span::Row, Span::Full) => (placed.row, 0),
            (Span::Row, _) => (0, placed.row),
            (Span::One, _) => (0, 0),
        };
        let at = self.address(value);
        Arg { at, row, lane }
    }

    fn address(&self, value: usize) -> *mut f32 {
        let layout = &self.program.layout;
        match layout.placed[value].home {
            Home::Scratch(offset) => self.scratch.wrapping_add(offset),
            Home::Memory(port) => self.bases[port],
            // Only ever read: results have homes of the other kinds.
            Home::Constant(index) => (&raw const layout.constants[index]).cast_mut(),
        }
    }
}

fn ports(strides: &[Vec<usize>], body: Body, plan: &Plan) -> Vec<Port> {
    let reads = body.operands.iter().map(|operand| match operand {
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
    (reads.chain(writes).zip(strides))
        .map(|((source, access), strides)| Port {
            source,
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

/// Whether two buffers share memory.
fn overlap(plan: &Plan, a: BufferId, b: BufferId) -> bool {
    let (x, y) = (&plan.buffers[a], &plan.buffers[b]);
    match (&x.place, &y.place) {
        (Place::Arena(i), Place::Arena(j)) => *i < j + y.len() && *j < i + x.len(),
        _ => a == b,
    }
}

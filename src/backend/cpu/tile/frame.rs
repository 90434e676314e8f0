//! A program at work on one thread.

use super::apply::{Apply, Arg};
use super::code::Span;
use super::nest::Window;
use super::place::{PORTS, Spot, Step};
use super::{Copy, Port, Program, Source};
use crate::backend::cpu::{Launch, Memory};
use crate::random::Key;

pub struct Frame<'a> {
    program: &'a Program,
    memory: &'a Memory,
    /// For each port that draws, its key and the position of the first sample.
    streams: Vec<(Key, u64)>,
    /// Working memory, constants, and the first element of the tile at each port.
    addresses: Vec<*mut u8>,
    /// Where what lies aside would have its first element.
    pub aside: *mut f32,
    /// Rows of the tile that ran last, and elements in each.
    pub rows: usize,
    pub width: usize,
}

impl<'a> Frame<'a> {
    pub fn new(
        program: &'a Program,
        memory: &'a Memory,
        launch: &Launch,
        scratch: *mut f32,
    ) -> Self {
        let streams = program.ports.iter().map(|port| match &port.source {
            Source::Buffer(_) | Source::Aside => (Key(0), 0),
            Source::Stream {
                purpose,
                per_sample,
            } => (launch.key.with(purpose), launch.first_sample * per_sample),
        });
        // Constants are only ever read: no result is placed there.
        let constants = program.layout.constants.as_ptr().cast_mut();
        let mut addresses = vec![scratch.cast(), constants.cast()];
        addresses.resize(PORTS + program.ports.len(), std::ptr::null_mut());
        Frame {
            program,
            memory,
            streams: streams.collect(),
            addresses,
            aside: std::ptr::null_mut(),
            rows: 0,
            width: 0,
        }
    }

    /// Computes one tile. Meanwhile the operands of the next one, `coming`, are asked for, one before each step: what they take to
    /// come from memory would else be waited for.
    pub fn run(&mut self, window: &Window, coming: Option<&Window>) {
        let program = self.program;
        let row = program.nest.row;
        self.rows = window.count(0..row);
        self.width = window.count(row..program.nest.dims.len());
        for (number, port) in program.ports.iter().enumerate() {
            self.addresses[PORTS + number] = self.first(port, window);
        }
        let mut reads = program.reads.iter();
        for step in &program.layout.steps {
            self.fetch(reads.next(), coming);
            // SAFETY: the plan keeps accesses inside their buffers and apart where they are written; scratch is this thread's,
            // and `place` gave every value that is alive its own part of it.
            unsafe { self.step(step, window) }
        }
        reads.for_each(|read| self.fetch(Some(read), coming));
    }

    /// The first element of a port's tile; null where none lies in memory.
    fn first(&self, port: &Port, window: &Window) -> *mut u8 {
        let first = match port.source {
            Source::Buffer(buffer) => self.memory.byte(buffer),
            Source::Aside => self.aside.cast(),
            Source::Stream { .. } => return std::ptr::null_mut(),
        };
        first.wrapping_add(port.offset_of(window) * port.element.bytes())
    }

    fn fetch(&self, read: Option<&(usize, Copy)>, coming: Option<&Window>) {
        if let (Some((port, walk)), Some(coming)) = (read, coming) {
            walk.fetch(coming, self.first(&self.program.ports[*port], coming));
        }
    }

    unsafe fn step(&self, step: &Step, window: &Window) {
        let arch = self.program.arch;
        // SAFETY: the caller's.
        unsafe {
            match step {
                Step::Apply { op, each, args, to } => {
                    let (rows, width) = match each {
                        Span::Full => (self.rows, self.width),
                        Span::Row => (1, self.rows),
                        Span::One => (1, 1),
                    };
                    let apply = Apply {
                        op: *op,
                        rows,
                        width,
                        args: [
                            self.find(&args[0]),
                            self.find(&args[1]),
                            self.find(&args[2]),
                        ],
                        out: self.address(to),
                        out_row: to.row,
                    };
                    apply.run(arch);
                }
                Step::Gather { port, copy, to } => {
                    let from = self.addresses[PORTS + port];
                    copy.run(window, from, self.address(to).cast());
                }
                Step::Store { from, copy, port } => {
                    let to = self.addresses[PORTS + port];
                    copy.run(window, self.address(from).cast(), to);
                }
                Step::Draw { port, draw, to } => {
                    let (key, first) = self.streams[*port];
                    let position = first + self.program.ports[*port].offset_of(window) as u64;
                    draw.run(arch, window, key, position, self.address(to));
                }
            }
        }
    }

    /// A kept value over the tile that ran last.
    pub fn arg(&self, kept: usize) -> Arg {
        self.find(&self.program.layout.kept[kept])
    }

    #[inline]
    fn find(&self, spot: &Spot) -> Arg {
        Arg {
            at: self.address(spot),
            row: spot.row,
            lane: spot.lane,
        }
    }

    #[inline]
    fn address(&self, spot: &Spot) -> *mut f32 {
        self.addresses[spot.address]
            .cast::<f32>()
            .wrapping_add(spot.offset)
    }
}

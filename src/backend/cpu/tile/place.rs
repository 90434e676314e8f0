//! Where the values of a tile lie: in place where memory already holds them, else in scratch that is reused as values die.

use super::Port;
use super::code::{Code, Def, Op, Span};
use super::copy::Copy;
use super::draw::Draw;
use super::nest::Nest;
use crate::plan::Element;

/// Rows shorter than this are gathered to follow each other without gaps; longer ones are worked on where they lie.
pub const SHORT_ROW: usize = 32;

/// Index of the addresses that a tile is found by: working memory, constants, then the ports.
pub const SCRATCH: usize = 0;
pub const CONSTANTS: usize = 1;
pub const PORTS: usize = 2;

/// Where a tile of a value lies: element `(i, j)` at `offset + i·row + j·lane` from one of the addresses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spot {
    pub address: usize,
    pub offset: usize,
    pub row: usize,
    /// 1, or 0 for one value per row.
    pub lane: usize,
}

#[derive(Debug)]
pub enum Step {
    /// Copies a port's tile to working memory.
    Gather { port: usize, copy: Copy, to: Spot },
    /// Draws a port's tile into working memory.
    Draw { port: usize, draw: Draw, to: Spot },
    Apply {
        op: Op,
        /// What one element is computed for.
        each: Span,
        args: [Spot; 3],
        to: Spot,
    },
    /// Copies a value to a port.
    Store { from: Spot, copy: Copy, port: usize },
}

/// The finished layout.
#[derive(Debug, Default)]
pub struct Layout {
    pub steps: Vec<Step>,
    /// The results that go to no port.
    pub kept: Vec<Spot>,
    pub constants: Vec<f32>,
    /// Floats of working memory.
    pub scratch: usize,
}

/// Lays out `code` over `nest`. Its first results go to the ports after the operands; the others stay readable to the end.
pub fn place(nest: &Nest, ports: &[Port], operands: usize, code: &Code) -> Layout {
    let mut placer = Placer::new(nest, ports, operands, code);
    placer.store_where_computed();
    for v in 0..code.values.len() {
        placer.value(v);
    }
    placer.results();
    placer.layout
}

/// The row stride of an access whose rows are contiguous and evenly spaced within a box.
fn even_rows(nest: &Nest, strides: &[usize]) -> Option<usize> {
    evenly(nest, strides, nest.row..nest.dims.len())
        .filter(|&lane| lane == 1)
        .and_then(|_| evenly(nest, strides, 0..nest.row))
        .filter(|&row| nest.rows() == 1 || row == nest.width() || nest.width() >= SHORT_ROW)
}

/// The one stride with which an access walks the flattened index over some axes of a box.
fn evenly(nest: &Nest, strides: &[usize], axes: std::ops::Range<usize>) -> Option<usize> {
    let mut stride: Option<(usize, usize)> = None;
    for a in axes.rev().filter(|&a| nest.tile[a] > 1) {
        let (first, expected) = stride.unwrap_or((strides[a], strides[a]));
        if strides[a] != expected {
            return None;
        }
        stride = Some((first, strides[a] * nest.tile[a]));
    }
    Some(stride.map_or(1, |(first, _)| first))
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Home {
    /// Offset in working memory.
    Scratch(usize),
    /// Index of the port.
    Memory(usize),
    /// Index of the constant.
    Constant(usize),
    /// An operand that is gathered when it is first used.
    Pending,
}

struct Placer<'a> {
    nest: &'a Nest,
    ports: &'a [Port],
    code: &'a Code,
    /// Number of operands: the first port that is stored to.
    operands: usize,
    /// The last value that reads each value; `usize::MAX` if it must stay to the end.
    last_use: Vec<usize>,
    /// The port of each value that is computed where it is stored.
    stored: Vec<Option<usize>>,
    /// For each value, where it lies and how far its rows are apart.
    homes: Vec<(Home, usize)>,
    free: [Vec<usize>; 3],
    layout: Layout,
}

impl<'a> Placer<'a> {
    fn new(nest: &'a Nest, ports: &'a [Port], operands: usize, code: &'a Code) -> Self {
        let mut last_use = vec![0; code.values.len()];
        for (v, value) in code.values.iter().enumerate() {
            if let Def::Apply(_, args) = &value.def {
                args.iter().for_each(|&a| last_use[a] = v);
            }
        }
        code.results.iter().for_each(|&v| last_use[v] = usize::MAX);
        Placer {
            nest,
            ports,
            code,
            operands,
            last_use,
            stored: vec![None; code.values.len()],
            homes: vec![],
            free: Default::default(),
            layout: Layout::default(),
        }
    }

    /// The stored results with their ports.
    fn targets(&self) -> impl Iterator<Item = (usize, usize)> + use<'a> {
        let results = self.code.results.iter().copied();
        results.zip(self.operands..self.ports.len())
    }

    /// Lets results be computed straight into the buffers they go to, where no operand is still needed there.
    fn store_where_computed(&mut self) {
        for (v, port) in self.targets() {
            let computed = matches!(self.code.values[v].def, Def::Apply(..));
            let even = even_rows(self.nest, &self.ports[port].strides)
                .is_some_and(|row| row != 0 || self.nest.rows() == 1);
            let clobbers = (0..v).any(|o| match self.code.values[o].def {
                Def::Operand(i) => self.last_use[o] > v && self.ports[i].shares(&self.ports[port]),
                _ => false,
            });
            let full = self.code.values[v].span == Span::Full;
            let floats = self.ports[port].holds_floats();
            if computed && floats && full && even && !clobbers && self.stored[v].is_none() {
                self.stored[v] = Some(port);
            }
        }
    }

    fn value(&mut self, v: usize) {
        let value = &self.code.values[v];
        let home = match &value.def {
            Def::Constant(c) => {
                self.layout.constants.push(*c);
                (Home::Constant(self.layout.constants.len() - 1), 0)
            }
            Def::Operand(port) => self.operand(v, *port),
            Def::Apply(_, args) => {
                self.load(args);
                self.release(args, v);
                match self.stored[v] {
                    Some(port) => {
                        let row = even_rows(self.nest, &self.ports[port].strides);
                        let row = row.expect("values are stored in place where rows are even");
                        (Home::Memory(port), row)
                    }
                    None => (self.allocate(value.span), self.dense_row(value.span)),
                }
            }
        };
        self.homes.push(home);
        if let Def::Apply(op, args) = &value.def {
            let reduces = matches!(op, Op::RowSum | Op::RowMax);
            let each = if reduces { Span::Full } else { value.span };
            let step = Step::Apply {
                op: *op,
                each,
                args: std::array::from_fn(|k| self.spot(*args.get(k).unwrap_or(&args[0]), each)),
                to: self.spot(v, Span::Full),
            };
            self.layout.steps.push(step);
        }
    }

    /// Where a sweep over as many elements as `each` says finds a value.
    fn spot(&self, v: usize, each: Span) -> Spot {
        let (home, step) = self.homes[v];
        let (address, offset) = match home {
            Home::Scratch(offset) => (SCRATCH, offset),
            Home::Memory(port) => (PORTS + port, 0),
            Home::Constant(index) => (CONSTANTS, index),
            Home::Pending => unreachable!("operands are loaded before they are used"),
        };
        let (row, lane) = match (self.code.values[v].span, each) {
            (Span::Full, _) => (step, 1),
            (Span::Row, Span::Full) => (step, 0),
            (Span::Row, _) => (0, step),
            (Span::One, _) => (0, 0),
        };
        Spot {
            address,
            offset,
            row,
            lane,
        }
    }

    /// The place of an operand; what must be gathered gets its scratch when it is first used.
    fn operand(&mut self, v: usize, port: usize) -> (Home, usize) {
        let strides = &self.ports[port].strides;
        let in_place = match self.code.values[v].span {
            Span::One => Some(0),
            Span::Row if self.nest.rows() == 1 => Some(1),
            Span::Row => evenly(self.nest, strides, 0..self.nest.row).filter(|&step| step == 1),
            Span::Full => even_rows(self.nest, strides),
        };
        match in_place {
            Some(row) if self.ports[port].holds_floats() && !self.stored_over(v, port) => {
                (Home::Memory(port), row)
            }
            _ if self.only_copied(v, port) => (Home::Memory(port), 0),
            _ => (Home::Pending, self.dense_row(self.code.values[v].span)),
        }
    }

    /// Whether an operand is itself a result while another result goes to where it lies.
    fn stored_over(&self, v: usize, port: usize) -> bool {
        self.code.results.contains(&v)
            && (self.targets())
                .any(|(result, target)| result != v && self.ports[port].shares(&self.ports[target]))
    }

    /// Whether an operand is only copied from one place in memory to others.
    fn only_copied(&self, v: usize, port: usize) -> bool {
        let used = (self.code.values.iter())
            .any(|value| matches!(&value.def, Def::Apply(_, args) if args.contains(&v)));
        let kept = self.code.results[self.targets().count()..].contains(&v);
        self.ports[port].in_memory() && !used && !kept && !self.stored_over(v, port)
    }

    /// Brings operands that cannot be used in place to scratch.
    fn load(&mut self, values: &[usize]) {
        for &v in values {
            let Def::Operand(port) = self.code.values[v].def else {
                continue;
            };
            if self.homes[v].0 != Home::Pending {
                continue;
            }
            let span = self.code.values[v].span;
            self.homes[v].0 = self.allocate(span);
            let (from, dense) = (&self.ports[port].strides, self.dense(span));
            let to = self.spot(v, Span::Full);
            self.layout.steps.push(if self.ports[port].in_memory() {
                let copy = Copy::new(&self.once_per(span), from, &dense);
                let copy = copy.between(self.ports[port].element, Element::F32);
                Step::Gather { port, copy, to }
            } else {
                let draw = Draw::new(self.nest, from, &dense);
                Step::Draw { port, draw, to }
            });
        }
    }

    fn results(&mut self) {
        self.load(&self.code.results);
        for (v, port) in self.targets() {
            let (from, element) = match self.homes[v].0 {
                Home::Memory(home) if home == port => continue,
                Home::Memory(home) => (self.ports[home].strides.clone(), self.ports[home].element),
                _ => (self.dense(self.code.values[v].span), Element::F32),
            };
            let to = &self.ports[port].strides;
            let once = to[self.nest.row..].iter().all(|&s| s == 0);
            let nest = self.once_per(if once { Span::Row } else { Span::Full });
            let copy = Copy::new(&nest, &from, to).between(element, self.ports[port].element);
            let from = self.spot(v, Span::Full);
            self.layout.steps.push(Step::Store { from, copy, port });
        }
        let kept = &self.code.results[self.targets().count()..];
        self.layout.kept = kept.iter().map(|&v| self.spot(v, Span::Full)).collect();
    }

    /// The nest, with only as many elements in a row as the span distinguishes.
    fn once_per(&self, span: Span) -> Nest {
        match span {
            Span::Full => self.nest.clone(),
            _ => self.nest.without(self.nest.row..self.nest.dims.len()),
        }
    }

    /// Strides of a value in scratch.
    fn dense(&self, span: Span) -> Vec<usize> {
        self.nest.dense(match span {
            Span::One => 0..0,
            Span::Row => 0..self.nest.row,
            Span::Full => 0..self.nest.dims.len(),
        })
    }

    fn dense_row(&self, span: Span) -> usize {
        match span {
            Span::One => 0,
            Span::Row => 1,
            Span::Full => self.nest.width(),
        }
    }

    fn allocate(&mut self, span: Span) -> Home {
        const LINE: usize = 16;
        if let Some(offset) = self.free[span as usize].pop() {
            return Home::Scratch(offset);
        }
        let offset = self.layout.scratch;
        let len = match span {
            Span::One => 1,
            Span::Row => self.nest.rows(),
            Span::Full => self.nest.rows() * self.nest.width(),
        };
        self.layout.scratch += len.next_multiple_of(LINE);
        Home::Scratch(offset)
    }

    /// Frees the scratch of those arguments that nothing after `v` reads.
    fn release(&mut self, args: &[usize], v: usize) {
        for (k, &arg) in args.iter().enumerate() {
            let last = self.last_use[arg] == v && !args[..k].contains(&arg);
            if let (true, (Home::Scratch(offset), _)) = (last, self.homes[arg]) {
                self.free[self.code.values[arg].span as usize].push(offset);
            }
        }
    }
}

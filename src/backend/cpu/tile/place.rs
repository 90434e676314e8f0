//! Where the values of a tile lie: in place where memory already holds them, else in scratch that is reused as values die.

use super::Port;
use super::code::{Code, Def, Op, Span};
use super::copy::Copy;
use super::draw::Draw;
use super::nest::Nest;

/// Rows shorter than this are gathered to follow each other without gaps; longer ones are worked on where they lie.
pub const SHORT_ROW: usize = 32;

#[derive(Debug, Clone, PartialEq)]
pub enum Home {
    /// Offset in the thread's working memory.
    Scratch(usize),
    /// Index of the port.
    Memory(usize),
    /// Index of the constant.
    Constant(usize),
}

#[derive(Debug, Clone)]
pub struct Placed {
    pub span: Span,
    pub home: Home,
    /// Elements from one row to the next.
    pub row: usize,
}

#[derive(Debug)]
pub enum Step {
    /// Copies an operand to its value's home.
    Gather {
        value: usize,
        port: usize,
        copy: Copy,
    },
    /// Draws an operand into its value's home.
    Draw {
        value: usize,
        port: usize,
        draw: Draw,
    },
    Apply {
        value: usize,
        op: Op,
        args: [usize; 3],
    },
    /// Copies a value to a port.
    Store {
        value: usize,
        port: usize,
        copy: Copy,
    },
}

/// The finished layout.
#[derive(Debug, Default)]
pub struct Layout {
    pub placed: Vec<Placed>,
    pub steps: Vec<Step>,
    pub constants: Vec<f32>,
    /// Floats of working memory.
    pub scratch: usize,
}

/// Lays out `code` over `nest`. Its first results go to the ports after the operands; the others stay readable to the end.
pub fn place(
    nest: &Nest,
    ports: &[Port],
    operands: usize,
    code: &Code,
    overlaps: &dyn Fn(usize, usize) -> bool,
) -> Layout {
    let mut placer = Placer::new(nest, ports, operands, code, overlaps);
    placer.store_where_computed();
    for v in 0..code.values.len() {
        placer.value(v);
    }
    placer.stores();
    placer.layout
}

/// The row stride of an access whose rows are contiguous and evenly spaced within a box.
pub fn even_rows(nest: &Nest, strides: &[usize]) -> Option<usize> {
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

struct Placer<'a> {
    nest: &'a Nest,
    ports: &'a [Port],
    code: &'a Code,
    overlaps: &'a dyn Fn(usize, usize) -> bool,
    /// Number of operands: the first port that is stored to.
    operands: usize,
    /// The last value that reads each value; `usize::MAX` if it must stay to the end.
    last_use: Vec<usize>,
    homes: Vec<Option<Home>>,
    free: [Vec<usize>; 3],
    layout: Layout,
}

impl<'a> Placer<'a> {
    fn new(
        nest: &'a Nest,
        ports: &'a [Port],
        operands: usize,
        code: &'a Code,
        overlaps: &'a dyn Fn(usize, usize) -> bool,
    ) -> Self {
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
            overlaps,
            operands,
            last_use,
            homes: vec![None; code.values.len()],
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
                Def::Operand(i) => self.last_use[o] > v && (self.overlaps)(i, port),
                _ => false,
            });
            let full = self.code.values[v].span == Span::Full;
            if computed && full && even && !clobbers && self.homes[v].is_none() {
                self.homes[v] = Some(Home::Memory(port));
            }
        }
    }

    fn value(&mut self, v: usize) {
        let value = &self.code.values[v];
        let (home, row) = match &value.def {
            Def::Constant(c) => {
                self.layout.constants.push(*c);
                (Home::Constant(self.layout.constants.len() - 1), 0)
            }
            Def::Operand(port) => self.operand(v, *port),
            Def::Apply(_, args) => {
                self.load(args);
                for (k, &arg) in args.iter().enumerate() {
                    if self.last_use[arg] == v && !args[..k].contains(&arg) {
                        self.release(arg);
                    }
                }
                match self.homes[v].clone() {
                    Some(Home::Memory(port)) => {
                        let row = even_rows(self.nest, &self.ports[port].strides);
                        (
                            Home::Memory(port),
                            row.expect("chosen because its rows are even"),
                        )
                    }
                    _ => (self.allocate(value.span), self.dense_row(value.span)),
                }
            }
        };
        let span = value.span;
        self.layout.placed.push(Placed { span, home, row });
        if let Def::Apply(op, args) = &value.def {
            let args = std::array::from_fn(|k| *args.get(k).unwrap_or(&args[0]));
            self.layout.steps.push(Step::Apply {
                value: v,
                op: *op,
                args,
            });
        }
    }

    /// The place of an operand; what must be gathered gets its scratch when it is first used.
    fn operand(&mut self, v: usize, port: usize) -> (Home, usize) {
        let strides = &self.ports[port].strides;
        let in_place = match self.code.values[v].span {
            Span::One => Some(0),
            Span::Row if self.nest.rows() == 1 => Some(1),
            Span::Row => evenly(self.nest, strides, 0..self.nest.row).filter(|&step| step <= 1),
            Span::Full => even_rows(self.nest, strides),
        };
        match in_place {
            Some(row) if self.ports[port].in_memory() && !self.stored_over(v, port) => {
                (Home::Memory(port), row)
            }
            _ if self.only_copied(v, port) => (Home::Memory(port), 0),
            _ => (
                Home::Scratch(usize::MAX),
                self.dense_row(self.code.values[v].span),
            ),
        }
    }

    /// Whether an operand is itself a result while another result goes to where it lies.
    fn stored_over(&self, v: usize, port: usize) -> bool {
        self.code.results.contains(&v)
            && (self.targets()).any(|(result, target)| result != v && (self.overlaps)(port, target))
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
            if self.layout.placed[v].home != Home::Scratch(usize::MAX) {
                continue;
            }
            let span = self.code.values[v].span;
            self.layout.placed[v].home = self.allocate(span);
            let (from, to) = (&self.ports[port].strides, self.dense(span));
            self.layout.steps.push(if self.ports[port].in_memory() {
                let copy = Copy::new(&self.once_per(span), from, &to);
                Step::Gather {
                    value: v,
                    port,
                    copy,
                }
            } else {
                let draw = Draw::new(self.nest, from, &to);
                Step::Draw {
                    value: v,
                    port,
                    draw,
                }
            });
        }
    }

    fn stores(&mut self) {
        self.load(&self.code.results);
        for (v, port) in self.targets() {
            let placed = &self.layout.placed[v];
            let from = match placed.home {
                Home::Memory(home) if home == port => continue,
                Home::Memory(home) => self.ports[home].strides.clone(),
                Home::Scratch(_) => self.dense(placed.span),
                Home::Constant(_) => vec![0; self.nest.dims.len()],
            };
            let to = &self.ports[port].strides;
            let once = to[self.nest.row..].iter().all(|&s| s == 0);
            let nest = self.once_per(if once { Span::Row } else { Span::Full });
            let copy = Copy::new(&nest, &from, to);
            self.layout.steps.push(Step::Store {
                value: v,
                port,
                copy,
            });
        }
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

    fn release(&mut self, v: usize) {
        let Placed { span, home, .. } = &self.layout.placed[v];
        if let Home::Scratch(offset) = home {
            self.free[*span as usize].push(*offset);
        }
    }
}

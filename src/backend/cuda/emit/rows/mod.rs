//! Row programs: the threads of a row hold its elements in registers from the first load to the last store. Without reductions
//! a row is as many neighbours as one thread moves at once.

mod sweep;

use super::{
    Argument, Emission,
    body::{Body, Port, Read, vector},
    nest::{Nest, coordinates},
    source::{Draft, Parameters, Part, indented},
};
use crate::{
    ir::program::{Instr, ValueId, formula},
    plan::{Work, kernel::Rows},
};

impl Emission<'_> {
    pub fn rows(&mut self, rows: &Rows, work: Work) {
        let reads = self.reads(&rows.operands);
        let stores = rows.stores.iter();
        let stores = stores.map(|s| (s.value, self.port(s.buffer, &s.access)));
        let stores: Vec<(ValueId, Port)> = stores.collect();
        self.row_program([&rows.grid, &rows.row], &reads, &rows.code, &stores, work);
    }

    /// A row program over any memory.
    pub fn row_program(
        &mut self,
        nest: [&[usize]; 2],
        reads: &[Read],
        code: &[Instr],
        stores: &[(ValueId, Port)],
        work: Work,
    ) {
        if nest.concat().contains(&0) {
            return;
        }
        let text = RowText::new(nest, reads, code, stores);
        let (draft, arguments) = text.draft();
        self.launch(draft, arguments, work);
    }
}

/// Threads of a block, where a row does not want more.
const BLOCK: usize = 128;
/// Pieces of a row that one thread holds, where there are threads enough.
const HELD: usize = 4;
const MOST_THREADS: usize = 1024;
/// Longer loops over a row stay loops.
const UNROLLED: usize = 32;

struct RowText<'a> {
    nest: Nest,
    reads: &'a [Read],
    stores: &'a [(ValueId, Port)],
    body: Body<'a>,
    /// Whether rows are kept whole: something is reduced over them, or stored once for each.
    whole: bool,
    /// Elements of a row.
    row: usize,
    /// Neighbours that are moved at once, threads of a row, and pieces that each holds.
    vector: usize,
    lanes: usize,
    pieces: usize,
    /// Sweeps over the row: behind how many reductions a value is there, and when an operand is loaded or a value stored.
    level: Vec<usize>,
    stored: Vec<usize>,
    /// Values that a later sweep uses again.
    kept: Vec<bool>,
    parameters: Parameters,
    parts: Vec<Part>,
    /// What a product has just left in shared memory, and how its rows lie there.
    tile: Option<(Argument, usize)>,
}

/// A row program as the rest of a kernel that has a matrix in tiles.
pub struct Rest {
    /// For a thread at `i` of a block's threads, with the first row `m` and column `n` of its tile.
    pub body: String,
    pub parts: Vec<Part>,
    pub parameters: Parameters,
}

/// The rest of a kernel whose tile of `[high, wide]` of a matrix `[m, n]` lies in shared memory as floats, rows `line` apart; the
/// program reads it where it reads `product`.
pub fn rest(
    [m, n]: [usize; 2],
    reads: &[Read],
    code: &[Instr],
    stores: &[(ValueId, Port)],
    product: Argument,
    [high, wide, line]: [usize; 3],
    threads: usize,
) -> Option<Rest> {
    if m < 2 || n < 2 || keeps_rows(1, &[n], code, stores) {
        return None;
    }
    let accesses = reads.iter().map(Read::access);
    let accesses = accesses.chain(stores.iter().map(|(_, port)| &port.access));
    let nest = Nest {
        dims: vec![m, n],
        groups: vec![0..0, 0..2],
        accesses: accesses.cloned().collect(),
    };
    let mut text = RowText::over(nest, false, n, reads, code, stores);
    text.tile = Some((product, line));
    let vector = text.vector;
    let body = [text.streams(), text.before(0), text.sweep(0, false)].concat();
    let across = wide / vector;
    let body = format!(
        "for (unsigned i = threadIdx.x; i < {}; i += {threads}) {{\n    \
         const unsigned i0 = m + i / {across}, i1 = n + i % {across} * {vector};\n    \
         if (i0 >= {m} || i1 >= {n}) continue;\n{}}}\n",
        high * across,
        indented(1, &body)
    );
    Some(Rest {
        body,
        parts: text.parts,
        parameters: text.parameters,
    })
}

impl<'a> RowText<'a> {
    fn new(
        [grid, row]: [&[usize]; 2],
        reads: &'a [Read],
        code: &'a [Instr],
        stores: &'a [(ValueId, Port)],
    ) -> Self {
        let accesses = reads.iter().map(Read::access);
        let accesses: Vec<_> = accesses
            .chain(stores.iter().map(|(_, port)| &port.access))
            .collect();
        let whole = keeps_rows(grid.len(), row, code, stores);
        let flat = [grid, row].concat();
        let nest = match whole {
            true => Nest::merged(&[grid, row], &accesses),
            false => Nest::merged(&[&[], &flat], &accesses),
        };
        RowText::over(nest, whole, row.iter().product(), reads, code, stores)
    }

    /// `row`: elements of one.
    fn over(
        nest: Nest,
        whole: bool,
        row: usize,
        reads: &'a [Read],
        code: &'a [Instr],
        stores: &'a [(ValueId, Port)],
    ) -> Self {
        let ports: Vec<Port> = (reads.iter().map(Read::port))
            .chain(stores.iter().map(|(_, port)| Some(port)))
            .zip(&nest.accesses)
            .filter_map(|(port, access)| {
                Some(Port {
                    access: access.clone(),
                    ..port?.clone()
                })
            })
            .collect();
        let inner = nest.dims[nest.groups[1].clone()].last().copied();
        let vector = match inner {
            Some(inner) => vector(inner, &ports.iter().collect::<Vec<_>>()),
            None => 1,
        };
        let (lanes, pieces) = match whole {
            true => split(row / vector),
            false => (1, 1),
        };
        let axes = match whole {
            true => nest.groups[1].clone(),
            false => nest.dims.len().saturating_sub(1)..nest.dims.len(),
        };
        let varies = |at: usize| {
            nest.accesses[at].strides[axes.clone()]
                .iter()
                .any(|&s| s > 0)
        };
        let wide = (0..reads.len()).map(varies).collect();
        let results: Vec<ValueId> = stores.iter().map(|(value, _)| *value).collect();
        let mut text = RowText {
            body: Body::new(wide, code, &results),
            nest,
            reads,
            stores,
            whole,
            row,
            vector,
            lanes,
            pieces,
            level: Vec::new(),
            stored: Vec::new(),
            kept: Vec::new(),
            parameters: Parameters::default(),
            parts: vec![Part::Element],
            tile: None,
        };
        text.schedule();
        text
    }

    /// Decides in which sweep each value is loaded, computed and stored.
    fn schedule(&mut self) {
        let body = &self.body;
        let mut level = vec![0; body.count()];
        for value in self.reads.len()..body.count() {
            let Some(instr) = body.instr(value) else {
                continue;
            };
            let behind = usize::from(body.reduces(value));
            let args = instr.args.iter().map(|&arg| level[arg]);
            level[value] = args.max().unwrap_or(0) + behind;
        }
        // Uses: which value, in which sweep.
        let mut uses: Vec<(ValueId, usize)> = Vec::new();
        for value in (0..body.count()).filter(|&value| body.live[value]) {
            let sweep = level[value] - usize::from(body.reduces(value));
            let args = body.instr(value).map_or(&[][..], |instr| &instr.args);
            uses.extend(args.iter().map(|&arg| (arg, sweep)));
        }
        uses.extend(self.stores.iter().map(|(value, _)| (*value, level[*value])));
        for (operand, level) in level.iter_mut().enumerate().take(self.reads.len()) {
            let of = uses.iter().filter(|(value, _)| *value == operand);
            *level = of.map(|(_, sweep)| *sweep).min().unwrap_or(0);
        }
        // What is stored where an operand lies comes behind the load of that.
        let stored = self.stores.iter().map(|(value, port)| {
            let shares = |(_, read): &(usize, &Read)| {
                read.port()
                    .is_some_and(|read| read.argument == port.argument)
            };
            let loads = self.reads.iter().enumerate().filter(shares);
            let loads = loads.map(|(operand, _)| level[operand]);
            loads.max().unwrap_or(0).max(level[*value])
        });
        self.stored = stored.collect();
        let stores = self.stores.iter().zip(&self.stored);
        uses.extend(stores.map(|((value, _), &sweep)| (*value, sweep)));
        let later = |value: usize| {
            uses.iter()
                .any(|&(used, at)| used == value && at > level[value])
        };
        self.kept = (0..body.count())
            .map(|value| body.wide[value] && later(value))
            .collect();
        self.level = level;
    }

    fn draft(mut self) -> (Draft, Vec<Argument>) {
        let rows = match self.whole {
            true => self.nest.count(0),
            false => self.nest.count(1) / self.vector,
        };
        // Warps that share a row have the block to themselves.
        let block = if self.lanes > 32 { self.lanes } else { BLOCK };
        let side_by_side = block / self.lanes;
        let exact = rows.is_multiple_of(side_by_side);
        let sweeps = self.sweeps();
        let mut text = String::new();
        let lane = match self.lanes {
            1 => "threadIdx.x".to_string(),
            lanes => format!("threadIdx.x / {lanes}"),
        };
        let row = match side_by_side {
            1 => "blockIdx.x".to_string(),
            n => format!("blockIdx.x * {n} + {lane}"),
        };
        let guarded = self.whole && !exact;
        match (exact, self.whole) {
            (true, _) => text += &format!("const unsigned row = {row};\n"),
            (false, false) => {
                text += &format!("const unsigned row = {row};\nif (row >= {rows}) return;\n");
            }
            // Threads behind the last row stay: those before it count on them.
            (false, true) => {
                text += &format!("const bool real = {row} < {rows};\n");
                text += &format!("const unsigned row = real ? {row} : {};\n", rows - 1);
            }
        }
        if self.lanes > 1 {
            text += &format!("const unsigned lane = threadIdx.x % {};\n", self.lanes);
        }
        let (dims, step) = match self.whole {
            true => (self.nest.steps(0, 1), 1),
            false => (self.nest.steps(1, self.vector), self.vector),
        };
        text += &coordinates("i", "row", &dims, step);
        text.push('\n');
        text += &self.streams();
        let mut reductions = 0;
        for sweep in 0..=sweeps {
            text += &self.before(sweep);
            text += &self.sweep(sweep, guarded);
            text += &self.behind(sweep, &mut reductions);
        }
        text += &self.narrow_stores(guarded);
        let shared = match self.lanes {
            0..=32 => 0,
            _ => 128 * reductions,
        };
        if shared > 0 {
            self.parts.push(Part::Reduce);
        }
        let mut whole = String::new();
        if shared > 0 {
            whole += "extern __shared__ __align__(16) unsigned char shared[];\n\n";
        }
        whole += &self.parameters.head(block as u32);
        whole += &format!("{{\n{}}}\n", indented(1, &text));
        let note = self.note();
        let draft = Draft {
            stem: "rows",
            note,
            parts: self.parts,
            text: whole,
            grid: [rows.div_ceil(side_by_side) as u32, 1, 1],
            block: block as u32,
            shared: shared as u32,
        };
        (draft, self.parameters.arguments())
    }

    fn note(&self) -> String {
        let code: Vec<Instr> = (self.reads.len()..self.body.count())
            .filter_map(|value| self.body.instr(value).cloned())
            .collect();
        let results: Vec<ValueId> = self.stores.iter().map(|(value, _)| *value).collect();
        formula(self.reads.len(), &code, &results)
    }
}

/// Threads for a row of so many pieces, a power of two, and how many pieces each of them has.
fn split(pieces: usize) -> (usize, usize) {
    let mut lanes = 1;
    while lanes < MOST_THREADS && (lanes < 32 && lanes < pieces || lanes * HELD < pieces) {
        lanes *= 2;
    }
    (lanes, pieces.div_ceil(lanes).max(1))
}

fn keeps_rows(grid: usize, row: &[usize], code: &[Instr], stores: &[(ValueId, Port)]) -> bool {
    let reduces = code.iter().any(|instr| instr.op.reduces());
    let long = row.iter().any(|&dim| dim > 1);
    let narrow = |port: &Port| port.access.strides[grid..].iter().all(|&s| s == 0);
    reduces || long && stores.iter().any(|(_, port)| narrow(port))
}

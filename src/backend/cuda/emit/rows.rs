//! Row programs: the threads of a row hold its elements in registers from the first load to the last store. Without reductions
//! a row is as many neighbours as one thread moves at once.

use super::{
    Emission,
    body::{Body, Port, Read, expression, vector},
    nest::{Nest, coordinates, place},
    source::{Draft, Parameters, Part, indented},
};
use crate::{
    ir::program::{Instr, RowOp, ValueId, formula},
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
        let row: usize = row.iter().product();
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
        let wide = (0..reads.len()).map(|at| varies(at)).collect();
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
        for operand in 0..self.reads.len() {
            let of = uses.iter().filter(|(value, _)| *value == operand);
            level[operand] = of.map(|(_, sweep)| *sweep).min().unwrap_or(0);
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

    fn draft(mut self) -> (Draft, Vec<super::Argument>) {
        let rows = match self.whole {
            true => self.nest.count(0),
            false => self.nest.count(1) / self.vector,
        };
        // Warps that share a row have the block to themselves.
        let block = if self.lanes > 32 { self.lanes } else { BLOCK };
        let side_by_side = block / self.lanes;
        let exact = rows % side_by_side == 0;
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

    fn sweeps(&self) -> usize {
        let live = (0..self.body.count()).filter(|&value| self.body.live[value]);
        live.map(|value| self.level[value]).max().unwrap_or(0)
    }

    /// What draws begin from.
    fn streams(&mut self) -> String {
        let mut text = String::new();
        for (at, read) in self.reads.iter().enumerate() {
            let Read::Draw {
                stream, per_sample, ..
            } = read
            else {
                continue;
            };
            if !self.body.live[at] {
                continue;
            }
            self.parts.push(Part::Draw);
            let [first, key] = self.parameters.stream(*stream);
            let terms = self.grid_terms(at);
            let place = place(self.nest.accesses[at].offset, &terms);
            text +=
                &format!("const unsigned long long p{at} = *{first} * {per_sample} + ({place});\n");
            text += &format!("Stream s{at}(*{key}, p{at});\n");
        }
        text
    }

    /// The indices that stand for a whole row, with the strides of an access.
    fn grid_terms(&self, access: usize) -> Vec<(String, usize)> {
        let group = if self.whole { 0 } else { 1 };
        let axes = self.nest.groups[group].clone();
        let strides = &self.nest.accesses[access].strides;
        let term = |axis: usize| (format!("i{}", axis - axes.start), strides[axis]);
        axes.clone().map(term).collect()
    }

    fn row_terms(&self, access: usize) -> Vec<(String, usize)> {
        if !self.whole {
            return Vec::new();
        }
        let axes = self.nest.groups[1].clone();
        let strides = &self.nest.accesses[access].strides;
        let term = |axis: usize| (format!("j{}", axis - axes.start), strides[axis]);
        axes.clone().map(term).collect()
    }

    fn place(&self, access: usize) -> String {
        let terms = [self.grid_terms(access), self.row_terms(access)].concat();
        place(self.nest.accesses[access].offset, &terms)
    }

    /// How a value is called inside the innermost loop.
    fn name(&self, value: ValueId) -> String {
        let name = self.body.name(value);
        let held = self.kept[value] && self.pieces > 1;
        let piece = if held { "[k]" } else { "" };
        let lane = if self.is_array(value) { "[v]" } else { "" };
        format!("{name}{piece}{lane}")
    }

    /// Whether neighbours of a value lie side by side, as they were loaded or for what comes later.
    fn is_array(&self, value: ValueId) -> bool {
        let loaded = self
            .reads
            .get(value)
            .is_some_and(|read| read.port().is_some());
        let stored = self.stores.iter().any(|(stored, _)| *stored == value);
        self.vector > 1 && self.body.wide[value] && (loaded || stored || self.kept[value])
    }

    /// The array of neighbours that a value is in a piece.
    fn array(&self, value: ValueId) -> String {
        let held = self.kept[value] && self.pieces > 1;
        let piece = if held { "[k]" } else { "" };
        format!("{}{piece}", self.body.name(value))
    }

    fn width(&self) -> String {
        if self.vector > 1 {
            format!("[{}]", self.vector)
        } else {
            String::new()
        }
    }

    /// Values of a sweep in their order.
    fn of(&self, sweep: usize, wide: bool) -> Vec<ValueId> {
        let live = |value: &ValueId| {
            self.body.live[*value]
                && self.level[*value] == sweep
                && self.body.wide[*value] == wide
                && !self.body.is_constant(*value)
        };
        (0..self.body.count()).filter(live).collect()
    }

    /// One number per row, and room for what is kept.
    fn before(&mut self, sweep: usize) -> String {
        let mut text = String::new();
        for value in self.of(sweep, false) {
            let name = self.body.name(value);
            let Some(instr) = self.body.instr(value) else {
                let number = match &self.reads[value] {
                    Read::Memory(port) => {
                        let from = self.parameters.read(port.argument, port.element);
                        format!("load({from} + {})", self.place(value))
                    }
                    Read::Draw { .. } => format!("s{value}.uniform(p{value})"),
                };
                text += &format!("const float {name} = {number};\n");
                continue;
            };
            if !self.body.reduces(value) {
                let args: Vec<String> = instr.args.iter().map(|&a| self.name(a)).collect();
                let number = expression(instr.op, &args, self.row);
                text += &format!("const float {name} = {number};\n");
            }
        }
        for value in (0..self.body.count()).filter(|&v| self.kept[v] && self.level[v] == sweep) {
            let pieces = match self.pieces {
                1 => String::new(),
                n => format!("[{n}]"),
            };
            text += &format!("float {}{pieces}{};\n", self.body.name(value), self.width());
        }
        for value in self.reductions(sweep) {
            let start = self.reduction(value);
            text += &format!("float {} = {start}::start();\n", self.body.name(value));
        }
        text
    }

    /// The reductions over what a sweep computes.
    fn reductions(&self, sweep: usize) -> Vec<ValueId> {
        let over = |value: &ValueId| {
            self.body.live[*value] && self.body.reduces(*value) && self.level[*value] == sweep + 1
        };
        (0..self.body.count()).filter(over).collect()
    }

    fn reduction(&self, value: ValueId) -> &'static str {
        match self.body.instr(value).map(|instr| instr.op) {
            Some(RowOp::RowMax) => "Max",
            _ => "Sum",
        }
    }

    /// Behind a sweep, what its threads have becomes one.
    fn behind(&mut self, sweep: usize, count: &mut usize) -> String {
        let mut text = String::new();
        for value in self.reductions(sweep) {
            self.parts.push(Part::Reduce);
            let (name, kind, lanes) = (self.body.name(value), self.reduction(value), self.lanes);
            let partial = match lanes {
                0..=32 => "nullptr".to_string(),
                _ => format!("(float*)shared + {}", 32 * *count),
            };
            *count += 1;
            text += &format!("{name} = across<{kind}, {lanes}>({name}, {partial});\n");
        }
        text
    }

    /// One pass over the row.
    fn sweep(&mut self, sweep: usize, guarded: bool) -> String {
        let values = self.of(sweep, true);
        let stores: Vec<usize> = (0..self.stores.len())
            .filter(|&s| self.stored[s] == sweep && self.is_wide_store(s))
            .collect();
        let reductions = self.reductions(sweep);
        if values.is_empty() && stores.is_empty() && reductions.is_empty() {
            return String::new();
        }
        let mut inner = String::new();
        let mut each = String::new();
        for &value in &values {
            self.wide_value(value, &mut inner, &mut each);
        }
        for &value in &reductions {
            let kind = self.reduction(value);
            let arg = self.body.instr(value).map_or(0, |instr| instr.args[0]);
            let (name, arg) = (self.body.name(value), self.name(arg));
            each += &format!("{name} = {kind}::of({name}, {arg});\n");
        }
        let mut last = String::new();
        for &store in &stores {
            self.wide_store(store, &mut inner, &mut each, &mut last);
        }
        if self.vector > 1 && !each.is_empty() {
            let width = self.vector;
            inner += &format!("#pragma unroll\nfor (unsigned v = 0; v < {width}; v++) {{\n");
            inner += &indented(1, &each);
            inner += "}\n";
        } else {
            inner += &each;
        }
        if guarded && !last.is_empty() {
            last = format!("if (real) {{\n{}}}\n", indented(1, &last));
        }
        inner += &last;
        self.over_pieces(&inner)
    }

    /// Whether a store moves one element for each of the row.
    fn is_wide_store(&self, store: usize) -> bool {
        !self.whole || self.row == 1 || !self.narrow(store)
    }

    fn narrow(&self, store: usize) -> bool {
        let axes = self.nest.groups[1].clone();
        let access = &self.nest.accesses[self.reads.len() + store];
        access.strides[axes].iter().all(|&s| s == 0)
    }

    fn wide_value(&mut self, value: ValueId, inner: &mut String, each: &mut String) {
        let (name, kept, width) = (self.name(value), self.kept[value], self.width());
        let declared = if kept { "" } else { "const float " };
        let Some(instr) = self.body.instr(value) else {
            let strides = &self.nest.accesses[value].strides;
            let stride = strides.last().copied().unwrap_or(0);
            match &self.reads[value] {
                Read::Memory(port) => {
                    let from = self.parameters.read(port.argument, port.element);
                    let place = self.place(value);
                    let array = self.array(value);
                    if self.vector == 1 {
                        *inner += &format!("{declared}{name} = load({from} + {place});\n");
                        return;
                    }
                    self.parts.push(Part::Vector);
                    if !kept {
                        *inner += &format!("float {array}{width};\n");
                    }
                    match stride {
                        0 => *each += &format!("{name} = load({from} + {place});\n"),
                        _ => *inner += &format!("load({array}, {from} + {place});\n"),
                    }
                }
                Read::Draw { .. } => {
                    let mut terms = self.row_terms(value);
                    if self.vector > 1 {
                        terms.push(("v".into(), stride));
                    }
                    let at = match place(0, &terms).as_str() {
                        "0" => format!("p{value}"),
                        place => format!("p{value} + {place}"),
                    };
                    let number = format!("s{value}.uniform({at})");
                    self.assign(value, &number, inner, each);
                }
            }
            return;
        };
        let args: Vec<String> = instr.args.iter().map(|&a| self.name(a)).collect();
        let number = expression(instr.op, &args, self.row);
        self.assign(value, &number, inner, each);
    }

    fn assign(&self, value: ValueId, number: &str, inner: &mut String, each: &mut String) {
        let name = self.name(value);
        let declared = match (self.kept[value], self.is_array(value)) {
            (true, _) => "",
            (false, true) => {
                *inner += &format!("float {}{};\n", self.array(value), self.width());
                ""
            }
            (false, false) => "const float ",
        };
        *each += &format!("{declared}{name} = {number};\n");
    }

    fn wide_store(
        &mut self,
        store: usize,
        inner: &mut String,
        each: &mut String,
        last: &mut String,
    ) {
        let (value, port) = &self.stores[store];
        let to = self.parameters.write(port.argument, port.element);
        let place = self.place(self.reads.len() + store);
        if self.vector == 1 {
            *last += &format!("store({to} + {place}, {});\n", self.name(*value));
            return;
        }
        self.parts.push(Part::Vector);
        if self.body.wide[*value] {
            *last += &format!("store({to} + {place}, {});\n", self.array(*value));
        } else {
            *inner += &format!("float y{store}{};\n", self.width());
            *each += &format!("y{store}[v] = {};\n", self.name(*value));
            *last += &format!("store({to} + {place}, y{store});\n");
        }
    }

    /// Repeats what is done to one piece of a row for all that a thread has.
    fn over_pieces(&self, piece: &str) -> String {
        if !self.whole {
            return piece.into();
        }
        let (lanes, pieces, vector) = (self.lanes, self.pieces, self.vector);
        let steps = self.row / vector;
        let dims = self.nest.steps(1, vector);
        let inside = coordinates("j", "e", &dims, vector);
        let index = match (lanes, pieces) {
            (1, 1) => "0".into(),
            (1, _) => "k".into(),
            (_, 1) => "lane".into(),
            _ => format!("k * {lanes} + lane"),
        };
        let mut text = format!("const unsigned e = {index};\n");
        if lanes * pieces > steps {
            text += &format!("if (e < {steps}) {{\n");
            text += &indented(1, &format!("{inside}\n{piece}"));
            text += "}\n";
        } else {
            text += &format!("{inside}\n{piece}");
        }
        if pieces == 1 {
            return format!("{{\n{}}}\n", indented(1, &text));
        }
        let unroll = if pieces <= UNROLLED {
            "#pragma unroll\n"
        } else {
            ""
        };
        format!(
            "{unroll}for (unsigned k = 0; k < {pieces}; k++) {{\n{}}}\n",
            indented(1, &text)
        )
    }

    /// What is stored once for each row, by its first thread.
    fn narrow_stores(&mut self, guarded: bool) -> String {
        let mut text = String::new();
        for store in 0..self.stores.len() {
            if self.is_wide_store(store) {
                continue;
            }
            let (value, port) = &self.stores[store];
            let to = self.parameters.write(port.argument, port.element);
            let place = place(
                self.nest.accesses[self.reads.len() + store].offset,
                &self.grid_terms(self.reads.len() + store),
            );
            text += &format!("store({to} + {place}, {});\n", self.name(*value));
        }
        if text.is_empty() {
            return text;
        }
        let mut conditions = Vec::new();
        if self.lanes > 1 {
            conditions.push("lane == 0");
        }
        if guarded {
            conditions.push("real");
        }
        if conditions.is_empty() {
            return text;
        }
        // Others of the row may still read what is stored over.
        let reads = |store: &(ValueId, Port)| {
            let same = |read: &Read| read.port().is_some_and(|p| p.argument == store.1.argument);
            self.reads.iter().any(same)
        };
        let wait = match (self.stores.iter().any(reads), self.lanes) {
            (true, 2..=32) => "__syncwarp();\n",
            (true, 33..) => "__syncthreads();\n",
            _ => "",
        };
        format!(
            "{wait}if ({}) {{\n{}}}\n",
            conditions.join(" && "),
            indented(1, &text)
        )
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

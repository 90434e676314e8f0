//! The body of a row program: sweeps over the row, reductions between them.

use super::{
    super::{
        body::{Port, Read, expression, streams},
        nest::{coordinates, place},
        source::{Part, indented},
    },
    RowText, UNROLLED,
};
use crate::ir::program::{RowOp, ValueId};

impl RowText<'_> {
    pub(super) fn sweeps(&self) -> usize {
        let live = (0..self.body.count()).filter(|&value| self.body.live[value]);
        live.map(|value| self.level[value]).max().unwrap_or(0)
    }

    /// What draws begin from.
    pub(super) fn streams(&mut self) -> String {
        let start = |at: usize| {
            let place = place(self.nest.accesses[at].offset, &self.grid_terms(at));
            self.body.live[at].then_some(place)
        };
        let starts: Vec<_> = (0..self.reads.len()).map(start).collect();
        let start = |at: usize| starts[at].clone();
        streams(self.reads, &mut self.parameters, &mut self.parts, start)
    }

    /// The indices that stand for a whole row, with the strides of an access.
    fn grid_terms(&self, access: usize) -> Vec<(String, usize)> {
        self.terms("i", usize::from(!self.whole), access)
    }

    fn row_terms(&self, access: usize) -> Vec<(String, usize)> {
        if self.whole {
            self.terms("j", 1, access)
        } else {
            Vec::new()
        }
    }

    fn terms(&self, name: &str, group: usize, access: usize) -> Vec<(String, usize)> {
        let strides = &self.nest.accesses[access].strides[self.nest.groups[group].clone()];
        let term = |(at, &stride): (usize, &usize)| (format!("{name}{at}"), stride);
        strides.iter().enumerate().map(term).collect()
    }

    /// Where an operand is read.
    fn source(&mut self, value: ValueId, port: &Port) -> String {
        match self.tile {
            Some((product, line)) if product == port.argument => {
                format!("(const float*)shared + (i0 - m) * {line} + (i1 - n)")
            }
            _ => {
                let from = self.parameters.read(port.argument, port.element);
                format!("{from} + {}", self.place(value))
            }
        }
    }

    fn place(&self, access: usize) -> String {
        let terms = [self.grid_terms(access), self.row_terms(access)].concat();
        place(self.nest.accesses[access].offset, &terms)
    }

    /// How a value is called inside the innermost loop.
    fn name(&self, value: ValueId) -> String {
        let lane = if self.is_array(value) { "[v]" } else { "" };
        format!("{}{lane}", self.array(value))
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
    pub(super) fn before(&mut self, sweep: usize) -> String {
        let mut text = String::new();
        for value in self.of(sweep, false) {
            let name = self.body.name(value);
            let Some(instr) = self.body.instr(value) else {
                let number = match &self.reads[value] {
                    Read::Memory(port) => format!("load({})", self.source(value, port)),
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
    pub(super) fn behind(&mut self, sweep: usize, count: &mut usize) -> String {
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
    pub(super) fn sweep(&mut self, sweep: usize, guarded: bool) -> String {
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
                    let from = self.source(value, port);
                    let array = self.array(value);
                    if self.vector == 1 {
                        *inner += &format!("{declared}{name} = load({from});\n");
                        return;
                    }
                    self.parts.push(Part::Vector);
                    if !kept {
                        *inner += &format!("float {array}{width};\n");
                    }
                    match stride {
                        0 => *each += &format!("{name} = load({from});\n"),
                        _ => *inner += &format!("load({array}, {from});\n"),
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
    pub(super) fn narrow_stores(&mut self, guarded: bool) -> String {
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

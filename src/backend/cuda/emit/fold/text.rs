//! The text of a fold: the loop over reduced indices, then what threads and blocks have becomes one.

use super::{
    super::{
        Argument,
        body::{Read, expression, streams},
        nest::{coordinates, place},
        source::{Draft, Part, indented},
    },
    BLOCK, FoldText, Reduction,
};
use crate::{
    ir::program::{Instr, ValueId, formula},
    plan::Element,
};

impl FoldText<'_> {
    /// `partials`: where the results of chunks go, where there are several.
    pub(super) fn draft(mut self, chunks: usize, partials: &[Argument]) -> (Draft, Vec<Argument>) {
        let FoldText {
            lanes,
            abreast,
            reduced,
            kept,
            ..
        } = self;
        let (lane, column) = match self.along {
            true => (
                format!("threadIdx.x % {lanes}"),
                format!("threadIdx.x / {lanes}"),
            ),
            false => (
                format!("threadIdx.x / {abreast}"),
                format!("threadIdx.x % {abreast}"),
            ),
        };
        let mut text = format!("const unsigned lane = {lane}, column = {column};\n");
        text += &format!("const unsigned kept = blockIdx.x * {abreast} + column;\n");
        text += &format!("const bool real = kept < {kept};\n");
        let kept_group = if self.along { 0 } else { 1 };
        let step = if self.along { 1 } else { self.vector };
        let dims = self.nest.steps(kept_group, step);
        text += &coordinates("i", "kept", &dims, step);
        text.push('\n');
        for (at, result) in self.results.iter().enumerate() {
            let kind = kind(result.reduction);
            text += &match self.columns() {
                1 => format!("float r{at} = {kind}::start();\n"),
                n => format!(
                    "float r{at}[{n}];\nfor (unsigned v = 0; v < {n}; v++) r{at}[v] = {kind}::start();\n"
                ),
            };
        }
        text += "if (real) {\n";
        let nowhere = |_| Some("0".to_owned());
        let streams = streams(self.reads, &mut self.parameters, &mut self.parts, nowhere);
        text += &indented(1, &streams);
        let chunk = reduced.div_ceil(chunks);
        let (from, to) = match chunks {
            1 => ("lane".to_string(), reduced.to_string()),
            _ => {
                let end = format!("(blockIdx.y + 1) * {chunk}");
                let end = match reduced % chunk {
                    0 => end,
                    _ => format!("min({end}, {reduced}u)"),
                };
                (format!("blockIdx.y * {chunk} + lane"), end)
            }
        };
        text += &format!(
            "    for (unsigned reduced = {from}; reduced < {to}; reduced += {lanes}) {{\n"
        );
        text += &indented(2, &self.point());
        text += "    }\n}\n";
        let slots = lanes * abreast * self.columns();
        text += "float* const partial = (float*)shared;\n";
        for at in 0..self.results.len() {
            text += &self.combine(at);
            text += &self.finish(at, chunks, partials);
        }
        let mut whole = String::from("extern __shared__ __align__(16) unsigned char shared[];\n\n");
        whole += &self.parameters.head(BLOCK as u32);
        whole += &format!("{{\n{}}}\n", indented(1, &text));
        let draft = Draft {
            stem: "fold",
            note: self.note(chunks),
            parts: self.parts,
            text: whole,
            grid: [kept.div_ceil(abreast) as u32, chunks as u32, 1],
            block: BLOCK as u32,
            shared: (slots * Element::F32.bytes()) as u32,
        };
        (draft, self.parameters.arguments())
    }

    fn note(&self, chunks: usize) -> String {
        let code: Vec<Instr> = (self.reads.len()..self.body.count())
            .filter_map(|value| self.body.instr(value).cloned())
            .collect();
        let values: Vec<ValueId> = self.results.iter().map(|r| r.value).collect();
        let over = match chunks {
            1 => String::new(),
            n => format!(" in {n} chunks"),
        };
        format!(
            "{} over {}{over}",
            formula(self.reads.len(), &code, &values),
            self.reduced * if self.along { self.vector } else { 1 }
        )
    }

    /// Results that a thread has of each value.
    fn columns(&self) -> usize {
        if self.along { 1 } else { self.vector }
    }

    fn place(&self, access: usize) -> String {
        let strides = &self.nest.accesses[access].strides;
        let names = if self.along { ["i", "j"] } else { ["j", "i"] };
        let mut terms = Vec::new();
        for (group, name) in names.iter().enumerate() {
            let axes = self.nest.groups[group].clone();
            let first = axes.start;
            terms.extend(axes.map(|axis| (format!("{name}{}", axis - first), strides[axis])));
        }
        place(self.nest.accesses[access].offset, &terms)
    }

    fn name(&self, value: ValueId) -> String {
        let array = self.vector > 1
            && self.body.wide[value]
            && self
                .reads
                .get(value)
                .is_some_and(|read| read.port().is_some());
        format!(
            "{}{}",
            self.body.name(value),
            if array { "[v]" } else { "" }
        )
    }

    /// What is done at one reduced index.
    fn point(&mut self) -> String {
        let step = if self.along { self.vector } else { 1 };
        let dims = self.nest.steps(if self.along { 1 } else { 0 }, step);
        let mut text = coordinates("j", "reduced", &dims, step);
        text.push('\n');
        let mut each = String::new();
        for value in (0..self.body.count()).filter(|&v| self.body.live[v]) {
            let (name, wide) = (self.body.name(value), self.body.wide[value]);
            let vector = self.vector > 1 && wide;
            match self.body.instr(value) {
                None => {
                    let place = self.place(value);
                    let stride = self.nest.accesses[value].strides.last().copied();
                    match &self.reads[value] {
                        Read::Memory(port) => {
                            let from = self.parameters.read(port.argument, port.element);
                            if vector {
                                self.parts.push(Part::Vector);
                                text += &format!(
                                    "float {name}[{}];\nload({name}, {from} + {place});\n",
                                    self.vector
                                );
                            } else {
                                text += &format!("const float {name} = load({from} + {place});\n");
                            }
                        }
                        Read::Draw { .. } => {
                            let along = match (vector, stride) {
                                (true, Some(stride)) => format!(" + v * {stride}"),
                                _ => String::new(),
                            };
                            let number = format!("s{value}.uniform(p{value} + ({place}){along})");
                            let to = if vector { &mut each } else { &mut text };
                            *to += &format!("const float {name} = {number};\n");
                        }
                    }
                }
                Some(_) if self.body.is_constant(value) => {}
                Some(instr) => {
                    let args: Vec<String> = instr.args.iter().map(|&a| self.name(a)).collect();
                    let number = expression(instr.op, &args, 1);
                    let to = if vector { &mut each } else { &mut text };
                    *to += &format!("const float {name} = {number};\n");
                }
            }
        }
        for (at, result) in self.results.iter().enumerate() {
            let kind = kind(result.reduction);
            let column = if self.columns() > 1 { "[v]" } else { "" };
            let value = self.name(result.value);
            each += &format!("r{at}{column} = {kind}::of(r{at}{column}, {value});\n");
        }
        if self.vector > 1 {
            text += &format!(
                "#pragma unroll\nfor (unsigned v = 0; v < {}; v++) {{\n",
                self.vector
            );
            text += &indented(1, &each);
            text += "}\n";
        } else {
            text += &each;
        }
        text
    }

    /// The results of the threads that share a kept index, by pairs.
    fn combine(&self, at: usize) -> String {
        let kind = kind(self.results[at].reduction);
        let (abreast, lanes) = (self.abreast, self.lanes);
        let mut text = String::new();
        if at > 0 {
            text += "__syncthreads();\n";
        }
        let row = abreast * self.columns();
        let slot = match self.columns() {
            1 => format!("partial[lane * {row} + column]"),
            n => format!("partial[lane * {row} + column * {n} + v]"),
        };
        let each = |line: String| match self.columns() {
            1 => line + "\n",
            n => format!("for (unsigned v = 0; v < {n}; v++) {line}\n"),
        };
        let own = if self.columns() > 1 { "[v]" } else { "" };
        text += &each(format!("{slot} = r{at}{own};"));
        text += &format!(
            "for (unsigned apart = {}; apart > 0; apart /= 2) {{\n",
            lanes / 2
        );
        text += "    __syncthreads();\n    if (lane < apart) {\n";
        let other = slot.replace("lane *", "(lane + apart) *");
        text += &indented(2, &each(format!("{slot} = {kind}::of({slot}, {other});")));
        text + "    }\n}\n"
    }

    /// The results of a block, by its first threads.
    fn finish(&mut self, at: usize, chunks: usize, partials: &[Argument]) -> String {
        let result = &self.results[at];
        let kind = kind(result.reduction);
        let columns = self.columns();
        let slot = match columns {
            1 => "partial[column]".to_string(),
            n => format!("partial[column * {n} + v]"),
        };
        let line = if chunks > 1 {
            let to = self.parameters.write(partials[at], Element::F32);
            let kept = self.kept * columns;
            match columns {
                1 => format!("{to}[blockIdx.y * {kept} + kept] = {slot};"),
                n => format!("{to}[blockIdx.y * {kept} + kept * {n} + v] = {slot};"),
            }
        } else {
            let to = self
                .parameters
                .write(result.port.argument, result.port.element);
            let access = self.reads.len() + at;
            let stride = self.nest.accesses[access]
                .strides
                .last()
                .copied()
                .unwrap_or(0);
            let place = match (columns, stride) {
                (1, _) | (_, 0) => self.place(access),
                (_, 1) => self.place(access) + " + v",
                (_, stride) => format!("{} + v * {stride}", self.place(access)),
            };
            let number = match result.accumulate {
                true => format!("{kind}::of(load({to} + {place}), {slot})"),
                false => slot,
            };
            format!("store({to} + {place}, {number});")
        };
        let line = match columns {
            1 => line,
            n => format!("for (unsigned v = 0; v < {n}; v++) {line}"),
        };
        format!("if (lane == 0 && real) {line}\n")
    }
}

fn kind(reduction: Reduction) -> &'static str {
    match reduction {
        Reduction::Sum => "Sum",
        Reduction::Max => "Max",
    }
}

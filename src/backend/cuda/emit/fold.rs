//! Folds: code, then sums or maxima over the reduced axes. Threads of a block share the reduced indices of a few kept ones and
//! combine by pairs; where that leaves too few blocks, the reduced indices are cut into chunks, whose results a second fold
//! combines.

use super::{
    Argument, Emission,
    body::{Body, Port, Read, expression, vector},
    nest::{Nest, coordinates, place},
    source::{Draft, Parameters, Part, indented},
};
use crate::{
    ir::program::{Instr, ValueId, formula},
    plan::{Access, Element, Work, kernel},
};
use kernel::Reduction;

/// A value of the code, reduced into memory.
#[derive(Clone)]
pub struct Outcome {
    pub value: ValueId,
    pub reduction: Reduction,
    /// Over the kept axes.
    pub port: Port,
    pub accumulate: bool,
}

const BLOCK: usize = 256;
/// Enough to fill a large GPU twice.
const BLOCKS: usize = 512;
/// Steps that a thread makes at least before its reduced indices are shared with other blocks.
const STEPS: usize = 4;
/// Threads side by side along the kept axes: what they read at once is a few lines of memory.
const ABREAST: usize = 32;

impl Emission<'_> {
    pub fn fold(&mut self, fold: &kernel::Fold, work: Work) {
        let reads = self.reads(&fold.operands);
        let outcome = |result: &kernel::FoldResult| Outcome {
            value: result.value,
            reduction: result.reduction,
            port: self.port(result.buffer, &result.access),
            accumulate: result.accumulate,
        };
        let results: Vec<Outcome> = fold.results.iter().map(outcome).collect();
        let nest = [&fold.reduced[..], &fold.kept];
        self.reduce(nest, &reads, &fold.code, &results, work);
    }

    /// A fold over any memory.
    pub fn reduce(
        &mut self,
        [reduced, kept]: [&[usize]; 2],
        reads: &[Read],
        code: &[Instr],
        results: &[Outcome],
        work: Work,
    ) {
        if kept.contains(&0) {
            return;
        }
        let nest = [reduced, kept];
        let whole = FoldText::new(nest, reads, code, results);
        let chunks = whole.chunks();
        if chunks == 1 {
            let (draft, arguments) = whole.draft(1, &[]);
            return self.launch(draft, arguments, work);
        }
        let count: usize = kept.iter().product();
        let size = chunks * count * Element::F32.bytes();
        let partials: Vec<Argument> = results.iter().map(|_| self.scratch(size)).collect();
        let (draft, arguments) = FoldText::new(nest, reads, code, results).draft(chunks, &partials);
        self.launch(draft, arguments, work);
        let part = |&argument: &Argument| {
            let access = Access::plain(&[&[chunks][..], kept].concat());
            let element = Element::F32;
            Read::Memory(Port {
                argument,
                element,
                access,
            })
        };
        let parts: Vec<Read> = partials.iter().map(part).collect();
        let combined = results.iter().enumerate().map(|(value, result)| Outcome {
            value,
            ..result.clone()
        });
        let combined: Vec<Outcome> = combined.collect();
        let text = FoldText::new([&[chunks], kept], &parts, &[], &combined);
        let (draft, arguments) = text.draft(1, &[]);
        let moved = Work {
            bytes: (results.len() * size) as u64,
            ..Work::default()
        };
        self.launch(draft, arguments, moved);
    }
}

struct FoldText<'a> {
    nest: Nest,
    reads: &'a [Read],
    results: &'a [Outcome],
    body: Body<'a>,
    /// Whether memory runs along the reduced axes.
    along: bool,
    vector: usize,
    /// Threads along the reduced and along the kept axes.
    lanes: usize,
    abreast: usize,
    /// Steps of `vector` elements along the axes that memory runs along.
    reduced: usize,
    kept: usize,
    parameters: Parameters,
    parts: Vec<Part>,
}

impl<'a> FoldText<'a> {
    fn new(
        [reduced, kept]: [&[usize]; 2],
        reads: &'a [Read],
        code: &'a [Instr],
        results: &'a [Outcome],
    ) -> Self {
        let along = runs_along_reduced([reduced, kept], reads);
        // The axes that memory runs along come last.
        let swapped = |access: &Access| {
            let (outer, inner) = access.strides.split_at(reduced.len());
            let strides = if along {
                [inner, outer]
            } else {
                [outer, inner]
            };
            Access {
                offset: access.offset,
                strides: strides.concat(),
            }
        };
        let spread = |access: &Access| Access {
            offset: access.offset,
            strides: [&vec![0; reduced.len()], &access.strides[..]].concat(),
        };
        let accesses: Vec<Access> = (reads.iter().map(|read| swapped(read.access())))
            .chain(results.iter().map(|r| swapped(&spread(&r.port.access))))
            .collect();
        let accesses: Vec<&Access> = accesses.iter().collect();
        let groups = if along {
            [kept, reduced]
        } else {
            [reduced, kept]
        };
        let nest = Nest::merged(&groups, &accesses);
        let at = |access: &Access, port: &Port| Port {
            access: access.clone(),
            ..port.clone()
        };
        let ports = reads.iter().zip(&nest.accesses);
        let mut ports: Vec<Port> = ports
            .filter_map(|(read, access)| Some(at(access, read.port()?)))
            .collect();
        if !along {
            let own = nest.accesses[reads.len()..].iter();
            ports.extend(
                results
                    .iter()
                    .zip(own)
                    .map(|(r, access)| at(access, &r.port)),
            );
        }
        let inner = nest.dims[nest.groups[1].clone()].last().copied();
        let ports: Vec<&Port> = ports.iter().collect();
        let vector = inner.map_or(1, |inner| vector(inner, &ports));
        let last = nest.dims.len().saturating_sub(1)..nest.dims.len();
        let varies = |access: &Access| access.strides[last.clone()].iter().any(|&s| s > 0);
        let wide = nest.accesses[..reads.len()].iter().map(varies).collect();
        let values: Vec<ValueId> = results.iter().map(|result| result.value).collect();
        let [outer, inner] = [nest.count(0), nest.count(1) / vector];
        let (reduced, kept) = if along {
            (inner, outer)
        } else {
            (outer, inner)
        };
        let (lanes, abreast) = match along {
            true => {
                let lanes = reduced.next_power_of_two().min(BLOCK);
                (lanes, BLOCK / lanes)
            }
            false => {
                let abreast = kept.next_power_of_two().min(ABREAST);
                let lanes = reduced.next_power_of_two().min(BLOCK / abreast);
                (lanes, BLOCK / lanes)
            }
        };
        FoldText {
            body: Body::new(wide, code, &values),
            nest,
            reads,
            results,
            along,
            vector,
            lanes,
            abreast,
            reduced,
            kept,
            parameters: Parameters::default(),
            parts: vec![Part::Element, Part::Reduce],
        }
    }

    /// Into how many parts the reduced indices are cut.
    fn chunks(&self) -> usize {
        let blocks = self.kept.div_ceil(self.abreast);
        let wanted = BLOCKS.div_ceil(blocks);
        let worth = self.reduced / (self.lanes * STEPS);
        let chunks = wanted.min(worth).max(1);
        self.reduced
            .div_ceil(self.reduced.div_ceil(chunks).max(1))
            .max(1)
    }

    /// `partials`: where the results of chunks go, where there are several.
    fn draft(mut self, chunks: usize, partials: &[Argument]) -> (Draft, Vec<Argument>) {
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
        text += &indented(1, &self.streams());
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

    fn streams(&mut self) -> String {
        let mut text = String::new();
        for (at, read) in self.reads.iter().enumerate() {
            let Read::Draw {
                stream, per_sample, ..
            } = read
            else {
                continue;
            };
            self.parts.push(Part::Draw);
            let [first, key] = self.parameters.stream(*stream);
            text += &format!("const unsigned long long p{at} = *{first} * {per_sample};\n");
            text += &format!("Stream s{at}(*{key}, p{at});\n");
        }
        text
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

/// Whether more operands are contiguous along the innermost reduced axis than along the innermost kept one.
fn runs_along_reduced([reduced, kept]: [&[usize]; 2], reads: &[Read]) -> bool {
    let innermost = |dims: &[usize], first: usize| {
        let axis = dims.iter().rposition(|&dim| dim > 1)?;
        Some(first + axis)
    };
    let Some(kept) = innermost(kept, reduced.len()) else {
        return true;
    };
    let along = |axis: Option<usize>| {
        let unit = |read: &&Read| axis.is_some_and(|axis| read.access().strides[axis] == 1);
        reads.iter().filter(unit).count()
    };
    along(innermost(reduced, 0)) > along(Some(kept))
}

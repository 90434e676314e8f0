//! What a source is put together from: a comment, the parts it uses, parameters, a body.

use crate::{
    backend::cuda::program::Argument,
    plan::{Element, StreamId, Work},
    text::units::{bytes, flops, grouped},
};
use std::{fmt::Write, sync::Arc};

/// What several kernels share, in the order in which one builds on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Element,
    Vector,
    Draw,
    Reduce,
    Matrix,
}

impl Part {
    fn text(self) -> &'static str {
        match self {
            Part::Element => include_str!("../kernels/element.cu"),
            Part::Vector => include_str!("../kernels/vector.cu"),
            Part::Draw => include_str!("../kernels/draw.cu"),
            Part::Reduce => include_str!("../kernels/reduce.cu"),
            Part::Matrix => include_str!("../kernels/matrix.cu"),
        }
    }
}

/// A kernel that has no name yet.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The name begins with it.
    pub stem: &'static str,
    /// What it computes, in a line.
    pub note: String,
    pub parts: Vec<Part>,
    /// Behind the parts; the entry point is called [`ENTRY`].
    pub text: String,
    pub grid: [u32; 3],
    pub block: u32,
    pub shared: u32,
}

/// Stands for the name of the entry point.
pub const ENTRY: &str = "KERNEL";

/// A launch of a kernel: of which part of the model, and what it does.
#[derive(Debug, Clone)]
pub struct Use {
    pub origin: Arc<str>,
    pub work: Work,
}

impl Draft {
    /// The same for what is the same kernel.
    pub fn key(&self) -> String {
        let Draft {
            stem,
            note,
            parts,
            text,
            grid,
            block,
            shared,
        } = self;
        format!("{stem} {note} {parts:?} {grid:?} {block} {shared}\n{text}")
    }

    pub fn source(&self, name: &str, uses: &[Use]) -> String {
        let mut parts = self.parts.clone();
        parts.sort_unstable();
        parts.dedup();
        let parts: Vec<&str> = parts.into_iter().map(Part::text).collect();
        let [x, y, z] = self.grid;
        let blocks = grouped([x, y, z].map(|n| n as usize).iter().product());
        let shared = match self.shared {
            0 => String::new(),
            n => format!(", {n} bytes shared"),
        };
        let work = uses.first().map(|u| u.work).unwrap_or_default();
        let mut text = format!("// {name}: {}\n", self.note);
        text += &format!(
            "// {blocks} blocks of {} threads{shared}; {} moved",
            self.block,
            bytes(work.bytes)
        );
        if work.flops > 0 {
            text += &format!(", {}", flops(work.flops));
        }
        if work.pointwise > 0 {
            text += &format!(", {} pointwise", flops(work.pointwise));
        }
        text += "\n";
        for line in origins(uses) {
            text += &format!("// {line}\n");
        }
        text += &parts.concat();
        text += "\n";
        text += &self.text.replace(ENTRY, name);
        text
    }
}

/// Each origin once, a few of them.
fn origins(uses: &[Use]) -> Vec<String> {
    const SHOWN: usize = 4;
    let mut origins: Vec<&str> = uses.iter().map(|u| &*u.origin).collect();
    origins.dedup();
    let count = uses.len();
    let more = origins.len().saturating_sub(SHOWN);
    origins.truncate(SHOWN);
    let mut lines = Vec::new();
    if count > 1 {
        lines.push(format!("{count} launches:"));
    }
    lines.extend(origins.into_iter().map(String::from));
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// The pointers a kernel gets: one for each piece of memory, however often it is used.
#[derive(Default)]
pub struct Parameters {
    list: Vec<Parameter>,
}

struct Parameter {
    argument: Argument,
    kind: &'static str,
    written: bool,
}

impl Parameter {
    fn name(&self, at: usize) -> String {
        match self.argument {
            Argument::Draws => "first".into(),
            Argument::Key(_) => format!("key{at}"),
            _ => format!("b{at}"),
        }
    }
}

impl Parameters {
    /// The name of a pointer to elements that are read.
    pub fn read(&mut self, argument: Argument, element: Element) -> String {
        self.named(argument, c_type(element), false)
    }

    /// The name of a pointer to elements that are written.
    pub fn write(&mut self, argument: Argument, element: Element) -> String {
        self.named(argument, c_type(element), true)
    }

    /// The names of the pointers to the position of the first image and to the key of a stream.
    pub fn stream(&mut self, stream: StreamId) -> [String; 2] {
        [Argument::Draws, Argument::Key(stream)]
            .map(|argument| self.named(argument, "unsigned long long", false))
    }

    fn named(&mut self, argument: Argument, kind: &'static str, written: bool) -> String {
        let known = self.list.iter().position(|p| p.argument == argument);
        let at = known.unwrap_or(self.list.len());
        if known.is_none() {
            self.list.push(Parameter {
                argument,
                kind,
                written,
            });
        }
        self.list[at].written |= written;
        self.list[at].name(at)
    }

    pub fn arguments(&self) -> Vec<Argument> {
        self.list.iter().map(|p| p.argument).collect()
    }

    /// The entry point up to its body.
    pub fn head(&self, block: u32) -> String {
        let mut text = format!("extern \"C\" __global__ void __launch_bounds__({block}) {ENTRY}(");
        for (at, parameter) in self.list.iter().enumerate() {
            let before = if at > 0 { ", " } else { "" };
            let constant = if parameter.written { "" } else { "const " };
            let (name, kind) = (parameter.name(at), parameter.kind);
            let _ = write!(text, "{before}{constant}{kind}* __restrict__ {name}");
        }
        text + ")\n"
    }
}

pub fn c_type(element: Element) -> &'static str {
    match element {
        Element::F32 => "float",
        Element::Bf16 => "bf16",
    }
}

/// A number of f32 to its last bit.
pub fn literal(x: f32) -> String {
    if x.is_finite() {
        let text = format!("{x:?}f");
        if x.is_sign_negative() {
            format!("({text})")
        } else {
            text
        }
    } else {
        format!("__uint_as_float(0x{:08x})", x.to_bits())
    }
}

/// Lines, each indented by so many levels.
pub fn indented(levels: usize, text: &str) -> String {
    let indent = "    ".repeat(levels);
    let line = |line: &str| match line.is_empty() || line.starts_with('#') {
        true => format!("{line}\n"),
        false => format!("{indent}{line}\n"),
    };
    text.lines().map(line).collect()
}

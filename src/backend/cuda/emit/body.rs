//! The straight-line code of a kernel, as C.

use super::source::{Parameters, Part, literal};
use crate::{
    backend::cuda::program::Argument,
    ir::program::{Instr, RowOp, ValueId},
    plan::{Access, Element, StreamId},
};

/// Elements in memory, as a nest walks them.
#[derive(Debug, Clone)]
pub struct Port {
    pub argument: Argument,
    pub element: Element,
    pub access: Access,
}

/// What an operand is read from.
#[derive(Debug, Clone)]
pub enum Read {
    Memory(Port),
    Draw {
        stream: StreamId,
        per_sample: usize,
        access: Access,
    },
}

impl Read {
    pub fn access(&self) -> &Access {
        match self {
            Read::Memory(port) => &port.access,
            Read::Draw { access, .. } => access,
        }
    }

    pub fn port(&self) -> Option<&Port> {
        match self {
            Read::Memory(port) => Some(port),
            Read::Draw { .. } => None,
        }
    }
}

/// What draws begin from: of operand 3 the stream `s3`, and `p3`, where the numbers of this thread begin behind those of the images
/// before, as `start` says. `None` for what is not drawn after all.
pub fn streams(
    reads: &[Read],
    parameters: &mut Parameters,
    parts: &mut Vec<Part>,
    start: impl Fn(usize) -> Option<String>,
) -> String {
    let mut text = String::new();
    for (at, read) in reads.iter().enumerate() {
        let Read::Draw {
            stream, per_sample, ..
        } = read
        else {
            continue;
        };
        let Some(start) = start(at) else {
            continue;
        };
        parts.push(Part::Draw);
        let [first, key] = parameters.stream(*stream);
        let more = match start.as_str() {
            "0" => String::new(),
            more => format!(" + ({more})"),
        };
        text += &format!("const unsigned long long p{at} = *{first} * {per_sample}{more};\n");
        text += &format!("Stream s{at}(*{key}, p{at});\n");
    }
    text
}

/// The values of a kernel: operands, then what its instructions compute.
pub struct Body<'a> {
    operands: usize,
    code: &'a [Instr],
    /// Whether a thread has several of it.
    pub wide: Vec<bool>,
    /// Whether a result depends on it.
    pub live: Vec<bool>,
}

impl<'a> Body<'a> {
    /// `wide`: of the operands.
    pub fn new(mut wide: Vec<bool>, code: &'a [Instr], results: &[ValueId]) -> Body<'a> {
        let operands = wide.len();
        for instr in code {
            wide.push(!instr.op.reduces() && instr.args.iter().any(|&arg| wide[arg]));
        }
        let mut live = vec![false; wide.len()];
        for &result in results {
            live[result] = true;
        }
        for (at, instr) in code.iter().enumerate().rev() {
            if live[operands + at] {
                instr.args.iter().for_each(|&arg| live[arg] = true);
            }
        }
        Body {
            operands,
            code,
            wide,
            live,
        }
    }

    /// The instruction that computes a value.
    pub fn instr(&self, value: ValueId) -> Option<&'a Instr> {
        Some(&self.code[value.checked_sub(self.operands)?])
    }

    pub fn count(&self) -> usize {
        self.wide.len()
    }

    /// Whether it takes the threads of a row together to compute a value.
    pub fn reduces(&self, value: ValueId) -> bool {
        let instr = self.instr(value);
        instr.is_some_and(|instr| instr.op.reduces() && self.wide[instr.args[0]])
    }

    pub fn name(&self, value: ValueId) -> String {
        match self.instr(value) {
            Some(Instr {
                op: RowOp::Constant(x),
                ..
            }) => literal(*x),
            Some(_) => format!("t{}", value - self.operands),
            None => format!("x{value}"),
        }
    }

    pub fn is_constant(&self, value: ValueId) -> bool {
        let instr = self.instr(value);
        instr.is_some_and(|instr| matches!(instr.op, RowOp::Constant(_)))
    }
}

/// What an instruction computes of its arguments; a reduction, of one that does not vary along its row of so many elements.
pub fn expression(op: RowOp, args: &[String], row: usize) -> String {
    let a = || args[0].as_str();
    let b = || args[1].as_str();
    match op {
        RowOp::Constant(x) => literal(x),
        RowOp::Add => format!("{} + {}", a(), b()),
        RowOp::Mul => format!("{} * {}", a(), b()),
        RowOp::Mod => format!("fmodf({}, {})", a(), b()),
        RowOp::Less => format!("{} < {} ? 1.0f : 0.0f", a(), b()),
        RowOp::Recip => format!("1.0f / {}", a()),
        RowOp::Sqrt => format!("sqrtf({})", a()),
        RowOp::Exp2 => format!("exp2f({})", a()),
        RowOp::Log2 => format!("log2f({})", a()),
        RowOp::Sin => format!("sinf({})", a()),
        RowOp::Abs => format!("fabsf({})", a()),
        RowOp::Erf => format!("erff({})", a()),
        RowOp::Bf16 => format!("rounded({})", a()),
        RowOp::RowSum => format!("{} * {}", a(), literal(row as f32)),
        RowOp::RowMax => a().into(),
    }
}

/// So many neighbours along the innermost axis can be moved at once: a power of two up to eight, or four where all is f32.
pub fn vector(inner: usize, ports: &[&Port]) -> usize {
    let stride = |port: &&Port| port.access.strides.last().copied().unwrap_or(0);
    let moved = ports.iter().filter(|port| stride(port) == 1);
    let halves = moved.clone().any(|port| port.element == Element::Bf16);
    let fits = |&width: &usize| {
        let aligned = |port: &&&Port| {
            let outer = &port.access.strides[..port.access.strides.len() - 1];
            let multiple = |n: &usize| n.is_multiple_of(width);
            outer.iter().all(multiple) && multiple(&port.access.offset)
        };
        inner.is_multiple_of(width) && moved.clone().all(|port| aligned(&port))
    };
    if ports.iter().any(|port| stride(port) > 1) {
        return 1;
    }
    let widths: &[usize] = if halves { &[8, 4, 2] } else { &[4, 2] };
    widths.iter().copied().find(fits).unwrap_or(1)
}

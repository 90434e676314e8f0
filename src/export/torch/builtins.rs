//! How PyTorch says each built-in: one row each.

use super::{merge::Code, write::Writer};
use crate::{diagnostic::Span, language::pattern};
use std::collections::BTreeMap;

/// What stands for a built-in.
pub enum Row {
    /// An expression of tensors.
    Tensor(fn(&mut Call) -> String),
    /// Only ever of numbers, which are worked out while compiling.
    Number,
    /// Where a weight starts; `python::literal` writes it.
    Initialiser,
}

use Row::{Initialiser, Number, Tensor};

/// In the order of the built-ins.
pub const ROWS: &[(&str, Row)] = &[
    ("rearrange", Tensor(|call| call.moved())),
    ("broadcast", Tensor(|call| call.moved())),
    (
        "take",
        Tensor(|call| {
            format!(
                "{}[{}.long()]",
                call.operand("table"),
                call.operand("index")
            )
        }),
    ),
    ("concat", Tensor(concat)),
    ("slice", Tensor(slice)),
    ("roll", Tensor(roll)),
    ("einsum", Tensor(einsum)),
    (
        "sum",
        Tensor(|call| match call.has("pattern") {
            true => call.reduced("x", "torch.sum"),
            false => format!("{}.sum()", call.operand("x")),
        }),
    ),
    ("mean", Tensor(|call| call.reduced("x", "torch.mean"))),
    ("max", Tensor(|call| call.reduced("values", "torch.amax"))),
    ("softmax", Tensor(softmax)),
    (
        "gelu",
        Tensor(|call| format!("nn.functional.gelu({})", call.text("x"))),
    ),
    ("abs", Tensor(|call| format!("abs({})", call.text("x")))),
    (
        "sqrt",
        Tensor(|call| format!("torch.sqrt({})", call.text("x"))),
    ),
    (
        "exp",
        Tensor(|call| format!("torch.exp({})", call.text("x"))),
    ),
    (
        "log",
        Tensor(|call| format!("torch.log({})", call.text("x"))),
    ),
    (
        "arange",
        Tensor(|call| format!("torch.arange({}).float()", call.text("count"))),
    ),
    (
        "full",
        Tensor(|call| {
            format!(
                "torch.full({}, {}).float()",
                call.text("shape"),
                call.text("value")
            )
        }),
    ),
    (
        "input",
        Tensor(|call| format!("fed(self, {})", call.text("name"))),
    ),
    (
        "uniform",
        Tensor(|call| format!("torch.rand({})", call.text("shape"))),
    ),
    ("skip", Tensor(skip)),
    ("len", Number),
    ("min", Number),
    ("int", Number),
    ("ceil", Number),
    ("linspace", Number),
    ("zeros", Initialiser),
    ("ones", Initialiser),
    ("fill", Initialiser),
    ("normal", Initialiser),
    ("trunc_normal", Initialiser),
    ("kaiming_uniform", Initialiser),
    ("fan_in_uniform", Initialiser),
];

/// A call of a built-in with tensors in it.
pub struct Call<'c, 'w, 'b> {
    pub args: &'c [(&'static str, Code)],
    /// `p=4`, for a call that names sizes.
    pub sizes: Vec<String>,
    pub writer: &'c mut Writer<'w, 'b>,
}

pub fn write(name: &str, mut call: Call) -> String {
    match ROWS.iter().find(|(row, _)| *row == name) {
        Some((_, Row::Tensor(write))) => write(&mut call),
        _ => unreachable!("no tensor comes out of {name}"),
    }
}

impl Call<'_, '_, '_> {
    fn has(&self, slot: &str) -> bool {
        self.args.iter().any(|(name, _)| *name == slot)
    }

    fn code(&self, slot: &str) -> &Code {
        let found = self.args.iter().find(|(name, _)| *name == slot);
        &found.expect("elaboration has seen that it is there").1
    }

    fn text(&mut self, slot: &str) -> String {
        let code = self.code(slot).clone();
        self.writer.text(&code)
    }

    /// As what something is called or indexed on.
    fn operand(&mut self, slot: &str) -> String {
        let code = self.code(slot).clone();
        self.writer.atom(&code)
    }

    /// A pattern is written out in the graph file, so it is the same in every use.
    fn pattern(&self, slot: &str) -> String {
        let mut texts = self.args.iter().filter(|(name, _)| *name == slot);
        let found = texts.find_map(|(_, code)| code.as_text());
        found.expect("a pattern is a text").to_owned()
    }

    fn moved(&mut self) -> String {
        let x = self.text("x");
        let pattern = super::python::quoted(&self.pattern("pattern"));
        let parts = [&[x, pattern][..], &self.sizes].concat();
        format!("rearrange({})", parts.join(", "))
    }

    fn reduced(&mut self, slot: &str, function: &str) -> String {
        let x = self.text(slot);
        let pattern = match slot {
            "values" => self.pattern("values"),
            _ => self.pattern("pattern"),
        };
        format!(
            "reduce({x}, {}, {function})",
            super::python::quoted(&pattern)
        )
    }

    /// The marked axes, counted from the end, and how many axes are named.
    fn marked(&self) -> (Vec<i64>, usize) {
        let source = Span::of_text("pattern", &self.pattern("pattern"));
        let side = pattern::parse_side(&source).expect("elaboration has parsed the pattern");
        let count = side.len() as i64;
        let places = side.iter().zip(-count..).filter(|(group, _)| match group {
            pattern::Group::Axes(axes) => axes.iter().all(|axis| axis.marked),
            pattern::Group::Rest => false,
        });
        (places.map(|(_, place)| place).collect(), side.len())
    }
}

fn tuple(items: &[String]) -> String {
    match items {
        [one] => format!("({one},)"),
        items => format!("({})", items.join(", ")),
    }
}

fn axes_text(axes: &[i64]) -> String {
    tuple(&axes.iter().map(i64::to_string).collect::<Vec<_>>())
}

fn concat(call: &mut Call) -> String {
    let parts = call.args.iter().filter(|(slot, _)| *slot == "tensors");
    let parts: Vec<Code> = parts.map(|(_, code)| code.clone()).collect();
    let parts: Vec<String> = parts.iter().map(|part| call.writer.text(part)).collect();
    let (axes, _) = call.marked();
    format!("torch.cat({}, dim={})", tuple(&parts), axes[0])
}

/// `x[..., 1:, :]`
fn slice(call: &mut Call) -> String {
    let (axes, _) = call.marked();
    let mut bound = |slot| match call.has(slot) {
        true => call.text(slot),
        false => String::new(),
    };
    let part = format!("{}:{}", bound("start"), bound("end"));
    let behind = ", :".repeat((-axes[0] - 1) as usize);
    format!("{}[..., {part}{behind}]", call.operand("x"))
}

fn roll(call: &mut Call) -> String {
    let (axes, _) = call.marked();
    let by = vec![call.text("by"); axes.len()];
    format!(
        "torch.roll({}, {}, {})",
        call.text("x"),
        tuple(&by),
        axes_text(&axes)
    )
}

fn softmax(call: &mut Call) -> String {
    let (axes, _) = call.marked();
    match axes.as_slice() {
        [axis] => format!("torch.softmax({}, dim={axis})", call.text("x")),
        _ => format!("softmax({}, {})", call.text("x"), axes_text(&axes)),
    }
}

fn skip(call: &mut Call) -> String {
    let (axes, _) = call.marked();
    let rate = call.text("rate");
    if rate == "0.0" || rate == "0" {
        return call.operand("x");
    }
    format!(
        "skip({}, {}, {rate}, self.training)",
        call.text("x"),
        axes_text(&axes)
    )
}

/// Axes have letters there: the first of their names, or the next that is free.
fn einsum(call: &mut Call) -> String {
    let mut letters: BTreeMap<String, char> = BTreeMap::new();
    let pattern = call.pattern("pattern");
    let mut short = String::new();
    for word in pattern.replace(',', " , ").split_whitespace() {
        match word {
            "..." => short += "...",
            "," => short += ", ",
            "->" => short += " -> ",
            name => {
                let first = name.chars().next().filter(char::is_ascii_alphabetic);
                let free = |c: &char| !letters.values().any(|taken| taken == c);
                let known = letters.get(name).copied();
                let letter = known
                    .or(first.filter(free))
                    .or(('a'..='z').chain('A'..='Z').find(free));
                let letter = letter.expect("a tensor has at most six axes");
                letters.insert(name.to_owned(), letter);
                short.push(letter);
            }
        }
    }
    let (a, b) = (call.text("a"), call.text("b"));
    format!("torch.einsum(\"{short}\", {a}, {b})")
}

#[cfg(test)]
mod tests {
    use super::ROWS;
    use crate::elaborate::signatures;

    #[test]
    fn every_built_in_has_a_row() {
        let rows: Vec<&str> = ROWS.iter().map(|(name, _)| *name).collect();
        let known = signatures().map(|(signature, _)| signature.split('(').next());
        let mut known: Vec<&str> = known.flatten().collect();
        let mut sorted = rows.clone();
        sorted.sort_unstable();
        known.sort_unstable();
        assert_eq!(sorted, known);
    }
}

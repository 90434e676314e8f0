//! Names and literals as Python writes them.

use crate::{elaborate::trace::Literal, ir::ops::Init};

/// What a local variable cannot be called: keywords, and what the module itself calls by name.
#[rustfmt::skip]
const TAKEN: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else",
    "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise",
    "return", "try", "while", "with", "yield",
    "abs", "enumerate", "fed", "int", "len", "math", "max", "min", "nn", "range", "rearrange", "reduce", "self", "skip",
    "softmax", "sum", "super", "torch", "zip",
];

/// What every module has already: a weight or a step of such a name is reached through its table.
#[rustfmt::skip]
const OF_MODULES: &[&str] = &[
    "add_module", "apply", "bfloat16", "buffers", "children", "compile", "cpu", "cuda", "decays", "double", "eval", "extra_repr",
    "float", "forward", "given", "half", "ipu", "modules", "parameters", "share_memory", "state_dict", "to", "to_empty", "train",
    "training", "type", "xpu", "zero_grad",
];

/// A name as a local variable.
pub fn local(name: &str) -> String {
    match TAKEN.contains(&name) {
        true => format!("{name}_"),
        false => name.to_owned(),
    }
}

/// A weight or a module of a module; `table` is where PyTorch keeps its kind.
pub fn member(table: &str, name: &str) -> String {
    let plain = !name.starts_with(|c: char| c.is_ascii_digit())
        && local(name) == name
        && !OF_MODULES.contains(&name);
    match plain {
        true => format!("self.{name}"),
        false => format!("self.{table}[\"{name}\"]"),
    }
}

/// Whether an attribute can have the name.
pub fn is_free(name: &str) -> bool {
    local(name) == name && !OF_MODULES.contains(&name)
}

/// `swin.patch_merge` as `SwinPatchMerge`.
pub fn class_name(graph: &str) -> String {
    let words = graph.split(['.', '_']).filter(|word| !word.is_empty());
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    words.map(capital).collect()
}

/// A text in quotes.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is always JSON")
}

pub fn literal(value: &Literal) -> String {
    match value {
        Literal::Null => "None".into(),
        Literal::Bool(true) => "True".into(),
        Literal::Bool(false) => "False".into(),
        Literal::Int(value) => value.to_string(),
        Literal::Float(value) => format!("{value:?}"),
        Literal::Text(text) => quoted(text),
        Literal::List(items) => {
            let items: Vec<String> = items.iter().map(literal).collect();
            format!("[{}]", items.join(", "))
        }
        Literal::Init(init) => initialiser(init),
    }
}

fn initialiser(init: &Init) -> String {
    match *init {
        Init::Fill(1.0) => "ones".into(),
        Init::Fill(0.0) | Init::Normal { std: 0.0 } | Init::TruncNormal { std: 0.0, .. } => {
            "zeros".into()
        }
        Init::Fill(value) => format!("fill({value:?})"),
        Init::Normal { std } => format!("normal({std:?})"),
        Init::TruncNormal { std, bound } => format!("trunc_normal({std:?}, bound={bound:?})"),
        Init::Uniform { bound } => format!("uniform({bound:?})"),
    }
}

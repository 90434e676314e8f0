//! Names that the language itself gives a meaning to.

/// What can be called without being a graph. What can be written in the language is a graph file, not a built-in.
pub const BUILTINS: &[&str] = &[
    // tensors
    "rearrange",
    "broadcast",
    "einsum",
    "sum",
    "mean",
    "max",
    "take",
    "concat",
    "slice",
    "roll",
    "softmax",
    "skip",
    "gelu",
    "abs",
    "sqrt",
    "exp",
    "log",
    "arange",
    "full",
    "uniform",
    "input",
    // numbers
    "len",
    "min",
    "int",
    "ceil",
    "linspace",
    // initialisers
    "zeros",
    "ones",
    "fill",
    "normal",
    "trunc_normal",
    "kaiming_uniform",
    "fan_in_uniform",
];

/// How weights start.
pub const INITIALISERS: &[&str] = &[
    "zeros",
    "ones",
    "fill",
    "normal",
    "trunc_normal",
    "kaiming_uniform",
    "fan_in_uniform",
];

/// Initialisers without parameters are written without parentheses, as values.
pub const BARE_INITIALISERS: &[&str] = &["zeros", "ones"];

/// What stands for the last value and for the index inside `each`.
pub const FOLD_NAMES: &[&str] = &["prev", "i"];

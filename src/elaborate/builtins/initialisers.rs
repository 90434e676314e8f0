//! How weights start.

use super::{Builtin, Call};
use crate::{
    diagnostic::Result,
    elaborate::{Elaborator, value::Data},
    ir::ops::Init,
};
use std::fmt::{self, Display, Formatter};

pub const BUILTINS: &[Builtin] = &[
    Builtin {
        signature: "zeros()",
        doc: "All 0; also written without parentheses.",
        run: |_, _| Ok(Data::Initialiser(Initialiser::Fill(0.0))),
    },
    Builtin {
        signature: "ones()",
        doc: "All 1; also written without parentheses.",
        run: |_, _| Ok(Data::Initialiser(Initialiser::Fill(1.0))),
    },
    Builtin {
        signature: "fill(value)",
        doc: "All the same number.",
        run: |_, call| Ok(Data::Initialiser(Initialiser::Fill(call.number("value")?))),
    },
    Builtin {
        signature: "normal(std)",
        doc: "Normal of mean 0.",
        run: |_, call| Ok(Data::Initialiser(Initialiser::Normal(spread(call, "std")?))),
    },
    Builtin {
        signature: "trunc_normal(std, bound?)",
        doc: "Normal of mean 0, redrawn beyond `bound` standard deviations (2 where absent).",
        run: trunc_normal,
    },
    Builtin {
        signature: "kaiming_uniform()",
        doc: "Uniform within 1/√fan_in on both sides of 0 (He et al. 2015 with the slope √5 that PyTorch's layers use).",
        run: |_, _| Ok(Data::Initialiser(Initialiser::KaimingUniform)),
    },
    Builtin {
        signature: "fan_in_uniform()",
        doc: "For an offset: uniform within 1/√fan_in of the file's `weight`.",
        run: |_, _| Ok(Data::Initialiser(Initialiser::FanInUniform)),
    },
];

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initialiser {
    Fill(f64),
    /// By standard deviation.
    Normal(f64),
    TruncNormal {
        std: f64,
        /// In standard deviations.
        bound: f64,
    },
    KaimingUniform,
    FanInUniform,
}

/// Why a shape is needed to say how a weight starts.
pub enum Unresolved {
    FanIn,
}

/// The initialiser that stands for itself.
pub fn bare_initialiser(name: &str) -> Initialiser {
    Initialiser::Fill(if name == "ones" { 1.0 } else { 0.0 })
}

impl Initialiser {
    pub fn resolve(self) -> std::result::Result<Init, Unresolved> {
        match self {
            Initialiser::Fill(value) => Ok(Init::Fill(value)),
            Initialiser::Normal(std) => Ok(Init::Normal { std }),
            Initialiser::TruncNormal { std, bound } => Ok(Init::TruncNormal {
                std,
                bound: bound * std,
            }),
            Initialiser::KaimingUniform | Initialiser::FanInUniform => Err(Unresolved::FanIn),
        }
    }

    pub fn by_fan_in(fan_in: usize) -> Init {
        Init::Uniform {
            bound: 1.0 / (fan_in as f64).sqrt(),
        }
    }
}

/// As it is written.
impl Display for Initialiser {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Initialiser::Fill(value) if *value == 0.0 => f.write_str("zeros"),
            Initialiser::Fill(value) if *value == 1.0 => f.write_str("ones"),
            Initialiser::Fill(value) => write!(f, "fill({value:?})"),
            Initialiser::Normal(std) => write!(f, "normal({std:?})"),
            Initialiser::TruncNormal { std, bound } => {
                write!(f, "trunc_normal({std:?}, bound={bound:?})")
            }
            Initialiser::KaimingUniform => f.write_str("kaiming_uniform()"),
            Initialiser::FanInUniform => f.write_str("fan_in_uniform()"),
        }
    }
}

fn trunc_normal(_: &mut Elaborator, call: &Call) -> Result<Data> {
    let std = spread(call, "std")?;
    let bound = match call.option("bound") {
        None => 2.0,
        Some(arg) => match call.number("bound")? {
            bound if bound > 0.0 => bound,
            _ => return Err(call.wrong("bound", "above 0", arg)),
        },
    };
    Ok(Data::Initialiser(Initialiser::TruncNormal { std, bound }))
}

/// A standard deviation.
fn spread(call: &Call, name: &str) -> Result<f64> {
    match call.number(name)? {
        std if std >= 0.0 => Ok(std),
        _ => Err(call.wrong(name, "at least 0", call.arg(name))),
    }
}

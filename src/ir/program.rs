//! The body of a fused kernel: straight-line code over one loop nest. Names neither luminal nor memory.
//!
//! Values are numbered: the operands first, then one per instruction. A value is as wide as the loop nest, or, behind a
//! reduction over the row, one number per row. Mixed arguments broadcast the narrow one along the row.

use std::ops::Range;

/// Number of a value: operand `v` for `v < operands`, else the result of instruction `v - operands`.
pub type ValueId = usize;

#[derive(Debug, Clone, PartialEq)]
pub struct Instr {
    pub op: RowOp,
    /// As many as [`RowOp::arity`].
    pub args: Vec<ValueId>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RowOp {
    Constant(f32),
    Add,
    Mul,
    /// Remainder with the sign of the dividend, as Rust's `%`.
    Mod,
    /// 1 where the first argument is less than the second, else 0.
    Less,
    Recip,
    Sqrt,
    Exp2,
    Log2,
    Sin,
    Abs,
    /// Gauss error function.
    Erf,
    /// The nearest number that bf16 has, ties to even.
    Bf16,
    /// Sum over the row: one number per row.
    RowSum,
    /// Maximum over the row: one number per row.
    RowMax,
}

impl RowOp {
    pub fn arity(self) -> usize {
        match self {
            RowOp::Constant(_) => 0,
            RowOp::Add | RowOp::Mul | RowOp::Mod | RowOp::Less => 2,
            _ => 1,
        }
    }

    pub fn reduces(self) -> bool {
        matches!(self, RowOp::RowSum | RowOp::RowMax)
    }
}

/// The code as equations: operands are `x0`, `x1`, ..., results `y0`, `y1`, ...; what is used once stands in place, and a sum
/// of many operands by pairs is `sum(x0 .. x63)`.
pub fn formula(operands: usize, code: &[Instr], results: &[ValueId]) -> String {
    let mut uses = vec![0; operands + code.len()];
    for &value in code.iter().flat_map(|i| &i.args).chain(results) {
        uses[value] += 1;
    }
    let mut text: Vec<String> = (0..operands).map(|i| format!("x{i}")).collect();
    let mut sums: Vec<Option<Range<usize>>> = (0..operands).map(|i| Some(i..i + 1)).collect();
    let mut equations = Vec::new();
    let mut named = 0;
    for (i, instr) in code.iter().enumerate() {
        let value = operands + i;
        let arg = |n: usize| text[instr.args[n]].as_str();
        let sum = pairwise(instr, &sums).filter(|_| uses[value] == 1);
        let expression = match instr.op {
            RowOp::Add if sum.as_ref().is_some_and(|s| s.len() >= 8) => {
                let sum = sum.as_ref().expect("the guard has seen that it is one");
                format!("sum(x{} .. x{})", sum.start, sum.end - 1)
            }
            RowOp::Constant(x) => format!("{x}"),
            RowOp::Add => match arg(1).strip_suffix("·-1") {
                Some(less) => format!("({} - {less})", arg(0)),
                None => format!("({} + {})", arg(0), arg(1)),
            },
            RowOp::Mul => format!("{}·{}", arg(0), arg(1)),
            RowOp::Mod => format!("({} mod {})", arg(0), arg(1)),
            RowOp::Less => format!("({} < {})", arg(0), arg(1)),
            op => format!(
                "{}({})",
                format!("{op:?}").to_lowercase(),
                unwrapped(arg(0))
            ),
        };
        sums.push(sum);
        if uses[value] == 1 || matches!(instr.op, RowOp::Constant(_)) {
            text.push(expression);
            continue;
        }
        // A result that others use goes by its own name.
        let name = match results.iter().position(|&result| result == value) {
            Some(result) => format!("y{result}"),
            None => {
                named += 1;
                format!("t{}", named - 1)
            }
        };
        equations.push(format!("{name} = {}", unwrapped(&expression)));
        text.push(name);
    }
    for (i, &value) in results.iter().enumerate() {
        let name = format!("y{i}");
        if text[value] != name {
            equations.push(format!("{name} = {}", unwrapped(&text[value])));
        }
    }
    equations.join("; ")
}

/// As [`formula`], nothing where the code only copies.
pub fn formula_beyond_copy(operands: usize, code: &[Instr], results: &[ValueId]) -> String {
    if operands == 1 && results == [0] {
        return String::new();
    }
    formula(operands, code, results)
}

/// The operands that an addition sums, where both sides are sums by pairs of operands in order.
fn pairwise(instr: &Instr, sums: &[Option<Range<usize>>]) -> Option<Range<usize>> {
    let (RowOp::Add, [a, b]) = (instr.op, &instr.args[..]) else {
        return None;
    };
    let (a, b) = (sums[*a].clone()?, sums[*b].clone()?);
    let paired = a.len().is_power_of_two() && b.len() <= a.len();
    (a.end == b.start && paired).then_some(a.start..b.end)
}

/// Without one pair of brackets around the whole.
fn unwrapped(text: &str) -> &str {
    let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')'));
    let balanced = |t: &str| {
        let mut depth = 0i32;
        t.chars().all(|c| {
            depth += (c == '(') as i32 - (c == ')') as i32;
            depth >= 0
        })
    };
    inner.filter(|t| balanced(t)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_name_what_is_shared() {
        let instr = |op, args: &[usize]| Instr {
            op,
            args: args.to_vec(),
        };
        let code = [
            instr(RowOp::Add, &[0, 1]),
            instr(RowOp::Constant(0.5), &[]),
            instr(RowOp::Mul, &[2, 3]),
            instr(RowOp::Erf, &[2]),
            instr(RowOp::Add, &[4, 5]),
        ];
        assert_eq!(
            formula(2, &code, &[6, 2]),
            "y1 = x0 + x1; y0 = y1·0.5 + erf(y1)"
        );
    }
}

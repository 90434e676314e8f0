//! From a kernel's instructions to the operations that tiles run: subtraction and multiply-add found again, dead values dropped.

use crate::ir::program::{Instr, RowOp, ValueId};

/// What a tile can compute in one sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Add,
    /// a - b
    Sub,
    Mul,
    /// a·b + c
    MulAdd,
    /// a·b - c
    MulSub,
    /// c - a·b
    NegMulAdd,
    Neg,
    Mod,
    Less,
    Recip,
    Sqrt,
    Exp2,
    Log2,
    Sin,
    Abs,
    Erf,
    Bf16,
    RowSum,
    RowMax,
}

/// Over what a value varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Span {
    /// One number for the whole nest.
    One,
    /// One number for each row.
    Row,
    /// One number for each element.
    Full,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Def {
    Operand(usize),
    Constant(f32),
    Apply(Op, Vec<usize>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    pub def: Def,
    pub span: Span,
}

/// Values in the order they are computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Code {
    pub values: Vec<Value>,
    /// The value of each requested result.
    pub results: Vec<usize>,
}

impl Code {
    /// `row`: elements in a row of the kernel.
    pub fn new(operands: &[Span], row: usize, code: &[Instr], results: &[ValueId]) -> Code {
        let mut draft = Code::translate(operands, row, code, results);
        let mut uses = draft.uses();
        for v in 0..draft.values.len() {
            draft.fuse(v, &mut uses);
        }
        draft.without_dead_values()
    }

    fn translate(operands: &[Span], row: usize, code: &[Instr], results: &[ValueId]) -> Code {
        let mut draft = Code {
            values: vec![],
            results: vec![],
        };
        let mut number: Vec<usize> = vec![];
        for (i, &span) in operands.iter().enumerate() {
            number.push(draft.push(Def::Operand(i), span));
        }
        for instr in code {
            let args: Vec<usize> = instr.args.iter().map(|&v| number[v]).collect();
            number.push(draft.instruction(instr.op, args, row));
        }
        draft.results = results.iter().map(|&v| number[v]).collect();
        draft
    }

    fn instruction(&mut self, op: RowOp, args: Vec<usize>, row: usize) -> usize {
        let span =
            |code: &Code| (args.iter().map(|&v| code.values[v].span).max()).unwrap_or(Span::One);
        let is = |code: &Code, v: usize, c: f32| code.values[v].def == Def::Constant(c);
        let op = match op {
            RowOp::Constant(c) => return self.push(Def::Constant(c), Span::One),
            RowOp::RowSum if span(self) == Span::Full => {
                return self.push(Def::Apply(Op::RowSum, args), Span::Row);
            }
            RowOp::RowMax if span(self) == Span::Full => {
                return self.push(Def::Apply(Op::RowMax, args), Span::Row);
            }
            // Of a value that does not vary along the row.
            RowOp::RowSum => {
                let length = self.push(Def::Constant(row as f32), Span::One);
                return self.instruction(RowOp::Mul, vec![args[0], length], row);
            }
            RowOp::RowMax => return args[0],
            RowOp::Mul if is(self, args[1], -1.0) => {
                let span = self.values[args[0]].span;
                return self.push(Def::Apply(Op::Neg, vec![args[0]]), span);
            }
            RowOp::Mul if is(self, args[0], -1.0) => {
                return self.instruction(RowOp::Mul, vec![args[1], args[0]], row);
            }
            RowOp::Add => Op::Add,
            RowOp::Mul => Op::Mul,
            RowOp::Mod => Op::Mod,
            RowOp::Less => Op::Less,
            RowOp::Recip => Op::Recip,
            RowOp::Sqrt => Op::Sqrt,
            RowOp::Exp2 => Op::Exp2,
            RowOp::Log2 => Op::Log2,
            RowOp::Sin => Op::Sin,
            RowOp::Abs => Op::Abs,
            RowOp::Erf => Op::Erf,
            RowOp::Bf16 => Op::Bf16,
        };
        let span = span(self);
        self.push(Def::Apply(op, args), span)
    }

    fn push(&mut self, def: Def, span: Span) -> usize {
        self.values.push(Value { def, span });
        self.values.len() - 1
    }

    fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.values.len()];
        for &v in self.args().chain(&self.results) {
            uses[v] += 1;
        }
        uses
    }

    fn args(&self) -> impl Iterator<Item = &usize> {
        (self.values.iter()).flat_map(|value| match &value.def {
            Def::Apply(_, args) => args.as_slice(),
            _ => &[],
        })
    }

    /// The arguments of `v` if it applies `op`.
    fn applies(&self, v: usize, op: Op) -> Option<&[usize]> {
        match &self.values[v].def {
            Def::Apply(o, args) if *o == op => Some(args),
            _ => None,
        }
    }

    /// Rewrites a sum over a negation to a difference, and a sum or difference over a product used nowhere else to one operation.
    fn fuse(&mut self, v: usize, uses: &mut [usize]) {
        if let Some(&[a, b]) = self.applies(v, Op::Add) {
            for (a, b) in [(a, b), (b, a)] {
                if let Some(&[negated]) = self.applies(b, Op::Neg) {
                    uses[negated] += 1;
                    self.values[v].def = Def::Apply(Op::Sub, vec![a, negated]);
                    self.release(b, uses);
                    break;
                }
            }
        }
        let (op, a, b) = match &self.values[v].def {
            Def::Apply(op @ (Op::Add | Op::Sub), args) => (*op, args[0], args[1]),
            _ => return,
        };
        let lone =
            |code: &Code, m: usize| uses[m] == 1 && code.values[m].span == code.values[v].span;
        let fused = match (self.applies(a, Op::Mul), self.applies(b, Op::Mul), op) {
            (_, Some(m), Op::Add) if lone(self, b) => Some((Op::MulAdd, [m[0], m[1], a])),
            (Some(m), _, Op::Add) if lone(self, a) => Some((Op::MulAdd, [m[0], m[1], b])),
            (_, Some(m), _) if op == Op::Sub && lone(self, b) => {
                Some((Op::NegMulAdd, [m[0], m[1], a]))
            }
            (Some(m), _, _) if op == Op::Sub && lone(self, a) => {
                Some((Op::MulSub, [m[0], m[1], b]))
            }
            _ => None,
        };
        if let Some((op, args)) = fused {
            self.values[v].def = Def::Apply(op, args.to_vec());
        }
    }

    /// Takes back one use of `v`, and what it uses if it was the last.
    fn release(&self, v: usize, uses: &mut [usize]) {
        uses[v] -= 1;
        if let (0, Def::Apply(_, args)) = (uses[v], &self.values[v].def) {
            for &arg in args {
                self.release(arg, uses);
            }
        }
    }

    fn without_dead_values(self) -> Code {
        let mut live = vec![false; self.values.len()];
        for &v in &self.results {
            live[v] = true;
        }
        for v in (0..self.values.len()).rev() {
            if let (true, Def::Apply(_, args)) = (live[v], &self.values[v].def) {
                args.iter().for_each(|&a| live[a] = true);
            }
        }
        let mut number = vec![0; self.values.len()];
        let mut values = vec![];
        for (v, mut value) in self.values.into_iter().enumerate() {
            if !live[v] {
                continue;
            }
            if let Def::Apply(_, args) = &mut value.def {
                args.iter_mut().for_each(|a| *a = number[*a]);
            }
            number[v] = values.len();
            values.push(value);
        }
        Code {
            values,
            results: self.results.iter().map(|&v| number[v]).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instr(op: RowOp, args: &[ValueId]) -> Instr {
        Instr {
            op,
            args: args.to_vec(),
        }
    }

    fn ops(code: &Code) -> Vec<Op> {
        let op = |v: &Value| match &v.def {
            Def::Apply(op, _) => Some(*op),
            _ => None,
        };
        code.values.iter().filter_map(op).collect()
    }

    #[test]
    fn negated_terms_become_differences() {
        let code = [
            instr(RowOp::Constant(-1.0), &[]),
            instr(RowOp::Mul, &[2, 1]),
            instr(RowOp::Add, &[3, 0]),
        ];
        let code = Code::new(&[Span::Full; 2], 8, &code, &[4]);
        assert_eq!(ops(&code), [Op::Sub]);
        assert_eq!(code.values[2].def, Def::Apply(Op::Sub, vec![0, 1]));
    }

    #[test]
    fn products_join_the_sums_they_feed() {
        let code = [
            instr(RowOp::Mul, &[0, 1]),
            instr(RowOp::Add, &[0, 2]),
            instr(RowOp::Constant(-1.0), &[]),
            instr(RowOp::Mul, &[0, 3]),
            instr(RowOp::Mul, &[5, 4]),
            instr(RowOp::Add, &[1, 6]),
        ];
        let code = Code::new(&[Span::Full; 2], 8, &code, &[7]);
        assert_eq!(ops(&code), [Op::MulAdd, Op::NegMulAdd]);
    }

    #[test]
    fn shared_and_narrow_products_stay() {
        let code = [instr(RowOp::Mul, &[0, 0]), instr(RowOp::Add, &[0, 1])];
        let shared = Code::new(&[Span::Full], 8, &code, &[1, 2]);
        assert_eq!(ops(&shared), [Op::Mul, Op::Add]);
        let code = [instr(RowOp::Mul, &[1, 1]), instr(RowOp::Add, &[0, 2])];
        let narrow = Code::new(&[Span::Full, Span::Row], 8, &code, &[3]);
        assert_eq!(ops(&narrow), [Op::Mul, Op::Add]);
        assert_eq!(narrow.values[2].span, Span::Row);
    }

    #[test]
    fn reductions_of_narrow_values_need_no_sweep() {
        let code = [instr(RowOp::RowSum, &[0]), instr(RowOp::RowMax, &[0])];
        let code = Code::new(&[Span::Row], 8, &code, &[1, 2]);
        assert_eq!(ops(&code), [Op::Mul]);
        assert_eq!(code.results[1], 0);
    }

    #[test]
    fn unused_values_are_dropped() {
        let code = [instr(RowOp::Exp2, &[0]), instr(RowOp::Sqrt, &[1])];
        let code = Code::new(&[Span::Full; 2], 8, &code, &[3]);
        assert_eq!(ops(&code), [Op::Sqrt]);
        assert_eq!(code.values[0].def, Def::Operand(1));
    }
}

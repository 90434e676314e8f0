//! Sums of products with fewer multiplications: constants multiplied beforehand, what two products share drawn out of their sum.
//! Results change in their last bits.

use super::Span;
use crate::ir::program::{Instr, RowOp, ValueId};

/// Straight-line code as it is rewritten.
pub struct Rewritten {
    pub code: Vec<Instr>,
    pub results: Vec<ValueId>,
}

/// Rewrites code over operands of these spans.
pub fn simplified(operands: &[Span], code: &[Instr], results: &[ValueId]) -> Rewritten {
    let mut draft = Draft {
        spans: operands.to_vec(),
        operands: operands.len(),
        code: vec![],
        constants: vec![],
    };
    let delays = delays(operands.len(), code, results);
    let mut held: Vec<Held> = (0..operands.len()).map(Held::Value).collect();
    for (instr, delays) in code.iter().zip(delays) {
        let args: Vec<Held> = instr.args.iter().map(|&v| held[v].clone()).collect();
        let made = draft.instruction(instr.op, args);
        held.push(match delays {
            true => made,
            false => Held::Value(draft.value(made)),
        });
    }
    let results = results.iter().map(|&v| draft.value(held[v].clone()));
    let results = results.collect();
    Rewritten {
        code: draft.code,
        results,
    }
}

/// Whether each instruction's value is only a part of one sum or product, and need not be made before that is.
fn delays(operands: usize, code: &[Instr], results: &[ValueId]) -> Vec<bool> {
    let mut uses = vec![0; operands + code.len()];
    let mut parts = vec![0; operands + code.len()];
    for instr in code {
        for &arg in &instr.args {
            uses[arg] += 1;
            parts[arg] += usize::from(matches!(instr.op, RowOp::Add | RowOp::Mul));
        }
    }
    results.iter().for_each(|&v| uses[v] += 1);
    (operands..uses.len())
        .map(|v| uses[v] == 1 && parts[v] == 1)
        .collect()
}

#[derive(Debug, Clone)]
enum Held {
    Value(ValueId),
    Product(Product),
}

/// Not made yet.
#[derive(Debug, Clone)]
struct Product {
    factors: Vec<ValueId>,
    constant: Option<f32>,
}

impl Product {
    /// Factors, the constant among them.
    fn len(&self) -> usize {
        self.factors.len() + usize::from(self.constant.is_some())
    }

    fn without(mut self, factor: ValueId) -> Product {
        if let Some(at) = self.factors.iter().position(|&f| f == factor) {
            self.factors.remove(at);
        }
        self
    }
}

struct Draft {
    /// Of every value.
    spans: Vec<Span>,
    operands: usize,
    code: Vec<Instr>,
    /// The values that are constants.
    constants: Vec<(ValueId, f32)>,
}

impl Draft {
    fn instruction(&mut self, op: RowOp, args: Vec<Held>) -> Held {
        match (op, <[Held; 2]>::try_from(args)) {
            (RowOp::Mul, Ok([a, b])) => Held::Product(self.multiplied(a, b)),
            (RowOp::Add, Ok([a, b])) => self.added(a, b),
            (op, Ok(args)) => self.made(op, args.into()),
            (op, Err(args)) => self.made(op, args),
        }
    }

    fn made(&mut self, op: RowOp, args: Vec<Held>) -> Held {
        let args = args.into_iter().map(|arg| self.value(arg)).collect();
        Held::Value(self.push(op, args))
    }

    fn multiplied(&mut self, a: Held, b: Held) -> Product {
        let [mut a, b] = [a, b].map(|held| self.product(held));
        a.factors.extend(b.factors);
        a.constant = match (a.constant, b.constant) {
            (Some(a), Some(b)) => Some(a * b),
            (a, b) => a.or(b),
        };
        a
    }

    fn product(&self, held: Held) -> Product {
        let value = match held {
            Held::Product(product) => return product,
            Held::Value(value) => value,
        };
        let constant = self.constants.iter().find(|(v, _)| *v == value);
        match constant {
            Some(&(_, constant)) => Product {
                factors: vec![],
                constant: Some(constant),
            },
            None => Product {
                factors: vec![value],
                constant: None,
            },
        }
    }

    /// a·b + a·c as a·(b + c), where that saves a multiplication: one is part of every multiply-add.
    fn added(&mut self, a: Held, b: Held) -> Held {
        if let (Held::Product(p), Held::Product(q)) = (&a, &b) {
            let shared = p.factors.iter().find(|f| q.factors.contains(f));
            if let (Some(&shared), true) =
                (shared, p.len().min(q.len()) > 1 && p.len() + q.len() > 4)
            {
                let rests = [p, q].map(|product| Held::Product(product.clone().without(shared)));
                let sum = self.made(RowOp::Add, rests.into());
                return Held::Product(self.multiplied(sum, Held::Value(shared)));
            }
        }
        self.made(RowOp::Add, vec![a, b])
    }

    /// Makes what is not made yet.
    fn value(&mut self, held: Held) -> ValueId {
        let product = match held {
            Held::Value(value) => return value,
            Held::Product(product) => product,
        };
        let mut factors = product.factors;
        // What does not vary along rows is multiplied once for each of them.
        factors.sort_by_key(|&f| self.spans[f]);
        let narrow = factors.iter().any(|&f| self.spans[f] < Span::Full);
        if let Some(constant) = product.constant {
            let constant = self.push(RowOp::Constant(constant), vec![]);
            let at = if narrow { 0 } else { factors.len() };
            factors.insert(at, constant);
        }
        let mut factors = factors.into_iter();
        // A product has a factor: it began with two.
        let first = factors.next().unwrap_or_default();
        factors.fold(first, |product, factor| {
            self.push(RowOp::Mul, vec![product, factor])
        })
    }

    fn push(&mut self, op: RowOp, args: Vec<ValueId>) -> ValueId {
        let widest = args.iter().map(|&v| self.spans[v]).max();
        let span = match widest.unwrap_or(Span::One) {
            Span::Full if op.reduces() => Span::Row,
            widest => widest,
        };
        self.spans.push(span);
        self.code.push(Instr { op, args });
        let value = self.operands + self.code.len() - 1;
        if let RowOp::Constant(constant) = op {
            self.constants.push((value, constant));
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::program::formula;

    const FULL: [Span; 3] = [Span::Full; 3];

    fn rewritten(operands: &[Span], code: &[(RowOp, &[ValueId])], result: ValueId) -> String {
        let code = code.iter().map(|(op, args)| Instr {
            op: *op,
            args: args.to_vec(),
        });
        let code: Vec<Instr> = code.collect();
        let rewritten = simplified(operands, &code, &[result]);
        formula(operands.len(), &rewritten.code, &rewritten.results)
    }

    #[test]
    fn constants_are_multiplied_beforehand() {
        let code: [(RowOp, &[ValueId]); 5] = [
            (RowOp::Constant(2.0), &[]),
            (RowOp::Constant(0.25), &[]),
            (RowOp::Mul, &[0, 3]),
            (RowOp::Mul, &[5, 1]),
            (RowOp::Mul, &[6, 4]),
        ];
        assert_eq!(rewritten(&FULL, &code, 7), "y0 = x0·x1·0.5");
    }

    #[test]
    fn what_two_products_share_is_drawn_out_where_that_saves_one() {
        let code: [(RowOp, &[ValueId]); 5] = [
            (RowOp::Constant(0.5), &[]),
            (RowOp::Mul, &[0, 1]),
            (RowOp::Mul, &[4, 3]),
            (RowOp::Mul, &[2, 0]),
            (RowOp::Add, &[5, 6]),
        ];
        assert_eq!(rewritten(&FULL, &code, 7), "y0 = (x1·0.5 + x2)·x0");
        let two: [(RowOp, &[ValueId]); 3] = [
            (RowOp::Mul, &[0, 1]),
            (RowOp::Mul, &[2, 0]),
            (RowOp::Add, &[3, 4]),
        ];
        assert_eq!(rewritten(&FULL, &two, 5), "y0 = x0·x1 + x2·x0");
    }

    #[test]
    fn what_is_used_elsewhere_stays() {
        let code: [(RowOp, &[ValueId]); 4] = [
            (RowOp::Constant(2.0), &[]),
            (RowOp::Mul, &[0, 3]),
            (RowOp::Mul, &[4, 3]),
            (RowOp::Add, &[4, 5]),
        ];
        assert_eq!(rewritten(&FULL, &code, 6), "t0 = x0·2; y0 = t0 + t0·2");
    }

    #[test]
    fn numbers_of_a_row_are_multiplied_first() {
        let spans = [Span::Full, Span::Row, Span::Row];
        let code: [(RowOp, &[ValueId]); 4] = [
            (RowOp::Mul, &[0, 1]),
            (RowOp::Constant(3.0), &[]),
            (RowOp::Mul, &[3, 4]),
            (RowOp::Mul, &[5, 2]),
        ];
        assert_eq!(rewritten(&spans, &code, 6), "y0 = 3·x1·x2·x0");
    }
}

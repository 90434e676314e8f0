//! Rounding to bf16, in which mixed precision stores activations and multiplies matrices.

use super::Op;
use crate::ir::{Rewriter, Value};

/// The nearest number that bf16 has: eight significant bits, the range of f32. Ties go to even.
///
/// Its result is still an f32 to whoever computes with it, but a buffer that holds nothing else is stored in half the bytes.
/// The gradient passes as if nothing were rounded.
#[derive(Debug, Clone, PartialEq)]
pub struct Bf16;

impl Op for Bf16 {
    fn label(&self) -> String {
        "bf16".into()
    }

    fn outputs(&self, inputs: &[Vec<usize>]) -> Vec<Vec<usize>> {
        vec![inputs[0].clone()]
    }

    /// Veltkamp's splitting: with c = (2¹⁶ + 1)·x, `c - (c - x)` is x to eight bits. It may take the other of two nearest, and
    /// holds for magnitudes from 2⁻¹⁰² to 2¹¹¹: below, bf16 has fewer bits; above, c overflows.
    fn decompose(&self, r: &mut Rewriter, inputs: &[Value]) -> Option<Vec<Value>> {
        let x = &inputs[0];
        let spread = r.scale(x, 65_537.0);
        let rest = r.sub(&spread, x);
        Some(vec![r.sub(&spread, &rest)])
    }

    fn is_unary(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ir::{evaluate::run, new_graph, ops::InputKind},
        random::Key,
    };
    use half::bf16;

    #[test]
    fn splitting_rounds_to_the_nearest() {
        let key = Key::new(1);
        let number = |i: u64| {
            let sign = if key.uniform_f32(3 * i) < 0.5 {
                -1.0
            } else {
                1.0
            };
            let exponent = (key.uniform_f32(3 * i + 1) * 200.0) as i32 - 100;
            sign * (1.0 + key.uniform_f32(3 * i + 2)) * 2f32.powi(exponent)
        };
        let mut numbers: Vec<f32> = (0..4000).map(number).collect();
        // Ties, and numbers that bf16 has.
        numbers.extend((0..4000).map(|i| f32::from_bits(number(i).to_bits() & !0xffff | 0x8000)));
        numbers.extend((0..1000).map(|i| f32::from_bits(number(i).to_bits() & !0xffff)));
        numbers.extend([0.0, -0.0, 1.0]);
        let mut graph = new_graph(1);
        let mut r = Rewriter::new(&mut graph);
        let x = r.input("x", &[numbers.len()], InputKind::Feed);
        let y = Bf16.decompose(&mut r, &[x]).expect("no leaf").remove(0);
        r.add_root("y", &y);
        let split = run(&graph, &|_| numbers.clone());
        for (&x, &y) in numbers.iter().zip(&split["y"]) {
            let nearest = bf16::from_f32(x).to_f32();
            assert_eq!(bf16::from_f32(y).to_f32(), y, "{x:e} became {y:e}");
            assert_eq!(
                (x - y).abs(),
                (x - nearest).abs(),
                "{x:e}: {y:e}, not {nearest:e}"
            );
        }
    }
}

//! Arithmetic on numbers, with Python's meaning: `/` is exact division, `//` and `%` round towards minus infinity.

use super::value::Data;
use crate::language::expression::{BinaryOp, CompareOp};
use std::cmp::Ordering;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Int(i64),
    /// Finite.
    Float(f64),
}

/// Why an operation has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    DivisionByZero,
    TooLarge,
    /// A root of a negative number.
    NotReal,
}

impl Fault {
    pub fn code(self) -> &'static str {
        match self {
            Fault::DivisionByZero => "division-by-zero",
            Fault::TooLarge => "too-large",
            Fault::NotReal => "not-real",
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Fault::DivisionByZero => "divides by zero",
            Fault::TooLarge => "is too large a number",
            Fault::NotReal => "is no real number",
        }
    }
}

impl Number {
    pub fn float(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Float(value) => value,
        }
    }

    pub fn data(self) -> Data {
        match self {
            Number::Int(value) => Data::Int(value),
            Number::Float(value) => Data::Float(value),
        }
    }

    pub fn is_zero(self) -> bool {
        self.float() == 0.0
    }
}

pub fn negate(a: Number) -> Result<Number, Fault> {
    match a {
        Number::Int(a) => a.checked_neg().map(Number::Int).ok_or(Fault::TooLarge),
        Number::Float(a) => Ok(Number::Float(-a)),
    }
}

pub fn binary(op: BinaryOp, a: Number, b: Number) -> Result<Number, Fault> {
    let divides = matches!(op, BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Mod);
    if divides && b.is_zero() {
        return Err(Fault::DivisionByZero);
    }
    if let (Number::Int(a), Number::Int(b)) = (a, b)
        && let Some(result) = integers(op, a, b)
    {
        return result.map(Number::Int).ok_or(Fault::TooLarge);
    }
    let (a, b) = (a.float(), b.float());
    finite(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::FloorDiv => floor_division(a, b).0,
        BinaryOp::Mod => floor_division(a, b).1,
        BinaryOp::Pow if a == 0.0 && b < 0.0 => return Err(Fault::DivisionByZero),
        BinaryOp::Pow => a.powf(b),
    })
}

/// The result as a finite number.
pub fn finite(value: f64) -> Result<Number, Fault> {
    match value {
        _ if value.is_finite() => Ok(Number::Float(value)),
        _ if value.is_nan() => Err(Fault::NotReal),
        _ => Err(Fault::TooLarge),
    }
}

/// `None` where the result of integers is no integer; within, `None` where it overflows.
fn integers(op: BinaryOp, a: i64, b: i64) -> Option<Option<i64>> {
    let below = b != 0 && a.wrapping_rem(b) != 0 && (a < 0) != (b < 0);
    Some(match op {
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Sub => a.checked_sub(b),
        BinaryOp::Mul => a.checked_mul(b),
        BinaryOp::FloorDiv => a.checked_div(b).map(|q| q - i64::from(below)),
        BinaryOp::Mod => Some(a.wrapping_rem(b) + if below { b } else { 0 }),
        BinaryOp::Pow if b >= 0 => power(a, b),
        BinaryOp::Div | BinaryOp::Pow => return None,
    })
}

fn power(a: i64, b: i64) -> Option<i64> {
    match (a, u32::try_from(b)) {
        (_, Ok(b)) => a.checked_pow(b),
        (0 | 1, Err(_)) => Some(a),
        (-1, Err(_)) => Some(if b % 2 == 0 { 1 } else { -1 }),
        (_, Err(_)) => None,
    }
}

/// Quotient and remainder of floats as CPython has them: the remainder is exact and has the sign of the divisor.
fn floor_division(a: f64, b: f64) -> (f64, f64) {
    let mut rest = a % b;
    let mut quotient = (a - rest) / b;
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) {
        rest += b;
        quotient -= 1.0;
    }
    (quotient.round(), rest)
}

pub fn compare(op: CompareOp, a: Number, b: Number) -> bool {
    let order = match (a, b) {
        (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
        _ => a.float().partial_cmp(&b.float()),
    };
    holds(op, order)
}

fn holds(op: CompareOp, order: Option<Ordering>) -> bool {
    match op {
        CompareOp::Less => order == Some(Ordering::Less),
        CompareOp::LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        CompareOp::Greater => order == Some(Ordering::Greater),
        CompareOp::GreaterEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        CompareOp::Equal => order == Some(Ordering::Equal),
        CompareOp::NotEqual => order != Some(Ordering::Equal),
    }
}

#[cfg(test)]
mod tests {
    use super::{BinaryOp::*, Fault::*, Number::*, *};

    #[test]
    fn division_is_pythons() {
        for (a, b, quotient, rest) in [
            (7, 2, 3, 1),
            (-7, 2, -4, 1),
            (7, -2, -4, -1),
            (-7, -2, 3, -1),
            (6, -3, -2, 0),
        ] {
            assert_eq!(binary(FloorDiv, Int(a), Int(b)), Ok(Int(quotient)));
            assert_eq!(binary(Mod, Int(a), Int(b)), Ok(Int(rest)));
            let (a, b) = (Float(a as f64), Float(b as f64));
            assert_eq!(binary(FloorDiv, a, b), Ok(Float(quotient as f64)));
            assert_eq!(binary(Mod, a, b), Ok(Float(rest as f64)));
        }
        assert_eq!(binary(Div, Int(6), Int(3)), Ok(Float(2.0)));
        assert_eq!(binary(Mod, Int(i64::MIN), Int(-1)), Ok(Int(0)));
        assert_eq!(binary(FloorDiv, Float(1.0), Float(0.1)), Ok(Float(9.0)));
    }

    #[test]
    fn powers_of_integers_stay_integers_where_they_can() {
        assert_eq!(binary(Pow, Int(2), Int(10)), Ok(Int(1024)));
        assert_eq!(binary(Pow, Int(2), Int(-1)), Ok(Float(0.5)));
        assert_eq!(binary(Pow, Int(4), Float(0.5)), Ok(Float(2.0)));
        assert_eq!(binary(Pow, Int(-1), Int(1 << 40)), Ok(Int(1)));
    }

    #[test]
    fn what_has_no_result_says_why() {
        for (op, a, b, fault) in [
            (Div, Int(1), Int(0), DivisionByZero),
            (FloorDiv, Float(1.0), Float(0.0), DivisionByZero),
            (Mod, Int(1), Int(0), DivisionByZero),
            (Pow, Int(0), Int(-1), DivisionByZero),
            (Add, Int(i64::MAX), Int(1), TooLarge),
            (Sub, Int(i64::MIN), Int(1), TooLarge),
            (Mul, Int(i64::MAX), Int(2), TooLarge),
            (FloorDiv, Int(i64::MIN), Int(-1), TooLarge),
            (Pow, Int(10), Int(19), TooLarge),
            (Pow, Int(10), Int(1 << 40), TooLarge),
            (Pow, Float(10.0), Int(400), TooLarge),
            (Pow, Int(-2), Float(0.5), NotReal),
        ] {
            assert_eq!(binary(op, a, b), Err(fault), "{op} of {a:?} and {b:?}");
        }
        assert_eq!(negate(Int(i64::MIN)), Err(TooLarge));
    }

    #[test]
    fn comparisons_mix_integers_and_floats() {
        assert!(compare(CompareOp::Equal, Int(1), Float(1.0)));
        assert!(compare(CompareOp::Less, Int(i64::MAX - 1), Int(i64::MAX)));
        assert!(compare(CompareOp::NotEqual, Float(0.5), Int(1)));
        assert!(!compare(CompareOp::GreaterEqual, Float(0.5), Int(1)));
    }
}

//! The canonical text of an expression: as few parentheses as its meaning allows.

use super::{BinaryOp, CompareOp, Expr, ExprKind};
use std::fmt::{self, Display, Formatter};

/// How tightly an expression binds, from a choice to an atom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Choice,
    Or,
    And,
    Not,
    Compare,
    Sum,
    Product,
    Sign,
    Power,
    Atom,
}

impl Expr {
    fn level(&self) -> Level {
        match &self.kind {
            ExprKind::Choice { .. } => Level::Choice,
            ExprKind::Or(_) => Level::Or,
            ExprKind::And(_) => Level::And,
            ExprKind::Not(_) => Level::Not,
            ExprKind::Compare(..) => Level::Compare,
            ExprKind::Negate(_) => Level::Sign,
            ExprKind::Binary(operator, ..) => operator.levels().0,
            _ => Level::Atom,
        }
    }
}

/// An operand that needs parentheses if it binds looser than its place.
struct Operand<'a>(&'a Expr, Level);

impl Display for Operand<'_> {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let Operand(expr, place) = self;
        if expr.level() < *place {
            write!(f, "({expr})")
        } else {
            write!(f, "{expr}")
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match &self.kind {
            ExprKind::Int(value) => write!(f, "{value}"),
            ExprKind::Float(value) => write!(f, "{value:?}"),
            ExprKind::Text(text) if text.contains('"') => write!(f, "'{text}'"),
            ExprKind::Text(text) => write!(f, "\"{text}\""),
            ExprKind::Bool(value) => write!(f, "{value}"),
            ExprKind::Null => write!(f, "null"),
            ExprKind::Name(name) => write!(f, "{name}"),
            ExprKind::List(items) => {
                write!(f, "[")?;
                joined(f, ", ", items, Level::Choice)?;
                write!(f, "]")
            }
            ExprKind::Negate(of) => write!(f, "-{}", Operand(of, Level::Sign)),
            ExprKind::Not(of) => write!(f, "not {}", Operand(of, Level::Not)),
            ExprKind::Binary(operator, left, right) => {
                let (_, of_left, of_right) = operator.levels();
                let (left, right) = (Operand(left, of_left), Operand(right, of_right));
                write!(f, "{left} {operator} {right}")
            }
            ExprKind::Compare(operands, operators) => {
                for (i, operand) in operands.iter().enumerate() {
                    if i > 0 {
                        write!(f, " {} ", operators[i - 1])?;
                    }
                    write!(f, "{}", Operand(operand, Level::Sum))?;
                }
                Ok(())
            }
            ExprKind::And(operands) => joined(f, " and ", operands, Level::Not),
            ExprKind::Or(operands) => joined(f, " or ", operands, Level::And),
            ExprKind::Choice {
                test,
                then,
                otherwise,
            } => {
                let (then, test) = (Operand(then, Level::Or), Operand(test, Level::Or));
                write!(f, "{then} if {test} else {otherwise}")
            }
            ExprKind::Index { of, at } => write!(f, "{}[{at}]", Operand(of, Level::Atom)),
            ExprKind::Slice { of, from, to } => {
                write!(f, "{}[", Operand(of, Level::Atom))?;
                from.iter().try_for_each(|from| write!(f, "{from}"))?;
                write!(f, ":")?;
                to.iter().try_for_each(|to| write!(f, "{to}"))?;
                write!(f, "]")
            }
            ExprKind::Call {
                function,
                args,
                keywords,
            } => {
                write!(f, "{}(", function.value)?;
                joined(f, ", ", args, Level::Choice)?;
                for (i, (keyword, value)) in keywords.iter().enumerate() {
                    let comma = if i > 0 || !args.is_empty() { ", " } else { "" };
                    write!(f, "{comma}{}={value}", keyword.value)?;
                }
                write!(f, ")")
            }
        }
    }
}

fn joined(f: &mut Formatter, separator: &str, items: &[Expr], place: Level) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            write!(f, "{separator}")?;
        }
        write!(f, "{}", Operand(item, place))?;
    }
    Ok(())
}

impl BinaryOp {
    /// Its own level and those its operands need.
    fn levels(self) -> (Level, Level, Level) {
        match self {
            BinaryOp::Add | BinaryOp::Sub => (Level::Sum, Level::Sum, Level::Product),
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Mod => {
                (Level::Product, Level::Product, Level::Sign)
            }
            // A power binds tighter than a sign on its left and looser than one on its right.
            BinaryOp::Pow => (Level::Power, Level::Atom, Level::Sign),
        }
    }
}

impl Display for BinaryOp {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str(match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::FloorDiv => "//",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "**",
        })
    }
}

impl Display for CompareOp {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str(match self {
            CompareOp::Less => "<",
            CompareOp::LessEqual => "<=",
            CompareOp::Greater => ">",
            CompareOp::GreaterEqual => ">=",
            CompareOp::Equal => "==",
            CompareOp::NotEqual => "!=",
        })
    }
}

//! Merged code as Python expressions.

use super::{
    builtins,
    class::Builder,
    merge::{Call, Code, Slot, SlotWord},
    python,
};
use crate::{
    elaborate::trace::Literal,
    language::expression::{BinaryOp, CompareOp},
};

/// Where an expression stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// Params are arguments.
    Init,
    /// Params are attributes.
    Forward,
}

/// Writes the expressions of one step.
pub struct Writer<'w, 'b> {
    pub class: &'w mut Builder<'b>,
    pub site: Site,
    /// What `prev` is here.
    pub previous: &'w str,
}

/// How tightly an expression binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Choice,
    Sum,
    Product,
    Sign,
    Power,
    Atom,
}

impl Writer<'_, '_> {
    pub fn text(&mut self, code: &Code) -> String {
        self.write(code).0
    }

    pub fn atom(&mut self, code: &Code) -> String {
        self.at(code, Level::Atom)
    }

    fn at(&mut self, code: &Code, place: Level) -> String {
        let (text, level) = self.write(code);
        if level < place {
            format!("({text})")
        } else {
            text
        }
    }

    fn write(&mut self, code: &Code) -> (String, Level) {
        match code {
            Code::Known(slot) => self.leveled(slot),
            Code::Name(name) => (self.name(name), Level::Atom),
            Code::Negate(of) => (format!("-{}", self.at(of, Level::Sign)), Level::Sign),
            Code::Binary(op, sides) => self.binary(*op, sides),
            Code::Compare(operands, ops) => self.compare(operands, ops),
            Code::Element(of, place) => {
                let text = format!("{}[{}]", self.atom(of), self.slot(place));
                (text, Level::Atom)
            }
            Code::Choice {
                test,
                then,
                otherwise,
            } => {
                let then = self.at(then, Level::Sum);
                let test = self.slot(test);
                let text = format!("{then} if {test} else {}", self.text(otherwise));
                (text, Level::Choice)
            }
            Code::Builtin { name, args, sizes } => {
                let sizes = sizes
                    .iter()
                    .map(|(axis, slot)| format!("{axis}={}", self.slot(slot)));
                let sizes = sizes.collect();
                let writer = &mut Writer {
                    class: self.class,
                    site: self.site,
                    previous: self.previous,
                };
                (
                    builtins::write(
                        name,
                        builtins::Call {
                            args,
                            sizes,
                            writer,
                        },
                    ),
                    Level::Atom,
                )
            }
            Code::Call(call) => (self.call(call), Level::Atom),
            Code::Repeat { .. } => unreachable!("a fold is a step of its own"),
        }
    }

    fn name(&self, name: &str) -> String {
        match name {
            "prev" => python::local(self.previous),
            _ if self.class.is_weight(name) => python::member("_parameters", name),
            _ => python::local(name),
        }
    }

    fn binary(&mut self, op: BinaryOp, sides: &[Code; 2]) -> (String, Level) {
        let [left, right] = sides;
        // As elaboration has it: 0 may stand for a tensor that is not there.
        if op == BinaryOp::Add {
            for (zero, other) in [(left, right), (right, left)] {
                if zero.is_zero() {
                    return self.write(other);
                }
            }
        }
        let (level, of_left, of_right) = match op {
            BinaryOp::Add | BinaryOp::Sub => (Level::Sum, Level::Sum, Level::Product),
            BinaryOp::Pow => (Level::Power, Level::Atom, Level::Sign),
            _ => (Level::Product, Level::Product, Level::Sign),
        };
        let text = format!(
            "{} {op} {}",
            self.at(left, of_left),
            self.at(right, of_right)
        );
        (text, level)
    }

    /// 1 and 0, as the language has it, where Python has true and false.
    fn compare(&mut self, operands: &[Code], ops: &[CompareOp]) -> (String, Level) {
        let operands: Vec<String> = operands
            .iter()
            .map(|one| self.at(one, Level::Sum))
            .collect();
        let pairs = operands.windows(2).zip(ops);
        let pairs = pairs.map(|(pair, op)| format!("({} {op} {}).float()", pair[0], pair[1]));
        let pairs: Vec<String> = pairs.collect();
        let level = if pairs.len() == 1 {
            Level::Atom
        } else {
            Level::Product
        };
        (pairs.join(" * "), level)
    }

    fn call(&mut self, call: &Call) -> String {
        let attribute = self.class.attribute(call);
        let turn = call.columns.iter().any(|column| column.turn.is_some());
        let of = python::member("_modules", &attribute);
        let mut args: Vec<String> = call.args.iter().map(|arg| self.text(arg)).collect();
        let growing = self.class.growing(call);
        for (name, slot) in call
            .keywords
            .iter()
            .filter(|(name, _)| growing.contains(name))
        {
            args.push(format!("{}={}", python::local(name), self.slot(slot)));
        }
        format!("{of}{}({})", if turn { "[i]" } else { "" }, args.join(", "))
    }

    pub fn slot(&mut self, slot: &Slot) -> String {
        self.leveled(slot).0
    }

    fn leveled(&mut self, slot: &Slot) -> (String, Level) {
        if let Some(value) = slot.constant() {
            return (python::literal(value), level(value));
        }
        // How many images there are is not known before the first call: what has to be, is as the recipe has it.
        if slot.words.is_empty() || (slot.grows() && self.site == Site::Init) {
            let text = self.class.unnamed("value", slot, self.site);
            return (text, Level::Atom);
        }
        let mut text = String::new();
        let several = slot.words.len() > 1;
        for word in &slot.words {
            match word {
                SlotWord::Text(piece) => text += piece,
                SlotWord::Batch(name) => text += &python::local(name),
                SlotWord::Leaf(name, values) => {
                    let same = values.iter().all(|value| *value == values[0]);
                    match (name.as_str(), same) {
                        ("i", _) if slot.columns.iter().any(|c| c.turn.is_some()) => text += "i",
                        (_, true) if several && level(&values[0]) == Level::Sign => {
                            text += &format!("({})", python::literal(&values[0]));
                        }
                        (_, true) => text += &python::literal(&values[0]),
                        _ => text += &self.class.leaf(name, self.site),
                    }
                }
            }
        }
        let level = if several { Level::Choice } else { Level::Atom };
        (text, level)
    }
}

/// A negative number has a sign.
fn level(value: &Literal) -> Level {
    match value {
        Literal::Int(n) if *n < 0 => Level::Sign,
        Literal::Float(x) if x.is_sign_negative() => Level::Sign,
        _ => Level::Atom,
    }
}

impl Code {
    /// The text that stands here in every use.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Code::Known(slot) => match slot.constant()? {
                Literal::Text(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    fn is_zero(&self) -> bool {
        let Code::Known(slot) = self else {
            return false;
        };
        let zero =
            |value: &Literal| matches!(value, Literal::Int(0)) || *value == Literal::Float(0.0);
        slot.constant().is_some_and(zero)
    }
}

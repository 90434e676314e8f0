//! Uses of one graph file, told as one: what they have in common stays as it is, numbers that differ become slots, and
//! choices that differ stay choices.

use crate::{
    elaborate::trace::{Known, Literal, Term, Word},
    language::expression::{BinaryOp, CompareOp},
};
use std::rc::Rc;

/// Which use a term is from: its place among those of the class, and the turn where it stands in a fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub instance: usize,
    pub turn: Option<usize>,
}

/// A number, a text or a list of each use.
#[derive(Debug, Clone)]
pub struct Slot {
    pub columns: Rc<[Column]>,
    pub values: Vec<Literal>,
    /// None where the uses say it in different words.
    pub words: Vec<SlotWord>,
}

#[derive(Debug, Clone)]
pub enum SlotWord {
    Text(String),
    Leaf(String, Vec<Literal>),
    Batch(String),
}

/// A [`Term`] of several uses.
#[derive(Debug, Clone)]
pub enum Code {
    Known(Slot),
    Name(String),
    Negate(Box<Code>),
    Binary(BinaryOp, Box<[Code; 2]>),
    Compare(Vec<Code>, Vec<CompareOp>),
    Element(Box<Code>, Slot),
    /// Some uses take one branch, some the other.
    Choice {
        test: Slot,
        then: Box<Code>,
        otherwise: Box<Code>,
    },
    Builtin {
        name: &'static str,
        args: Vec<(&'static str, Code)>,
        sizes: Vec<(String, Slot)>,
    },
    Call(Call),
    Repeat {
        count: Slot,
        from: Box<Code>,
        /// None where no use has a turn.
        turn: Option<Box<Code>>,
    },
}

/// A call of a graph, by one instance of it for each use.
#[derive(Debug, Clone)]
pub struct Call {
    pub columns: Rc<[Column]>,
    /// Places in the trace.
    pub children: Vec<usize>,
    pub args: Vec<Code>,
    pub keywords: Vec<(String, Slot)>,
}

/// None where the uses differ in more than numbers and choices.
pub fn merge(terms: &[&Term], columns: &Rc<[Column]>) -> Option<Code> {
    if let Some(name) = shared_name(terms) {
        return Some(Code::Name(name.to_owned()));
    }
    /// Takes the same variant apart in every use.
    macro_rules! all {
        ($pattern:pat $(if $guard:expr)? => $out:expr) => {{
            let parts = terms.iter().map(|term| match term {
                $pattern $(if $guard)? => Some($out),
                _ => None,
            });
            parts.collect::<Option<Vec<_>>>()?
        }};
    }
    let one = |terms: Vec<&Term>| merge(&terms, columns);
    let slot = |known: Vec<&Known>| merge_known(&known, columns);
    Some(match terms.first()? {
        Term::Known(_) => Code::Known(slot(all!(Term::Known(known) => known))),
        // Names that all share are done with.
        Term::Name(_) => return None,
        Term::Negate(_) => Code::Negate(Box::new(one(all!(Term::Negate(of) => &**of))?)),
        Term::Binary(op, _) => {
            let left = one(all!(Term::Binary(o, sides) if o == op => &sides[0]))?;
            let right = one(all!(Term::Binary(_, sides) => &sides[1]))?;
            Code::Binary(*op, Box::new([left, right]))
        }
        Term::Compare(_, ops) => {
            let operands = all!(Term::Compare(operands, o) if o == ops => operands.as_slice());
            Code::Compare(merge_lists(&operands, columns)?, ops.clone())
        }
        Term::Element(..) => {
            let of = one(all!(Term::Element(of, _) => &**of))?;
            Code::Element(Box::new(of), slot(all!(Term::Element(_, at) => at)))
        }
        Term::Choice { .. } => {
            let tests = slot(all!(Term::Choice { test, .. } => test));
            let taken = all!(Term::Choice { taken, .. } => *taken);
            let values = all!(Term::Choice { value, .. } => &**value);
            let branch = |side: bool| {
                let mine = |i: &usize| taken[*i] == side;
                let places: Vec<usize> = (0..taken.len()).filter(mine).collect();
                let terms: Vec<&Term> = places.iter().map(|&i| values[i]).collect();
                let columns = places.iter().map(|&i| columns[i]).collect();
                merge(&terms, &columns).map(Box::new)
            };
            if taken.iter().all(|one| *one == taken[0]) {
                *branch(taken[0])?
            } else {
                let (then, otherwise) = (branch(true)?, branch(false)?);
                Code::Choice {
                    test: tests,
                    then,
                    otherwise,
                }
            }
        }
        Term::Builtin { name, .. } => {
            let args = all!(Term::Builtin { name: n, args, .. } if n == name => args);
            let slots: Vec<&str> = args[0].iter().map(|(slot, _)| *slot).collect();
            let fits = |args: &&Vec<(&str, Term)>| {
                args.iter().map(|(slot, _)| *slot).eq(slots.iter().copied())
            };
            if !args.iter().all(fits) {
                return None;
            }
            let named = args[0].iter().enumerate().map(|(i, (slot, _))| {
                let terms: Vec<&Term> = args.iter().map(|args| &args[i].1).collect();
                Some((*slot, merge(&terms, columns)?))
            });
            let sizes = all!(Term::Builtin { sizes, .. } => sizes.as_slice());
            Code::Builtin {
                name,
                args: named.collect::<Option<_>>()?,
                sizes: merge_keywords(&sizes, columns)?,
            }
        }
        Term::Call { .. } => {
            let args = all!(Term::Call { args, .. } => args.as_slice());
            let keywords = all!(Term::Call { keywords, .. } => keywords.as_slice());
            Code::Call(Call {
                columns: columns.clone(),
                children: all!(Term::Call { child, .. } => *child),
                args: merge_lists(&args, columns)?,
                keywords: merge_keywords(&keywords, columns)?,
            })
        }
        Term::Repeat { .. } => {
            let from = one(all!(Term::Repeat { from, .. } => &**from))?;
            let turns = all!(Term::Repeat { turns, .. } => turns);
            let (mut terms, mut places) = (Vec::new(), Vec::new());
            for (column, turns) in columns.iter().zip(turns) {
                for (turn, term) in turns.iter().enumerate() {
                    terms.push(term);
                    places.push(Column {
                        turn: Some(turn),
                        ..*column
                    });
                }
            }
            let turn = match terms.is_empty() {
                true => None,
                false => Some(Box::new(merge(&terms, &places.into())?)),
            };
            Code::Repeat {
                count: slot(all!(Term::Repeat { count, .. } => count)),
                from: Box::new(from),
                turn,
            }
        }
    })
}

/// The name that all uses have here, if not all of them know its value.
fn shared_name<'t>(terms: &[&'t Term]) -> Option<&'t str> {
    let name = terms.iter().find_map(|term| match term {
        Term::Name(name) => Some(name.as_str()),
        _ => None,
    })?;
    let same = |term: &&Term| match term {
        Term::Name(other) => other == name,
        Term::Known(known) => matches!(&known.words[..], [Word::Leaf(leaf, _)] if leaf == name),
        _ => false,
    };
    terms.iter().all(same).then_some(name)
}

fn merge_lists(lists: &[&[Term]], columns: &Rc<[Column]>) -> Option<Vec<Code>> {
    let len = lists.first()?.len();
    if lists.iter().any(|list| list.len() != len) {
        return None;
    }
    let places = (0..len).map(|i| {
        let terms: Vec<&Term> = lists.iter().map(|list| &list[i]).collect();
        merge(&terms, columns)
    });
    places.collect()
}

fn merge_keywords(
    lists: &[&[(String, Known)]],
    columns: &Rc<[Column]>,
) -> Option<Vec<(String, Slot)>> {
    let first = lists.first()?;
    let names = |list: &[(String, Known)]| -> Vec<String> {
        list.iter().map(|(name, _)| name.clone()).collect()
    };
    if lists.iter().any(|list| names(list) != names(first)) {
        return None;
    }
    let places = first.iter().enumerate().map(|(i, (name, _))| {
        let known: Vec<&Known> = lists.iter().map(|list| &list[i].1).collect();
        (name.clone(), merge_known(&known, columns))
    });
    Some(places.collect())
}

pub fn merge_known(known: &[&Known], columns: &Rc<[Column]>) -> Slot {
    let same = |a: &Word, b: &Word| match (a, b) {
        (Word::Text(a), Word::Text(b)) | (Word::Batch(a), Word::Batch(b)) => a == b,
        (Word::Leaf(a, _), Word::Leaf(b, _)) => a == b,
        _ => false,
    };
    let first = &known[0].words;
    let alike = known.iter().all(|one| {
        let pairs = one.words.iter().zip(first);
        one.words.len() == first.len() && pairs.into_iter().all(|(a, b)| same(a, b))
    });
    let word = |(i, word): (usize, &Word)| match word {
        Word::Text(text) => SlotWord::Text(text.clone()),
        Word::Batch(name) => SlotWord::Batch(name.clone()),
        Word::Leaf(name, _) => {
            let values = known.iter().map(|one| match &one.words[i] {
                Word::Leaf(_, value) => value.clone(),
                _ => unreachable!("the words have been compared"),
            });
            SlotWord::Leaf(name.clone(), values.collect())
        }
    };
    Slot {
        columns: columns.clone(),
        values: known.iter().map(|one| one.value.clone()).collect(),
        words: match alike {
            true => first.iter().enumerate().map(word).collect(),
            false => Vec::new(),
        },
    }
}

impl Slot {
    /// Whether the number of images has a part in it.
    pub fn grows(&self) -> bool {
        let mut words = self.words.iter();
        words.any(|word| matches!(word, SlotWord::Batch(_)))
    }

    /// The value, where all uses have the same.
    pub fn constant(&self) -> Option<&Literal> {
        let first = self.values.first()?;
        let same = self.values.iter().all(|value| value == first);
        (same && !self.grows()).then_some(first)
    }
}

impl Code {
    /// Calls `f` on everything inside, outer before inner.
    pub fn walk<'c>(&'c self, f: &mut impl FnMut(&'c Code)) {
        f(self);
        for part in self.children() {
            part.walk(f);
        }
    }

    pub fn children(&self) -> Vec<&Code> {
        match self {
            Code::Known(_) | Code::Name(_) => vec![],
            Code::Negate(of) | Code::Element(of, _) => vec![of],
            Code::Binary(_, sides) => sides.iter().collect(),
            Code::Compare(operands, _) => operands.iter().collect(),
            Code::Choice {
                then, otherwise, ..
            } => vec![then, otherwise],
            Code::Builtin { args, .. } => args.iter().map(|(_, code)| code).collect(),
            Code::Call(call) => call.args.iter().collect(),
            Code::Repeat { from, turn, .. } => {
                [from].into_iter().chain(turn).map(|code| &**code).collect()
            }
        }
    }

    /// The numbers that stand right in this code.
    pub fn slots(&self) -> Vec<&Slot> {
        match self {
            Code::Known(slot) | Code::Element(_, slot) => vec![slot],
            Code::Choice { test, .. } => vec![test],
            Code::Builtin { sizes: named, .. }
            | Code::Call(Call {
                keywords: named, ..
            }) => named.iter().map(|(_, slot)| slot).collect(),
            Code::Repeat { count, .. } => vec![count],
            _ => vec![],
        }
    }

    /// Names of values that this needs: tensors, and numbers that grow with the images.
    pub fn names(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.walk(&mut |code| {
            if let Code::Name(name) = code {
                found.push(name.clone());
            }
            for word in code.slots().into_iter().flat_map(|slot| &slot.words) {
                if let SlotWord::Batch(name) = word {
                    found.push(name.clone());
                }
            }
        });
        found
    }
}

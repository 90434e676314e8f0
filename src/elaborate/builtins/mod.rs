//! What graph files can call without its being a graph: one row each, one file per group.

mod arguments;
mod contraction;
mod initialisers;
mod layout;
mod leaves;
mod movement;
mod numbers;
mod pointwise;
mod random;
mod reduction;

pub use arguments::{Arg, Call, bind};
pub use initialisers::{Initialiser, Unresolved, bare_initialiser};

use super::{Elaborator, value::Data};
use crate::diagnostic::Result;

/// A row of the table.
pub struct Builtin {
    /// As it is called: `slice(x, pattern, start?, end?)`. `?` may be left out, `*` takes any number of values, `**` any
    /// keywords.
    pub signature: &'static str,
    pub doc: &'static str,
    pub run: for<'e> fn(&mut Elaborator<'e>, &Call<'_>) -> Result<Data>,
}

/// Every built-in, by group.
pub const BUILTINS: &[&[Builtin]] = &[
    movement::BUILTINS,
    contraction::BUILTINS,
    reduction::BUILTINS,
    pointwise::BUILTINS,
    leaves::BUILTINS,
    random::BUILTINS,
    numbers::BUILTINS,
    initialisers::BUILTINS,
];

impl Builtin {
    pub fn name(&self) -> &'static str {
        let (name, _) = self
            .signature
            .split_once('(')
            .expect("a signature reads `name(…)`");
        name
    }

    /// The names of its arguments, without the one that takes any keywords.
    pub fn slots(&self) -> impl Iterator<Item = &'static str> + use<> {
        let inner = self.signature[self.name().len()..].trim_matches(['(', ')']);
        let names = inner.split(", ").filter(|name| !name.is_empty());
        let plain = names.filter(|name| !name.starts_with("**"));
        plain.map(|name| name.trim_matches(['*', '?']))
    }
}

/// Every built-in, by group: how it is called, and what it does.
pub fn signatures() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = BUILTINS.iter().copied().flatten();
    rows.map(|row| (row.signature, row.doc))
}

pub fn find(name: &str) -> Option<&'static Builtin> {
    let mut rows = BUILTINS.iter().copied().flatten();
    rows.find(|row| row.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::names;
    use std::collections::BTreeSet;

    #[test]
    fn the_documentation_lists_the_same_built_ins() {
        let page = include_str!("../../../docs/language.md");
        for (signature, doc) in signatures() {
            let row = format!("| `{signature}` | {doc} |");
            assert!(page.contains(&row), "no row {row}");
        }
    }

    #[test]
    fn the_table_holds_the_names_that_the_language_reserves() {
        let rows = BUILTINS.iter().copied().flatten();
        let table: Vec<_> = rows.map(Builtin::name).collect();
        let set: BTreeSet<_> = table.iter().copied().collect();
        assert_eq!(set.len(), table.len(), "each name once");
        assert_eq!(set, names::BUILTINS.iter().copied().collect());
        let initialisers: BTreeSet<_> = initialisers::BUILTINS.iter().map(Builtin::name).collect();
        assert_eq!(initialisers, names::INITIALISERS.iter().copied().collect());
        let bare = names::BARE_INITIALISERS.iter();
        assert!(bare.copied().all(|name| initialisers.contains(name)));
    }
}

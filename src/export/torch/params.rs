//! What the uses of a class differ in, under names that its file has or that are made up.

use super::{
    class::Builder,
    merge::{Column, Slot},
    python,
    write::Site,
};
use crate::elaborate::trace::Literal;
use std::collections::HashSet;

/// What uses of a class differ in.
#[derive(Debug, Clone)]
pub struct Param {
    pub name: String,
    /// What it was to be called, where the name is made up.
    hint: Option<String>,
    /// One for each use; none where a use has no need of it.
    pub values: Vec<Option<Literal>>,
    /// Whether it is read again behind the start.
    pub kept: bool,
}

impl<'b> Builder<'b> {
    pub fn new_name(&mut self, hint: &str) -> String {
        let known = |name: &str| {
            let mut params = self.params.iter();
            self.taken.contains(name) || params.any(|p| p.name == name) || !python::is_free(name)
        };
        let numbered = (2..).map(|n| format!("{hint}_{n}"));
        let mut names = [hint.to_owned()].into_iter().chain(numbered);
        let name = names.find(|name| !known(name)).expect("numbers never end");
        self.taken.insert(name.clone());
        name
    }

    /// What a name of the file is worth in each use.
    pub fn known(&self, name: &str) -> Vec<Option<&'b Literal>> {
        let of = |&member: &usize| {
            let mut values = self.trace[member].values.iter();
            values.find(|(own, _)| own == name).map(|(_, value)| value)
        };
        self.members.iter().map(of).collect()
    }

    /// A name of the file as a param.
    pub fn leaf(&mut self, name: &str, site: Site) -> String {
        let own = if python::is_free(name) {
            name.to_owned()
        } else {
            format!("{name}_")
        };
        let place = match self.params.iter().position(|param| param.name == own) {
            Some(place) => place,
            None => {
                let values = self.known(name).into_iter().map(Option::<&_>::cloned);
                self.params.push(Param {
                    name: own,
                    hint: None,
                    values: values.collect(),
                    kept: false,
                });
                self.params.len() - 1
            }
        };
        self.read(place, site)
    }

    /// What the file has no single name for, by one that is made up.
    pub fn made_up(&mut self, hint: &str, values: Vec<Option<Literal>>, site: Site) -> String {
        let same = values.iter().flatten().collect::<Vec<_>>();
        if let [first, rest @ ..] = &same[..]
            && rest.iter().all(|value| value == first)
        {
            return python::literal(first);
        }
        let fits = |param: &&mut Param| {
            let pairs = param.values.iter().zip(&values);
            let clash = |(a, b): (&Option<_>, &Option<_>)| a.is_some() && b.is_some() && a != b;
            param.hint.as_deref() == Some(hint) && !pairs.into_iter().any(clash)
        };
        if let Some(param) = self.params.iter_mut().find(fits) {
            for (known, value) in param.values.iter_mut().zip(values) {
                *known = known.take().or(value);
            }
            param.kept |= site == Site::Forward;
            let name = param.name.clone();
            return self.at(&name, site);
        }
        let name = self.new_name(hint);
        self.params.push(Param {
            name,
            hint: Some(hint.to_owned()),
            values,
            kept: false,
        });
        self.read(self.params.len() - 1, site)
    }

    /// A slot that uses say in different words; one place of a list where it differs from turn to turn.
    pub fn unnamed(&mut self, hint: &str, slot: &Slot, site: Site) -> String {
        match self.over_turns(&slot.columns, &slot.values) {
            Ok(values) => self.made_up(hint, values, site),
            Err(lists) => {
                let lists = lists.into_iter().map(|list| list.map(Literal::List));
                let name = self.made_up(&format!("{hint}s"), lists.collect(), site);
                format!("{name}[i]")
            }
        }
    }

    /// One value for each use, or where one differs between turns, a list for each.
    pub fn over_turns(
        &self,
        columns: &[Column],
        values: &[Literal],
    ) -> Result<Vec<Option<Literal>>, Vec<Option<Vec<Literal>>>> {
        let mut lists: Vec<Option<Vec<Literal>>> = vec![None; self.members.len()];
        for (column, value) in columns.iter().zip(values) {
            let list = lists[column.instance].get_or_insert_default();
            list.resize(column.turn.unwrap_or(0), Literal::Null);
            list.push(value.clone());
        }
        let even = |list: &Option<Vec<Literal>>| {
            let list = list.as_deref().unwrap_or_default();
            list.iter().all(|value| *value == list[0])
        };
        if lists.iter().all(even) {
            let first = |list: Option<Vec<Literal>>| list?.into_iter().next();
            return Ok(lists.into_iter().map(first).collect());
        }
        Err(lists)
    }

    pub fn read(&mut self, place: usize, site: Site) -> String {
        self.params[place].kept |= site == Site::Forward;
        let name = self.params[place].name.clone();
        self.at(&name, site)
    }

    pub fn at(&self, name: &str, site: Site) -> String {
        match site {
            Site::Init => name.to_owned(),
            Site::Forward => format!("self.{name}"),
        }
    }

    /// A condition on the uses: the words of the file for it, or else a param of its own.
    pub fn guard(
        &mut self,
        test: Option<&Slot>,
        columns: &[Column],
        hint: &str,
        site: Site,
    ) -> Option<String> {
        let covered: HashSet<usize> = columns.iter().map(|column| column.instance).collect();
        if covered.len() == self.members.len() {
            return None;
        }
        if let Some(test) = test.filter(|test| !test.grows() && !test.words.is_empty()) {
            return Some(self.writer(site, "").slot(test));
        }
        let values = (0..self.members.len()).map(|i| Some(Literal::Bool(covered.contains(&i))));
        Some(self.made_up(&format!("has_{hint}"), values.collect(), site))
    }
}

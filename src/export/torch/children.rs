//! The modules inside a module: which calls need one, and the lines that make them.

use super::{
    class::{Builder, Step},
    merge::{Call, Code, Column, Slot, SlotWord},
    params::Param,
    python,
    write::Site,
};
use crate::elaborate::trace::Literal;

/// A call with the condition it stands under.
pub struct Called<'c> {
    pub call: &'c Call,
    /// The test of the innermost choice, where it is the branch behind `if`.
    test: Option<&'c Slot>,
    /// How often, for one in a fold.
    count: Option<&'c Slot>,
}

/// Stages are listed one by one, blocks are not.
const LISTED: usize = 4;
/// Columns up to which a line stays one.
const WIDTH: usize = 110;

/// Every call of a graph, in the order of the steps.
pub fn calls(steps: &[Step]) -> Vec<Called<'_>> {
    let mut found = Vec::new();
    for step in steps {
        collect(&step.code, None, None, &mut found);
    }
    found
}

fn collect<'c>(
    code: &'c Code,
    test: Option<&'c Slot>,
    count: Option<&'c Slot>,
    found: &mut Vec<Called<'c>>,
) {
    match code {
        Code::Choice {
            test: own,
            then,
            otherwise,
        } => {
            collect(then, test.is_none().then_some(own), count, found);
            collect(otherwise, None, count, found);
        }
        Code::Repeat { count, from, turn } => {
            collect(from, test, None, found);
            if let Some(turn) = turn {
                collect(turn, test, Some(count), found);
            }
        }
        _ => {
            for part in code.children() {
                collect(part, test, count, found);
            }
            if let Code::Call(call) = code {
                found.push(Called { call, test, count });
            }
        }
    }
}

impl<'b> Builder<'b> {
    /// The lines that make what is called; none where one class cannot do.
    pub fn child(&mut self, called: &Called) -> Option<Vec<String>> {
        let attribute = self.attribute(called.call);
        let member = python::member("_modules", &attribute);
        if called.count.is_some() {
            return self.list(called, &member);
        }
        let class = self.class_of(called.call)?;
        let line = format!(
            "{member} = {}",
            self.construct(called.call, class, &attribute)
        );
        let guard = self.guard(called.test, &called.call.columns, &attribute, Site::Init);
        Some(match guard {
            Some(test) => vec![format!("if {test}:"), format!("    {line}")],
            None => vec![line],
        })
    }

    /// The class that all of a call's children have.
    fn class_of(&self, call: &Call) -> Option<usize> {
        let classes = call.children.iter().map(|child| self.done.class(*child));
        let classes: Vec<usize> = classes.collect();
        classes
            .iter()
            .all(|class| *class == classes[0])
            .then_some(classes[0])
    }

    fn construct(&mut self, call: &Call, class: usize, attribute: &str) -> String {
        let done = self.done;
        let class = &done.classes[class];
        let args = (0..class.params.len()).map(|param| {
            let name = &class.params[param].name;
            let values = call.children.iter().map(|&child| done.value(child, param));
            let text = self.argument(call, name, values.collect(), attribute);
            format!("{name}={text}")
        });
        let args: Vec<String> = args.collect();
        format!("{}({})", class.name, args.join(", "))
    }

    /// What a child is made with: as the call writes it, as the same name here, or a multiple of it, or a param.
    fn argument(
        &mut self,
        call: &Call,
        name: &str,
        values: Vec<Option<Literal>>,
        attribute: &str,
    ) -> String {
        let present: Vec<&Literal> = values.iter().flatten().collect();
        match present[..] {
            [] => return "None".into(),
            [first, ..] if present.iter().all(|value| *value == first) => {
                return python::literal(first);
            }
            _ => {}
        }
        let keyword = call.keywords.iter().find(|(key, _)| key == name);
        if let Some((_, slot)) = keyword
            && !slot.grows()
            && !slot.words.is_empty()
            && !reads_turn(slot)
            && values
                .iter()
                .zip(&slot.values)
                .all(|(a, b)| a.is_none() || a.as_ref() == Some(b))
        {
            return self.writer(Site::Init, "").slot(slot);
        }
        if let Some(times) = self.multiple(name, &call.columns, &values) {
            let own = self.leaf(name, Site::Init);
            return if times == 1 {
                own
            } else {
                format!("{times} * {own}")
            };
        }
        let filled: Vec<Literal> = values
            .into_iter()
            .map(|value| value.unwrap_or(Literal::Null))
            .collect();
        match self.over_turns(&call.columns, &filled) {
            Ok(values) => self.made_up(&format!("{attribute}_{name}"), values, Site::Init),
            Err(_) => unreachable!("what differs between turns is a list"),
        }
    }

    /// How many times the value of a name here is the value there, in all uses.
    fn multiple(&self, name: &str, columns: &[Column], values: &[Option<Literal>]) -> Option<i64> {
        let known = self.known(name);
        let mut times = None;
        for (column, value) in columns.iter().zip(values) {
            let Some(value) = value else { continue };
            let own = known[column.instance]?;
            let ratio = match (own, value) {
                (own, value) if own == value => 1,
                (Literal::Int(own), Literal::Int(value)) if *own > 0 && value % own == 0 => {
                    value / own
                }
                _ => return None,
            };
            if *times.get_or_insert(ratio) != ratio {
                return None;
            }
        }
        times
    }

    /// A list of modules, one for each turn.
    fn list(&mut self, called: &Called, member: &str) -> Option<Vec<String>> {
        let call = called.call;
        let turns = |instance: usize| {
            let mine = call
                .columns
                .iter()
                .filter(move |column| column.instance == instance);
            mine.filter_map(|column| column.turn)
                .max()
                .map_or(0, |last| last + 1)
        };
        let longest = (0..self.members.len()).map(turns).max().unwrap_or(0);
        let all = (0..self.members.len()).map(turns).sum::<usize>() == call.columns.len();
        match self.class_of(call) {
            Some(class) if all && (self.members.len() > 1 || longest > LISTED) => {
                Some(self.comprehension(called, class, member))
            }
            _ => self.spelled_out(call, longest, member),
        }
    }

    fn comprehension(&mut self, called: &Called, class: usize, member: &str) -> Vec<String> {
        let call = called.call;
        let done = self.done;
        let class = &done.classes[class];
        let (mut args, mut lists) = (Vec::new(), Vec::new());
        for (param, Param { name, .. }) in class.params.iter().enumerate() {
            let values = call.children.iter().map(|&child| done.value(child, param));
            let values: Vec<Option<Literal>> = values.collect();
            let filled: Vec<Literal> = values
                .iter()
                .map(|value| value.clone().unwrap_or(Literal::Null))
                .collect();
            match self.over_turns(&call.columns, &filled) {
                Ok(_) => {
                    let text = self.argument(call, name, values, name);
                    args.push(format!("{name}={text}"));
                }
                Err(values) => {
                    let plural = format!("{}s", name.trim_end_matches('s'));
                    let values = values.into_iter().map(|list| list.map(Literal::List));
                    lists.push((name, self.made_up(&plural, values.collect(), Site::Init)));
                    args.push(format!("{name}={name}"));
                }
            }
        }
        let made = format!("{}({})", class.name, args.join(", "));
        let names: Vec<&str> = lists.iter().map(|(name, _)| name.as_str()).collect();
        let lists: Vec<&str> = lists.iter().map(|(_, list)| list.as_str()).collect();
        let names = names.join(", ");
        let over = match &lists[..] {
            [] => {
                let count = called.count;
                let count = count.map(|count| self.writer(Site::Init, "").slot(count));
                format!("for _ in range({})", count.unwrap_or_default())
            }
            [list] => format!("for {names} in {list}"),
            lists => format!("for {names} in zip({})", lists.join(", ")),
        };
        let line = format!("{member} = nn.ModuleList({made} {over})");
        if line.len() <= WIDTH {
            return vec![line];
        }
        let mut lines = vec![format!("{member} = nn.ModuleList("), format!("    {made}")];
        if lists.len() < 2 {
            lines.push(format!("    {over}"));
        } else {
            lines.push(format!("    for {names} in zip("));
            lines.extend(lists.into_iter().map(|list| format!("        {list},")));
            lines.push("    )".into());
        }
        lines.push(")".into());
        lines
    }

    /// One line for each turn, the same in all uses.
    fn spelled_out(&mut self, call: &Call, turns: usize, member: &str) -> Option<Vec<String>> {
        let mut lines = vec![format!("{member} = nn.ModuleList([")];
        for turn in 0..turns {
            let at = call.columns.iter().zip(&call.children);
            let here: Vec<(Column, usize)> = at
                .filter(|(column, _)| column.turn == Some(turn))
                .map(|(column, child)| (*column, *child))
                .collect();
            if here.is_empty() {
                lines.push("    nn.Identity(),".into());
                continue;
            }
            if here.len() < self.members.len() {
                return None;
            }
            let done = self.done;
            let text = |&(_, child): &(Column, usize)| done.constructed(child);
            let first = text(&here[0]);
            if here.iter().any(|one| text(one) != first) {
                return None;
            }
            lines.push(format!("    {first},"));
        }
        lines.push("])".into());
        Some(lines)
    }
}

fn reads_turn(slot: &Slot) -> bool {
    let mut words = slot.words.iter();
    words.any(|word| matches!(word, SlotWord::Leaf(name, _) if name == "i"))
}

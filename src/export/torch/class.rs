//! One class for the uses of a graph file: what they differ in, and the lines it is made of.

use super::{
    Done,
    children::calls,
    merge::{Call, Code, Column, merge, merge_known},
    params::Param,
    python,
    write::{Site, Writer},
};
use crate::elaborate::trace::{Known, Literal, Traced, TracedWeight};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    rc::Rc,
};

/// A class of the emitted module.
pub struct Class {
    pub name: String,
    pub params: Vec<Param>,
    pub text: String,
}

/// The model itself has names for its results, and takes what it is fed.
pub struct Top<'t> {
    /// Names of outputs, as training calls them.
    pub roots: Vec<String>,
    pub feeds: &'t [String],
}

/// A step of all uses.
pub struct Step {
    pub name: String,
    pub code: Code,
    pub columns: Rc<[Column]>,
}

pub struct Builder<'b> {
    pub trace: &'b [Traced],
    pub members: &'b [usize],
    pub done: &'b Done,
    pub params: Vec<Param>,
    /// Names of the file, and those made up.
    pub taken: HashSet<String>,
    attributes: HashMap<Vec<usize>, String>,
}

/// The class of some uses of one graph file; none where they differ in more than numbers and choices.
pub fn build(
    trace: &[Traced],
    members: &[usize],
    done: &Done,
    name: &str,
    top: Option<&Top>,
) -> Option<Class> {
    let mut builder = Builder::new(trace, members, done);
    let steps = builder.steps(top)?;
    let mut init = builder.weights();
    for called in calls(&steps) {
        init.extend(builder.child(&called)?);
    }
    let forward = builder.forward(&steps, top);
    Some(Class {
        name: name.to_owned(),
        text: builder.assemble(name, &init, &forward),
        params: builder.params,
    })
}

impl<'b> Builder<'b> {
    fn new(trace: &'b [Traced], members: &'b [usize], done: &'b Done) -> Self {
        let mut taken = HashSet::new();
        for traced in members.iter().map(|&member| &trace[member]) {
            taken.extend(traced.inputs.iter().chain(&traced.scopes).cloned());
            taken.extend(traced.weights.iter().map(|weight| weight.name.clone()));
            taken.extend(traced.steps.iter().map(|(name, _)| name.clone()));
        }
        Builder {
            trace,
            members,
            done,
            params: Vec::new(),
            taken,
            attributes: HashMap::new(),
        }
    }

    pub fn first(&self) -> &'b Traced {
        &self.trace[self.members[0]]
    }

    fn columns(&self) -> Rc<[Column]> {
        let column = |instance| Column {
            instance,
            turn: None,
        };
        (0..self.members.len()).map(column).collect()
    }

    /// The steps that the results need, merged, in the order of the file.
    fn steps(&self, top: Option<&Top>) -> Option<Vec<Step>> {
        let mut order: Vec<&str> = Vec::new();
        for &member in self.members {
            let mut next = 0;
            for (name, _) in &self.trace[member].steps {
                match order.iter().position(|known| known == name) {
                    Some(at) => next = at + 1,
                    None => {
                        order.insert(next, name);
                        next += 1;
                    }
                }
            }
        }
        let mut steps = Vec::new();
        for name in order {
            let (mut terms, mut columns) = (Vec::new(), Vec::new());
            for (column, &member) in self.columns().iter().zip(self.members) {
                let mut steps = self.trace[member].steps.iter();
                if let Some((_, term)) = steps.find(|(own, _)| own == name) {
                    terms.push(term);
                    columns.push(*column);
                }
            }
            let columns: Rc<[Column]> = columns.into();
            steps.push((name, terms, columns));
        }
        let outputs = &self.first().outputs;
        let results = if top.is_some() {
            &outputs[..]
        } else {
            &outputs[..1]
        };
        let mut needed: BTreeSet<String> = results.iter().cloned().collect();
        let mut kept = Vec::new();
        for (name, terms, columns) in steps.into_iter().rev() {
            if !needed.contains(name) {
                continue;
            }
            let code = merge(&terms, &columns)?;
            needed.extend(code.names());
            kept.push(Step {
                name: name.to_owned(),
                code,
                columns,
            });
        }
        kept.reverse();
        Some(kept)
    }

    pub fn is_weight(&self, name: &str) -> bool {
        self.first()
            .weights
            .iter()
            .any(|weight| weight.name == name)
    }

    /// The params of what is called that only the call can know.
    pub fn growing(&self, call: &Call) -> &'b [String] {
        &self.trace[call.children[0]].params
    }

    /// The attribute that holds what is called: as checkpoints have it, and where they do not name it, after its graph.
    pub fn attribute(&mut self, call: &Call) -> String {
        let child = &self.trace[call.children[0]];
        if !child.nameless {
            let parent = child
                .parent
                .map_or("", |parent| self.trace[parent].path.as_str());
            let inside = match parent {
                "" => child.path.as_str(),
                parent => &child.path[parent.len() + 1..],
            };
            return inside.split('.').next().unwrap_or(inside).to_owned();
        }
        if let Some(known) = self.attributes.get(&call.children) {
            return known.clone();
        }
        let name = child.graph.rsplit('.').next().unwrap_or_default();
        let name = self.new_name(name);
        self.attributes.insert(call.children.clone(), name.clone());
        name
    }

    pub fn writer<'w>(&'w mut self, site: Site, previous: &'w str) -> Writer<'w, 'b> {
        Writer {
            class: self,
            site,
            previous,
        }
    }

    fn weights(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let declared: &'b [TracedWeight] = &self.first().weights;
        for (place, declared) in declared.iter().enumerate() {
            let (mut columns, mut made) = (Vec::new(), Vec::new());
            for (column, &member) in self.columns().iter().zip(self.members) {
                if let Some(own) = &self.trace[member].weights[place].made {
                    columns.push(*column);
                    made.push(own);
                }
            }
            let Some(first) = made.first() else { continue };
            let columns: Rc<[Column]> = columns.into();
            let sizes = (0..first.shape.len()).map(|axis| {
                let known: Vec<&Known> = made.iter().map(|made| &made.shape[axis]).collect();
                let slot = merge_known(&known, &columns);
                self.writer(Site::Init, "").slot(&slot)
            });
            let sizes: Vec<String> = sizes.collect();
            let comma = if sizes.len() == 1 { "," } else { "" };
            let over = |builder: &mut Self, hint: &str, values: Vec<Literal>| {
                let mut of_all = vec![None; builder.members.len()];
                for (column, value) in columns.iter().zip(values) {
                    of_all[column.instance] = Some(value);
                }
                builder.made_up(hint, of_all, Site::Init)
            };
            let inits = made.iter().map(|made| Literal::Init(made.init)).collect();
            let init = over(self, "init", inits);
            let usual = made.iter().all(|made| made.decay == (made.shape.len() > 1));
            let decay = match usual {
                true => String::new(),
                false => {
                    let values = made.iter().map(|made| Literal::Bool(made.decay)).collect();
                    format!(", decay={}", over(self, "decay", values))
                }
            };
            let name = python::quoted(&declared.name);
            let line = format!(
                "add_weight(self, {name}, ({}{comma}), {init}{decay})",
                sizes.join(", ")
            );
            let whens = self
                .members
                .iter()
                .map(|&m| self.trace[m].weights[place].when.as_ref());
            let whens: Option<Vec<&Known>> = whens.collect();
            let when = whens.map(|known| merge_known(&known, &self.columns()));
            match self.guard(when.as_ref(), &columns, &declared.name, Site::Init) {
                Some(test) => lines.extend([format!("if {test}:"), format!("    {line}")]),
                None => lines.push(line),
            }
        }
        lines
    }

    fn assemble(&self, name: &str, init: &[String], forward: &[String]) -> String {
        let names: Vec<&str> = self
            .params
            .iter()
            .map(|param| param.name.as_str())
            .collect();
        let mut text = format!("class {name}(nn.Module):\n");
        let doc = self.first().doc.replace('\\', "\\\\").replace('"', "'");
        text += &format!("    \"\"\"{}\"\"\"\n\n", doc.trim());
        let kept = self.params.iter().filter(|param| param.kept);
        let kept = kept.map(|param| format!("self.{0} = {0}", param.name));
        let init: Vec<String> = kept.chain(init.iter().cloned()).collect();
        if !init.is_empty() {
            let args = [&["self"][..], &names].concat();
            text += &format!(
                "    def __init__({}):\n        super().__init__()\n",
                args.join(", ")
            );
            for line in init {
                text += &format!("        {line}\n");
            }
            text += "\n";
        }
        for line in forward {
            text += &format!("    {line}\n");
        }
        text
    }
}

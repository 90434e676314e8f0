//! What is known inside one use of a graph: the values of its names, and the path its weights are named by.

use super::{source::Source, value::Partial, value::Value};
use crate::{
    diagnostic::Span,
    language::graph_file::{GraphFile, Step, WeightDecl},
};
use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
    sync::Arc,
};

/// Where an instance stands: `encoder.layers.0.blocks.1.attn`.
#[derive(Debug, Clone)]
pub struct Path {
    text: Arc<str>,
    /// The call inside an expression that this instance belongs to: it has no name of its own, so it owns no weights.
    nameless: Option<Span>,
}

impl Path {
    /// The top graph's.
    pub fn top() -> Self {
        Path {
            text: "".into(),
            nameless: None,
        }
    }

    /// What stands under a step. Inside a nameless instance all steps share the path of the step it stands in.
    pub fn step(&self, name: &str) -> Self {
        match self.nameless {
            Some(_) => self.clone(),
            None => Path {
                text: self.named(name).into(),
                nameless: None,
            },
        }
    }

    /// A call in the midst of an expression.
    pub fn inside(&self, call: &Span) -> Self {
        Path {
            text: self.text.clone(),
            nameless: Some(self.nameless.as_ref().unwrap_or(call).clone()),
        }
    }

    /// The full name of a weight.
    pub fn named(&self, name: &str) -> String {
        match &*self.text {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The call that leaves this instance without a name.
    pub fn nameless(&self) -> Option<&Span> {
        self.nameless.as_ref()
    }
}

/// The names of one use of a graph file.
pub struct Frame<'f> {
    pub file: &'f GraphFile,
    pub path: Path,
    pub values: HashMap<&'f str, Value>,
    /// Graph-typed params: they stand before a `(`, where a step of the same name cannot be meant.
    pub graphs: HashMap<&'f str, Rc<Partial>>,
    /// Weights whose `when` does not hold.
    pub off: HashSet<&'f str>,
    /// What `...` stands for.
    pub rest: Option<Vec<(usize, Source)>>,
    /// Whether only an input without a value could tell that.
    pub rest_broken: bool,
    /// Names that have no value because of a mistake that was told. What needs them is passed over in silence.
    pub broken: HashSet<&'f str>,
}

/// A name that stands for an expression not evaluated yet.
#[derive(Clone, Copy)]
pub enum Goal<'f> {
    Weight(&'f WeightDecl),
    Step(&'f Step),
}

impl<'f> Goal<'f> {
    pub fn name(self) -> &'f str {
        match self {
            Goal::Weight(weight) => &weight.name.value,
            Goal::Step(step) => &step.name.value,
        }
    }
}

impl<'f> Frame<'f> {
    pub fn new(file: &'f GraphFile, path: Path) -> Self {
        Frame {
            file,
            path,
            values: HashMap::new(),
            graphs: HashMap::new(),
            off: HashSet::new(),
            rest: None,
            rest_broken: false,
            broken: HashSet::new(),
        }
    }

    /// What has to be evaluated before the name has a value. `None` where it has one, or never will.
    pub fn goal(&self, name: &str) -> Option<Goal<'f>> {
        let settled = self.values.contains_key(name) || self.off.contains(name);
        if settled || self.broken.contains(name) {
            return None;
        }
        let weights = self.file.weights.iter();
        let weight = weights.clone().find(|weight| weight.name.value == name);
        let step = || self.file.steps.iter().find(|step| step.name.value == name);
        weight.map(Goal::Weight).or_else(|| step().map(Goal::Step))
    }
}

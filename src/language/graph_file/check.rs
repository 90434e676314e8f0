//! Names: each bound once, each used, none undefined, whether an option reaches it or not.

use super::{Dim, GraphFile, ParamKind, StepBody, TensorDecl, order};
use crate::{
    diagnostic::{Diagnostic, Span},
    language::{
        expression::{Expr, ExprKind},
        names::{BARE_INITIALISERS, BUILTINS, FOLD_NAMES},
    },
};
use std::collections::{HashMap, HashSet};

/// `complete` says that nothing was left out for mistakes of its own, so what seems unused is.
pub fn check(graph: &GraphFile, complete: bool) -> Vec<Diagnostic> {
    let mut check = Check {
        graph,
        values: HashMap::new(),
        graphs: HashMap::new(),
        used: HashSet::new(),
        taken: HashSet::new(),
        found: Vec::new(),
    };
    check.bind();
    check.look_up();
    check.found.extend(order::check(graph, &check.taken));
    if complete && check.found.is_empty() {
        check.unused();
    }
    check.found
}

/// More than this many mistakes with names are not reported: each is compared with every name there is.
const ENOUGH: usize = 20;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Param,
    Input,
    Dimension,
    Weight,
    Step,
    /// A dimension that the shape of an output binds.
    OutputDimension,
}

impl What {
    fn text(self) -> &'static str {
        match self {
            What::Param => "a param",
            What::Input => "an input",
            What::Dimension => "a dimension",
            What::Weight => "a weight",
            What::Step => "a step",
            What::OutputDimension => "a dimension of an output",
        }
    }
}

/// Where a name is used, and so which names it can mean.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// The default of the n-th param: the params before it.
    Default(usize),
    InputShape,
    /// Everything but the dimensions of outputs.
    Body,
    /// As the body, with `prev` and `i`.
    Fold,
    OutputShape,
}

struct Check<'a> {
    graph: &'a GraphFile,
    values: HashMap<&'a str, (What, &'a Span)>,
    /// Params that are graphs: they stand before a `(` and cannot be mistaken for values.
    graphs: HashMap<&'a str, &'a Span>,
    used: HashSet<&'a str>,
    /// Names that two things claim.
    taken: HashSet<&'a str>,
    found: Vec<Diagnostic>,
}

impl<'a> Check<'a> {
    fn bind(&mut self) {
        let graph = self.graph;
        for param in &graph.params {
            let name = &param.name;
            if param.kind != ParamKind::Graph {
                self.bind_value(&name.value, What::Param, &name.span);
            } else if BUILTINS.contains(&name.value.as_str()) {
                let message = format!("the graph `{}` hides a built-in of this name", name.value);
                self.found
                    .push(Diagnostic::error("name-taken", message).at(&name.span));
            } else {
                self.graphs.insert(&name.value, &name.span);
            }
        }
        for input in &graph.inputs {
            self.bind_value(&input.name.value, What::Input, &input.name.span);
        }
        self.bind_dimensions(&graph.inputs, What::Dimension);
        for weight in &graph.weights {
            self.bind_value(&weight.name.value, What::Weight, &weight.name.span);
        }
        for step in &graph.steps {
            self.bind_value(&step.name.value, What::Step, &step.name.span);
        }
        self.bind_dimensions(&graph.outputs, What::OutputDimension);
        self.check_rest();
    }

    fn bind_value(&mut self, name: &'a str, what: What, span: &'a Span) {
        match self.values.get(name) {
            None => {
                self.values.insert(name, (what, span));
            }
            Some((taken, first)) => {
                let message = format!("`{name}` is {} already", taken.text());
                let error = Diagnostic::error("name-taken", message).at(span);
                self.found.push(
                    error
                        .note_at(format!("{} `{name}`", taken.text()), *first)
                        .help("each name of a file stands for one thing"),
                );
                self.taken.insert(name);
            }
        }
    }

    /// A bare name in a shape that nothing else binds is a dimension.
    fn bind_dimensions(&mut self, tensors: &'a [TensorDecl], what: What) {
        for expr in tensors.iter().flat_map(TensorDecl::exprs) {
            let ExprKind::Name(name) = &expr.kind else {
                continue;
            };
            match self.values.get(name.as_str()) {
                None if FOLD_NAMES.contains(&name.as_str()) => {}
                None => self.bind_value(name, what, &expr.span),
                Some((What::Input | What::Weight, _)) => {
                    self.bind_value(name, what, &expr.span);
                }
                Some(_) => {}
            }
        }
    }

    /// `...` of an output repeats that of an input.
    fn check_rest(&mut self) {
        let rest = |tensor: &'a TensorDecl| match tensor.dims.first() {
            Some(Dim::Rest(span)) => Some(span),
            _ => None,
        };
        if self.graph.inputs.iter().all(|input| rest(input).is_none()) {
            let outputs = self.graph.outputs.iter().filter_map(rest);
            self.found.extend(outputs.map(|span| {
                let message = "no input has `...`, so it stands for nothing here";
                Diagnostic::error("shape-syntax", message).at(span)
            }));
        }
    }

    fn look_up(&mut self) {
        let graph = self.graph;
        for (i, param) in graph.params.iter().enumerate() {
            if let Some(default) = &param.default {
                self.names_of(default, Place::Default(i));
            }
        }
        let shapes = |tensors: &'a [TensorDecl]| tensors.iter().flat_map(TensorDecl::exprs);
        shapes(&graph.inputs).for_each(|expr| self.names_of(expr, Place::InputShape));
        let advice = graph.advise.iter().map(|advice| &advice.should);
        graph
            .require
            .iter()
            .chain(advice)
            .for_each(|expr| self.names_of(expr, Place::Body));
        for weight in &graph.weights {
            weight
                .exprs()
                .for_each(|expr| self.names_of(expr, Place::Body));
        }
        for step in &graph.steps {
            match &step.body {
                StepBody::Value(expr) => self.names_of(expr, Place::Body),
                StepBody::Repeat { count, from, each } => {
                    self.names_of(count, Place::Body);
                    self.names_of(from, Place::Body);
                    self.names_of(each, Place::Fold);
                }
            }
        }
        for output in &graph.outputs {
            match self.values.get(output.name.value.as_str()) {
                Some((What::Step | What::Weight | What::Input, _)) => {
                    self.used.insert(&output.name.value);
                }
                _ => self.undefined(&output.name.value, &output.name.span, Place::Body),
            }
        }
        shapes(&graph.outputs).for_each(|expr| self.names_of(expr, Place::OutputShape));
    }

    fn names_of(&mut self, expr: &'a Expr, place: Place) {
        expr.walk(&mut |expr| match &expr.kind {
            ExprKind::Name(name) => self.name(name, &expr.span, place),
            ExprKind::Call { function, .. } if self.graphs.contains_key(&*function.value) => {
                self.used.insert(&function.value);
            }
            _ => {}
        });
    }

    fn name(&mut self, name: &'a str, span: &Span, place: Place) {
        let fold = matches!(place, Place::Fold) && FOLD_NAMES.contains(&name);
        let value = self
            .values
            .get(name)
            .is_some_and(|(what, _)| self.reaches(name, *what, place));
        // A graph can be handed on by its name.
        let graph = self.graphs.contains_key(name) && !self.values.contains_key(name);
        if value || graph {
            self.used.insert(name);
        } else if !fold && !BARE_INITIALISERS.contains(&name) {
            self.undefined(name, span, place);
        }
    }

    fn reaches(&self, name: &str, what: What, place: Place) -> bool {
        match place {
            Place::Default(n) => {
                let before = &self.graph.params[..n];
                what == What::Param && before.iter().any(|param| param.name.value == name)
            }
            Place::InputShape => matches!(what, What::Param | What::Dimension),
            Place::Body | Place::Fold => what != What::OutputDimension,
            Place::OutputShape => true,
        }
    }

    fn undefined(&mut self, name: &str, span: &Span, place: Place) {
        if self.found.len() >= ENOUGH {
            return;
        }
        let error = Diagnostic::error("undefined-name", format!("`{name}` is not defined here"));
        let mut error = error.at(span);
        if let Some((what, first)) = self.values.get(name) {
            error = error.note_at(format!("`{name}` is {}", what.text()), *first);
        }
        let reached = self
            .values
            .iter()
            .filter(|(name, (what, _))| self.reaches(name, *what, place));
        let mut near: Vec<_> = reached
            .map(|(name, _)| *name)
            .chain(["true", "false", "null"])
            .collect();
        // The map has no order of its own, and of two equally near names the first is proposed.
        near.sort_unstable();
        let help = match place {
            _ if FOLD_NAMES.contains(&name) => "`prev` and `i` stand in `each`",
            Place::Default(_) => {
                "a default is made of the params before it; a text needs `type: str`"
            }
            Place::InputShape => "the shape of an input is made of params and dimensions",
            Place::Body | Place::Fold | Place::OutputShape if BUILTINS.contains(&name) => {
                "this is a built-in, and it is called"
            }
            Place::Body | Place::Fold | Place::OutputShape => {
                return self.found.push(error.suggest(name, near));
            }
        };
        self.found.push(error.help(help).suggest(name, near));
    }

    fn unused(&mut self) {
        let graph = self.graph;
        let params = graph.params.iter().map(|param| ("param", &param.name));
        let weights = graph.weights.iter().map(|weight| ("weight", &weight.name));
        let steps = graph.steps.iter().map(|step| ("step", &step.name));
        let unused = params.chain(weights).chain(steps);
        let unused = unused.filter(|(_, name)| !self.used.contains(name.value.as_str()));
        self.found.extend(unused.map(|(what, name)| {
            Diagnostic::error(
                "unused",
                format!("nothing uses the {what} `{}`", name.value),
            )
            .at(&name.span)
            .help("use it or leave it out")
        }));
    }
}

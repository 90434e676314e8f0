//! What each use of a graph file computes, once every choice is made: for who writes the model down in another language.
//!
//! A [`Term`] is an expression of a graph file. What is a tensor keeps its form; what is a number, a text or a list has its
//! value, and beside it the words it was written in, so that uses that differ in nothing but numbers can be told as one.

use super::{
    Elaborator,
    instance::Invocation,
    scope::Frame,
    value::{Data, Value},
};
use crate::{
    diagnostic::{Result, Span},
    ir::ops::{Init, InputKind, own},
    language::{
        expression::{BinaryOp, CompareOp, ExprKind},
        graph_file::{Dim, GraphFile},
    },
};
use std::sync::Arc;

/// What is known while compiling.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// Of numbers.
    List(Vec<Literal>),
    /// How a weight starts.
    Init(Init),
}

/// An expression without tensors.
#[derive(Debug, Clone)]
pub struct Known {
    /// What it is worth.
    pub value: Literal,
    /// How the file says it; empty where it says it by words that only a graph file has.
    pub words: Vec<Word>,
}

/// A piece of an expression without tensors.
#[derive(Debug, Clone)]
pub enum Word {
    /// Operators and literals, which mean in Python what they mean here.
    Text(String),
    /// A name and what it is worth.
    Leaf(String, Literal),
    /// A name whose value grows with the number of images.
    Batch(String),
}

/// An expression with tensors in it, or with none in this instance.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "as the expressions of the language, which see")]
pub enum Term {
    Known(Known),
    /// An input, a weight, a step, or `prev`.
    Name(String),
    Negate(Box<Term>),
    Binary(BinaryOp, Box<[Term; 2]>),
    Compare(Vec<Term>, Vec<CompareOp>),
    /// One place of the first axis.
    Element(Box<Term>, Known),
    /// The branch that is taken.
    Choice {
        test: Known,
        taken: bool,
        value: Box<Term>,
    },
    Builtin {
        name: &'static str,
        /// By the names of the signature; several of one that takes any number.
        args: Vec<(&'static str, Term)>,
        /// What names the sizes of axes.
        sizes: Vec<(String, Known)>,
    },
    /// Of a graph: `child` is its place in the trace.
    Call {
        child: usize,
        args: Vec<Term>,
        /// What the call gives for params.
        keywords: Vec<(String, Known)>,
    },
    Repeat {
        count: Known,
        from: Box<Term>,
        turns: Vec<Term>,
    },
}

/// One use of a graph file.
#[derive(Debug, Clone, Default)]
pub struct Traced {
    /// `nn.linear`
    pub graph: String,
    /// What the file says of itself.
    pub doc: String,
    /// Where its weights stand.
    pub path: String,
    /// Whether it is called in the midst of an expression, and so has no path of its own.
    pub nameless: bool,
    /// The use that calls it; none for the model.
    pub parent: Option<usize>,
    /// The tensors it takes.
    pub inputs: Vec<String>,
    /// Names of axes that grow with the number of images: of which input, and which axis, below 0 from the end.
    pub sizes: Vec<(String, String, i64)>,
    /// Params that grow with the number of images.
    pub params: Vec<String>,
    /// What its other params, sizes and numbers are worth, by name.
    pub values: Vec<(String, Literal)>,
    /// In the order of the file; those that are switched off as well.
    pub weights: Vec<TracedWeight>,
    /// What was reached, in the order of the file.
    pub steps: Vec<(String, Term)>,
    /// Scopes of steps, which are names as well.
    pub scopes: Vec<String>,
    /// Its results; the first is what a call returns.
    pub outputs: Vec<String>,
}

/// A weight as one use of its file has it.
#[derive(Debug, Clone)]
pub struct TracedWeight {
    /// In the file.
    pub name: String,
    /// The condition under which there is one.
    pub when: Option<Known>,
    /// Unless it is switched off.
    pub made: Option<Made>,
}

/// Shape and start of a weight.
#[derive(Debug, Clone)]
pub struct Made {
    /// One size for each axis.
    pub shape: Vec<Known>,
    /// Its first values.
    pub init: Init,
    /// Whether weight decay applies.
    pub decay: bool,
}

/// The trace of one elaboration, under way.
#[derive(Default)]
pub(super) struct Tracer {
    pub instances: Vec<Traced>,
    /// The call that each instance comes from: the step it stands in, and its place in the file.
    calls: Vec<(Arc<str>, Span)>,
    open: Vec<usize>,
}

impl Tracer {
    /// The instance that is being looked at.
    pub fn current(&self) -> Option<usize> {
        self.open.last().copied()
    }

    /// The instance that a call of the current one has made. A call without a path may be made in several turns of a fold.
    pub fn child(&self, origin: &str, call: &Span, turn: usize) -> Option<usize> {
        let parent = self.current();
        let made = self.calls.iter().enumerate().filter(|(id, (step, span))| {
            self.instances[*id].parent == parent && **step == *origin && span == call
        });
        let made: Vec<usize> = made.map(|(id, _)| id).collect();
        made.get(turn).or(made.last()).copied()
    }
}

impl Elaborator<'_> {
    /// Lists an instance before what it calls.
    pub(super) fn trace_enter(&mut self, invocation: &Invocation) {
        let origin = self.rewriter.origin().path.clone();
        let Some(tracer) = &mut self.trace else {
            return;
        };
        let file = invocation.file;
        tracer.instances.push(Traced {
            graph: file.name.clone(),
            doc: file.doc.clone(),
            path: invocation.path.text().to_string(),
            nameless: invocation.path.nameless().is_some(),
            parent: tracer.current(),
            inputs: names(file.inputs.iter().map(|input| &input.name.value)),
            outputs: names(file.outputs.iter().map(|output| &output.name.value)),
            scopes: names(file.steps.iter().filter_map(|step| step.scope.as_ref())),
            ..Traced::default()
        });
        tracer.calls.push((origin, invocation.span.clone()));
        tracer.open.push(tracer.instances.len() - 1);
    }

    pub(super) fn trace_leave(&mut self) {
        if let Some(tracer) = &mut self.trace {
            tracer.open.pop();
        }
    }

    /// Notes what the instance computes; its frame has every value by now.
    pub(super) fn trace_inside<'f>(&mut self, frame: &mut Frame<'f>) -> Result<()> {
        let Some(id) = self.trace.as_ref().and_then(Tracer::current) else {
            return Ok(());
        };
        let file = frame.file;
        let mut weights = Vec::new();
        for declared in &file.weights {
            let name = &declared.name.value;
            let when = declared.when.as_ref();
            let when = when.map(|when| self.known(frame, when)).transpose()?;
            let made = match frame.values.get(name.as_str()).and_then(Value::tensor) {
                None => None,
                Some(tensor) => {
                    let shape = declared.shape.iter().map(|size| self.known(frame, size));
                    let shape = shape.collect::<Result<_>>()?;
                    let input =
                        own::<crate::ir::ops::Input>(self.rewriter.graph(), tensor.value.node);
                    match input.map(|input| &input.kind) {
                        Some(&InputKind::Weight { decay, init }) => {
                            Some(Made { shape, init, decay })
                        }
                        _ => None,
                    }
                }
            };
            let name = name.clone();
            weights.push(TracedWeight { name, when, made });
        }
        let mut steps = Vec::new();
        for step in &file.steps {
            if frame.values.contains_key(step.name.value.as_str()) {
                steps.push((step.name.value.clone(), self.step_term(frame, step)?));
            }
        }
        let sizes = batch_sizes(file, frame);
        let grows = |name: &&String| frame.values.get(name.as_str()).is_some_and(over_batch);
        let params = file.params.iter().map(|param| &param.name.value);
        let params = names(params.filter(grows));
        let known = frame.values.iter().filter(|(_, value)| !over_batch(value));
        let known = known.filter_map(|(name, value)| Some((name.to_string(), literal(value)?)));
        let mut values: Vec<_> = known.collect();
        values.sort_by(|(a, _), (b, _)| a.cmp(b));
        if let Some(tracer) = &mut self.trace {
            let traced = &mut tracer.instances[id];
            (traced.weights, traced.steps) = (weights, steps);
            (traced.sizes, traced.params, traced.values) = (sizes, params, values);
        }
        Ok(())
    }
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    names.cloned().collect()
}

/// Where the names of axes that grow with the images can be read off.
fn batch_sizes(file: &GraphFile, frame: &Frame) -> Vec<(String, String, i64)> {
    let mut found: Vec<(String, String, i64)> = Vec::new();
    for input in &file.inputs {
        let rest = matches!(input.dims.first(), Some(Dim::Rest(_)));
        let is_tensor = frame.values.get(input.name.value.as_str());
        if is_tensor.is_none_or(|value| value.tensor().is_none()) {
            continue;
        }
        for (axis, dim) in input.dims.iter().enumerate() {
            if let Dim::Size(size) = dim
                && let ExprKind::Name(name) = &size.kind
                && frame.values.get(name.as_str()).is_some_and(over_batch)
                && found.iter().all(|(known, ..)| known != name)
            {
                let from_end = if rest { input.dims.len() } else { 0 };
                let axis = axis as i64 - from_end as i64;
                found.push((name.clone(), input.name.value.clone(), axis));
            }
        }
    }
    found
}

/// Whether a number, or one of a list, depends on how many images there are.
pub(super) fn over_batch(value: &Value) -> bool {
    match &value.data {
        Data::List(items) => items.iter().any(over_batch),
        _ => value.source.is_over_batch(),
    }
}

/// Nothing where a value is no number, text, list or initialiser.
pub(super) fn literal(value: &Value) -> Option<Literal> {
    Some(match &value.data {
        Data::Null => Literal::Null,
        Data::Bool(value) => Literal::Bool(*value),
        Data::Int(value) => Literal::Int(*value),
        Data::Float(value) => Literal::Float(*value),
        Data::Text(text) => Literal::Text(text.to_string()),
        Data::List(items) => Literal::List(items.iter().map(literal).collect::<Option<_>>()?),
        // One that goes by the fan-in is none before there is a weight.
        Data::Initialiser(initialiser) => Literal::Init(initialiser.resolve().ok()?),
        Data::Graph(_) | Data::Tensor(_) => return None,
    })
}

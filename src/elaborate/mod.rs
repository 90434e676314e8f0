//! From graph files and the numbers of a recipe to one graph: every call inlined, every size a number, every weight named.
//!
//! A graph file is used by `instance`; its names are evaluated when they are first reached (`names`), each once. Numbers
//! are worked out here (`number`); tensors become nodes (`tensor`, `builtins`). Every number remembers where it came
//! from (`source`), and every mistake is a diagnostic.

mod alone;
mod builtins;
mod calls;
mod eval;
mod initial;
mod instance;
mod limits;
mod model;
mod names;
mod number;
mod params;
mod recipe;
mod require;
mod scope;
mod source;
mod tensor;
mod terms;
pub mod trace;
mod value;
mod weights;

use crate::{
    diagnostic::{Diagnostic, Diagnostics, Result, Span},
    ir::{Graph, Rewriter, new_graph, ops::Init},
    language::{
        expression::{Expr, Spanned},
        graph_file::GraphFile,
        library::Library,
    },
    recipe::GraphRef,
};
pub use alone::{elaborate_alone, elaborate_on};
pub use builtins::signatures;
pub use initial::initial;
pub use model::elaborate_output;

use scope::Path;
use std::{collections::HashMap, sync::Arc};
use value::Value;

/// The input that every model takes.
const IMAGE: &str = "image";

/// What the graph is elaborated for.
pub struct Setting<'a> {
    /// Images per run of the graph.
    pub batch: usize,
    /// Pixels per image side.
    pub size: usize,
    /// Where the size was written, for messages.
    pub size_span: Option<Span>,
    /// Channels of an image.
    pub chans: usize,
    /// What the graph is for.
    pub mode: Mode,
    /// Whether the first output of the instance at a path becomes the root `act.<path>`.
    pub keep: &'a dyn Fn(&str) -> bool,
}

impl Setting<'static> {
    /// Training on RGB images of `size` pixels per side, with no root but the model's outputs.
    pub fn training(batch: usize, size: usize) -> Self {
        Setting {
            batch,
            size,
            size_span: None,
            chans: 3,
            mode: Mode::Train,
            keep: &|_| false,
        }
    }
}

/// What a graph is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To be differentiated: `skip` drops.
    Train,
    /// `skip` keeps everything.
    Evaluate,
}

/// A model as one graph. Its roots are the model's outputs, the first one under the name `loss`.
pub struct Elaborated {
    /// All calls inlined.
    pub graph: Graph,
    /// In the order of creation: those of an instance before those of its steps.
    pub weights: Vec<Weight>,
    /// Every use of a graph that has a path, in the order of their first evaluation, outer before inner.
    pub instances: Vec<Instance>,
    /// What the caller feeds besides `image`, by name.
    pub feeds: Vec<Feed>,
    /// Advice of the graph files that the model does not follow.
    pub warnings: Vec<Diagnostic>,
}

/// A named input of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// As it is fed.
    pub name: String,
    /// The images' axis first, where it has one.
    pub dims: Vec<usize>,
    /// Where it is asked for first.
    pub span: Span,
    /// The instance that asks.
    pub instance: String,
}

/// A weight of the model, and how it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// `encoder.layers.0.blocks.1.attn.qkv.weight`
    pub name: String,
    /// The official checkpoint's shape.
    pub dims: Vec<usize>,
    /// Whether weight decay applies.
    pub decay: bool,
    /// Its first values.
    pub init: Init,
}

/// One use of a graph file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// `encoder.layers.0.blocks.1.attn`; empty for the top graph.
    pub path: String,
    /// `swin.attention`
    pub graph: String,
    /// The inputs and the steps that are tensors, with their dims, in the order of the file.
    pub inside: Vec<(String, Vec<usize>)>,
    /// The outputs that are tensors, with their dims.
    pub outputs: Vec<(String, Vec<usize>)>,
    /// Parameters of its weights and of everything below it.
    pub parameters: usize,
}

/// Elaborates a model on images `[batch, chans, size, size]`, fed as `image`.
///
/// # Errors
/// Every mistake that only shows with the values of a recipe: a param out of range, shapes that do not fit, a `require` that
/// does not hold. Graph files are checked as they are reached.
pub fn elaborate(library: &Library, model: &GraphRef, setting: &Setting) -> Result<Elaborated> {
    elaborated(library, setting, |elaborator| elaborator.model(model))
}

fn elaborated(
    library: &Library,
    setting: &Setting,
    build: impl FnOnce(&mut Elaborator) -> Result<()>,
) -> Result<Elaborated> {
    let mut graph = new_graph(setting.batch);
    let mut elaborator = Elaborator::new(library, setting, &mut graph);
    if let Err(errors) = build(&mut elaborator) {
        elaborator.record(&Path::top(), errors);
    }
    let Elaborator {
        weights,
        instances,
        mut feeds,
        warnings,
        found,
        ..
    } = elaborator;
    if !found.is_empty() {
        return Err(Diagnostics(found).in_order());
    }
    feeds.retain(|feed| feed.name != IMAGE);
    Ok(Elaborated {
        graph,
        weights,
        instances,
        feeds,
        warnings,
    })
}

/// Elaborates a model as [`elaborate`] does, and tells what each use of a graph file computes: the model's first, those of an
/// instance behind it.
///
/// # Errors
/// As [`elaborate`].
pub fn elaborate_traced(
    library: &Library,
    model: &GraphRef,
    setting: &Setting,
) -> Result<(Elaborated, Vec<trace::Traced>)> {
    let mut trace = Vec::new();
    let elaborated = elaborated(library, setting, |elaborator| {
        elaborator.trace = Some(trace::Tracer::default());
        elaborator.model(model)?;
        trace = elaborator.trace.take().map_or(Vec::new(), |t| t.instances);
        Ok(())
    })?;
    Ok((elaborated, trace))
}

/// What is wrong with a model as a recipe writes it, before anything is called: graphs and params that do not exist, values
/// of another type or out of range.
pub fn check_written(library: &Library, model: &GraphRef) -> Vec<Diagnostic> {
    let setting = Setting::training(1, 1);
    let mut graph = new_graph(1);
    let mut elaborator = Elaborator::new(library, &setting, &mut graph);
    match elaborator.recipe_graph(model) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.0,
    }
}

impl Elaborated {
    /// Parameters of the whole model.
    pub fn parameters(&self) -> usize {
        self.weights.iter().map(Weight::len).sum()
    }

    /// The instances right under the top graph: encoder, head, loss.
    pub fn parts(&self) -> impl Iterator<Item = &Instance> {
        let top = |path: &str| !path.is_empty() && !path.contains('.');
        self.instances.iter().filter(move |part| top(&part.path))
    }
}

impl Weight {
    /// Elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The state of one elaboration.
struct Elaborator<'e> {
    library: &'e Library,
    setting: &'e Setting<'e>,
    rewriter: Rewriter<'e>,
    weights: Vec<Weight>,
    /// Where each weight is declared, in the order of `weights`.
    declared: Vec<Span>,
    instances: Vec<Instance>,
    feeds: Vec<Feed>,
    /// How many tensors were drawn at a path.
    draws: HashMap<Arc<str>, usize>,
    used: limits::Used,
    found: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// Kept where somebody asks for it.
    trace: Option<trace::Tracer>,
}

impl<'e> Elaborator<'e> {
    fn new(library: &'e Library, setting: &'e Setting<'e>, graph: &'e mut Graph) -> Self {
        Elaborator {
            library,
            setting,
            rewriter: Rewriter::new(graph),
            weights: Vec::new(),
            declared: Vec::new(),
            instances: Vec::new(),
            feeds: Vec::new(),
            draws: HashMap::new(),
            used: limits::Used::default(),
            found: Vec::new(),
            warnings: Vec::new(),
            trace: None,
        }
    }

    /// Keeps errors, told as those of the instance unless an inner one has claimed them.
    fn record(&mut self, path: &Path, errors: Diagnostics) {
        for mut error in errors.0 {
            // The same number in another expression, for the same reason.
            let same = |told: &Diagnostic| {
                let alike = told.notes == error.notes && !error.notes.is_empty();
                told.message == error.message && (alike || error.code == "too-large")
            };
            if self.found.iter().any(same) {
                continue;
            }
            if self.found.len() == limits::REPORTED {
                self.used.up = true;
                return;
            }
            if error.instance.is_none() && !path.text().is_empty() {
                error.instance = Some(path.text().to_string());
            }
            self.found.push(error);
        }
    }

    /// A graph file by its name, which stands in a recipe or in another graph file.
    fn graph_file(&self, name: &Spanned<String>) -> Result<Arc<GraphFile>> {
        self.library.get(&name.value).map_err(|mut errors| {
            for error in &mut errors.0 {
                error.span.get_or_insert_with(|| name.span.clone());
            }
            errors
        })
    }
}

/// `a`, `b` and `c`, or the word for none.
fn one_or_more(names: &[&str], none: &str) -> String {
    match names {
        [] => none.to_owned(),
        [one] => format!("`{one}`"),
        [most @ .., last] => format!("`{}` and `{last}`", most.join("`, `")),
    }
}

/// An error about an expression, with the history of every number in it.
fn about(
    code: &'static str,
    message: String,
    expr: &Expr,
    parts: &[(&Expr, &Value)],
) -> Diagnostic {
    let error = Diagnostic::error(code, message).at(&expr.span);
    let told = parts
        .iter()
        .filter(|(part, value)| !is_literal(part) && value.tensor().is_none());
    told.fold(error, |error, (part, value)| {
        value.source.explain(error, &part.to_string(), value)
    })
}

fn is_literal(expr: &Expr) -> bool {
    use crate::language::expression::ExprKind::*;
    match &expr.kind {
        List(items) => items.iter().all(is_literal),
        kind => matches!(kind, Int(_) | Float(_) | Text(_) | Bool(_) | Null),
    }
}

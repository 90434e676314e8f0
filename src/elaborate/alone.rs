//! One graph file by itself, whatever it takes and gives.

use super::{
    Elaborated, Elaborator, Feed, Setting, elaborated,
    instance::Invocation,
    one_or_more,
    scope::{Frame, Path},
    source::Source,
    tensor,
    value::Value,
};
use crate::{
    diagnostic::{Diagnostic, Result, Span},
    ir::ops::InputKind,
    language::{
        expression::{ExprKind, Spanned},
        graph_file::{Dim, GraphFile, TensorDecl},
        library::Library,
    },
    recipe::GraphRef,
};

/// Elaborates a graph file on inputs that are fed under their own names; every output becomes a root. Params have their
/// defaults. An input's shape is of numbers and params; a free name in front stands for the images of the setting.
///
/// # Errors
/// As [`elaborate`](super::elaborate), and an input of which the file does not say the size.
pub fn elaborate_alone(
    library: &Library,
    file: &GraphFile,
    setting: &Setting,
) -> Result<Elaborated> {
    elaborated(library, setting, |elaborator| {
        let mut frame = Frame::new(file, Path::top());
        elaborator.bind_params(&mut frame, Vec::new(), &file.span);
        if !elaborator.found.is_empty() {
            return Ok(());
        }
        let args = file.inputs.iter().map(|i| elaborator.fed(&frame, i));
        let args = args.collect::<Result<_>>()?;
        elaborator.top(file, args, Vec::new(), &file.span)
    })
}

/// As [`elaborate_alone`], a graph with params and with inputs of the given dims. A first axis as long as the batch is one of
/// images.
///
/// # Errors
/// As [`elaborate`](super::elaborate); inputs that the graph lacks, and those that it has beyond.
pub fn elaborate_on(
    library: &Library,
    graph: &GraphRef,
    inputs: &[(String, Vec<usize>)],
    setting: &Setting,
) -> Result<Elaborated> {
    elaborated(library, setting, |elaborator| {
        let top = elaborator.recipe_graph(graph)?;
        let file = elaborator.graph_file(&top.graph)?;
        let span = &graph.graph.span;
        let args = elaborator.fed_with(&file, inputs, span)?;
        elaborator.top(&file, args, top.params.clone(), span)
    })
}

impl Elaborator<'_> {
    /// Makes every output of the graph a root.
    fn top(
        &mut self,
        file: &GraphFile,
        args: Vec<Value>,
        params: Vec<(Spanned<String>, Value)>,
        span: &Span,
    ) -> Result<()> {
        let outputs = self.instantiate(Invocation {
            file,
            path: Path::top(),
            args: args.into_iter().map(Some).collect(),
            params,
            span: span.clone(),
            chosen: span.clone(),
        })?;
        for ((name, value), declared) in outputs.iter().zip(&file.outputs) {
            let Some(tensor) = value.tensor() else {
                let message = format!("the output `{name}` of a graph is a tensor, got {value}");
                let error = Diagnostic::error("wrong-type", message);
                return Err(error.at(&declared.name.span).into());
            };
            self.rewriter.add_root(name, &tensor.value);
        }
        self.rewriter.remove_dead();
        Ok(())
    }

    /// An input as its file declares it.
    fn fed(&mut self, frame: &Frame, input: &TensorDecl) -> Result<Value> {
        let (mut dims, mut axes) = (Vec::new(), Vec::new());
        for (place, dim) in input.dims.iter().enumerate() {
            let expr = match dim {
                Dim::Rest(span) => {
                    let message = "`...` says no size, and nothing else does";
                    return Err(Diagnostic::error("unknown-size", message).at(span).into());
                }
                Dim::Size(expr) => expr,
            };
            let free = matches!(&expr.kind, ExprKind::Name(n) if !frame.values.contains_key(&**n));
            if free && place == 0 {
                dims.push(self.setting.batch);
                axes.push(Source::batch());
                continue;
            }
            if free {
                let message = format!("nothing says how large `{expr}` is");
                let error = Diagnostic::error("unknown-size", message).at(&expr.span);
                return Err(error.help("write the number, or make it a param").into());
            }
            let size = self.eval(frame, expr, None)?;
            dims.push(self.axis_size(expr, &size)?);
            axes.push(size.source);
        }
        let name = &input.name;
        self.check_shape(&dims, &name.span)?;
        self.stand_at(&Path::top().step(&name.value));
        Ok(self.named_feed(&name.value, dims, axes, &name.span))
    }

    /// The inputs of a graph file, in its order.
    fn fed_with(
        &mut self,
        file: &GraphFile,
        inputs: &[(String, Vec<usize>)],
        span: &Span,
    ) -> Result<Vec<Value>> {
        let wanted: Vec<&str> = file.inputs.iter().map(|i| i.name.value.as_str()).collect();
        let given: Vec<&str> = inputs.iter().map(|(name, _)| name.as_str()).collect();
        let sorted = |names: &[&str]| {
            let mut names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            names.sort_unstable();
            names
        };
        if sorted(&wanted) != sorted(&given) {
            let message = format!(
                "{} takes {}, it is given {}",
                file.name,
                one_or_more(&wanted, "nothing"),
                one_or_more(&given, "nothing")
            );
            return Err(Diagnostic::error("wrong-inputs", message).at(span).into());
        }
        let dims = |name: &str| {
            let found = inputs.iter().find(|(given, _)| given == name);
            &found.expect("the names have been compared").1
        };
        let feed = |name: &str| self.feed(name, dims(name), span);
        wanted.into_iter().map(feed).collect()
    }

    fn feed(&mut self, name: &str, dims: &[usize], span: &Span) -> Result<Value> {
        self.check_shape(dims, span)?;
        let of_images = dims.first() == Some(&self.setting.batch);
        let axis = |axis: usize| match axis {
            0 if of_images => Source::batch(),
            _ => Source::given("the input"),
        };
        let axes = (0..dims.len()).map(axis).collect();
        Ok(self.named_feed(name, dims.to_vec(), axes, span))
    }

    fn named_feed(
        &mut self,
        name: &str,
        dims: Vec<usize>,
        axes: Vec<Source>,
        span: &Span,
    ) -> Value {
        let value = self.rewriter.input(name, &dims, InputKind::Feed);
        self.feeds.push(Feed {
            name: name.to_owned(),
            dims,
            span: span.clone(),
            instance: String::new(),
        });
        tensor::tensor(value, axes)
    }
}

//! One use of a graph file: params, inputs and what they require, weights, outputs.

use super::{
    Elaborator, Instance,
    scope::{Frame, Path},
    source::Source,
    value::{self, Data, Tensor, Value, size},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Note, Result, Span},
    ir::Origin,
    language::{
        expression::{Expr, ExprKind, Spanned},
        graph_file::{Dim, GraphFile, TensorDecl},
    },
};
use std::rc::Rc;

/// A graph file with everything it needs to become nodes.
pub struct Invocation<'a> {
    pub file: &'a GraphFile,
    pub path: Path,
    /// One per tensor; none for one that a mistake keeps from its value.
    pub args: Vec<Option<Value>>,
    pub params: Vec<(Spanned<String>, Value)>,
    /// The call, or the reference in a recipe.
    pub span: Span,
    /// Where the graph is named, so where its params are given.
    pub chosen: Span,
}

/// A declared size and the size that is there.
struct Size<'f> {
    tensor: &'f TensorDecl,
    want: &'f Expr,
    got: usize,
    source: Source,
}

impl Elaborator<'_> {
    /// The outputs of a graph, by name, in the order of the file. All mistakes that do not follow from one another are
    /// recorded.
    pub fn instantiate(&mut self, invocation: Invocation) -> Result<Vec<(String, Value)>> {
        let path = invocation.path.clone();
        let span = invocation.span.clone();
        let origin = self.rewriter.origin().clone();
        self.trace_enter(&invocation);
        let outputs = self.nested(&span, |this| this.inside(invocation));
        self.trace_leave();
        self.rewriter.set_origin(origin);
        outputs.map_err(|errors| {
            self.record(&path, errors);
            Diagnostics::follows()
        })
    }

    fn inside(&mut self, invocation: Invocation) -> Result<Vec<(String, Value)>> {
        let Invocation {
            file,
            path,
            args,
            params,
            span,
            chosen,
        } = invocation;
        let listed = self.enter(file, &path);
        let weights = self.weights.len();
        let mut frame = Frame::new(file, path);
        self.bind_params(&mut frame, params, &chosen);
        let outer = (span.file != chosen.file).then_some(&chosen);
        if let Err(mut errors) = self.bind_inputs(&mut frame, args, &span) {
            // The graph that does not fit was chosen elsewhere.
            for error in &mut errors.0 {
                error.notes.extend(outer.map(|chosen| Note {
                    text: format!("the choice of {}", file.name),
                    span: Some(chosen.clone()),
                }));
            }
            return Err(errors);
        }
        self.check_required(&mut frame)?;
        for weight in &file.weights {
            self.settle_name(&mut frame, &weight.name.value);
        }
        let mut outputs = Vec::new();
        for output in &file.outputs {
            match self.output(&mut frame, output) {
                Ok(value) => outputs.push((output.name.value.clone(), value)),
                Err(errors) => self.record(&frame.path, errors),
            }
        }
        if outputs.len() < file.outputs.len() {
            return Err(Diagnostics::follows());
        }
        self.check_advice(&mut frame)?;
        self.trace_inside(&mut frame)?;
        if let Some(listed) = listed {
            let created = self.weights[weights..].iter();
            self.instances[listed].parameters = created.map(super::Weight::len).sum();
            self.leave(&frame, listed, &outputs);
        }
        Ok(outputs)
    }

    /// Lists the instance, unless it has no name. Nodes made now belong to it.
    fn enter(&mut self, file: &GraphFile, path: &Path) -> Option<usize> {
        self.rewriter.set_origin(Origin {
            path: path.text().clone(),
            backward: false,
        });
        if path.nameless().is_some() {
            return None;
        }
        self.instances.push(Instance {
            path: path.text().to_string(),
            graph: file.name.clone(),
            inside: Vec::new(),
            outputs: Vec::new(),
            parameters: 0,
        });
        Some(self.instances.len() - 1)
    }

    fn leave(&mut self, frame: &Frame, listed: usize, outputs: &[(String, Value)]) {
        let dims = |name: &String, value: &Value| Some((name.clone(), value.tensor()?.dims()));
        let inputs = frame.file.inputs.iter().map(|input| &input.name.value);
        let steps = frame.file.steps.iter().map(|step| &step.name.value);
        let inside = inputs.chain(steps);
        let inside = inside.filter_map(|name| dims(name, frame.values.get(name.as_str())?));
        self.instances[listed].inside = inside.collect();
        let tensors = outputs.iter().filter_map(|(name, value)| dims(name, value));
        self.instances[listed].outputs = tensors.collect();
        let path = frame.path.text();
        if let Some((_, first)) = outputs.first()
            && let Some(tensor) = first.tensor()
            && !path.is_empty()
            && (self.setting.keep)(path)
        {
            self.rewriter
                .add_root(&format!("act.{path}"), &tensor.value);
        }
    }

    pub fn bind_inputs<'f>(
        &mut self,
        frame: &mut Frame<'f>,
        args: Vec<Option<Value>>,
        span: &Span,
    ) -> Result<()> {
        let file = frame.file;
        if args.len() != file.inputs.len() {
            let names: Vec<_> = file.inputs.iter().map(|i| i.name.value.as_str()).collect();
            let message = format!(
                "{} takes {}, got {} tensors",
                file.name,
                super::one_or_more(&names, "no tensor"),
                args.len()
            );
            let error = Diagnostic::error("wrong-inputs", message).at(span);
            return Err(error.note_at("the graph", &file.span).into());
        }
        let mut sizes = Vec::new();
        let mut broken = Vec::new();
        for (input, arg) in file.inputs.iter().zip(args) {
            let Some(arg) = arg else {
                frame.broken.insert(&input.name.value);
                broken.push(input);
                continue;
            };
            match &arg.data {
                Data::Tensor(tensor) => self.match_axes(frame, input, tensor, span, &mut sizes)?,
                // A number may stand for a tensor: no position bias is 0.
                _ if arg.number().is_some() => {}
                _ => {
                    let message = format!(
                        "`{}` of {} is a tensor or a number, got {}",
                        input.name.value,
                        file.name,
                        arg.describe()
                    );
                    let error = Diagnostic::error("wrong-type", message).at(span);
                    return Err(error.note_at("the input", &input.name.span).into());
                }
            }
            frame.values.insert(&input.name.value, arg);
        }
        for Size {
            want, got, source, ..
        } in &sizes
        {
            if let ExprKind::Name(name) = &want.kind
                && !frame.values.contains_key(name.as_str())
            {
                frame.values.insert(name, size(*got, source));
            }
        }
        // What only a broken input could tell is broken with it.
        for name in broken.iter().flat_map(|input| input.exprs()) {
            if let ExprKind::Name(name) = &name.kind
                && !frame.values.contains_key(name.as_str())
            {
                frame.broken.insert(name);
            }
        }
        let has_rest = |input: &&TensorDecl| matches!(input.dims.first(), Some(Dim::Rest(_)));
        frame.rest_broken = frame.rest.is_none() && broken.iter().any(has_rest);
        let mut found = Vec::new();
        for size in &sizes {
            if let Err(errors) = self.check_size(frame, size) {
                found.extend(errors.0);
            }
        }
        Diagnostics::unless(found, ())
    }

    /// Pairs the declared axes of an input with those of the tensor.
    fn match_axes<'f>(
        &mut self,
        frame: &mut Frame<'f>,
        input: &'f TensorDecl,
        tensor: &Tensor,
        span: &Span,
        sizes: &mut Vec<Size<'f>>,
    ) -> Result<()> {
        let dims = tensor.dims();
        let wants: Vec<_> = input.exprs().collect();
        let has_rest = wants.len() < input.dims.len();
        if dims.len() < wants.len() || (dims.len() > wants.len() && !has_rest) {
            let message = format!(
                "`{}` of {} is {}, got {dims:?}",
                input.name.value,
                frame.file.name,
                shape_text(input)
            );
            let error = Diagnostic::error("rank-differs", message).at(span);
            return Err(error.note_at("the input", &input.name.span).into());
        }
        let got = dims.into_iter().zip(tensor.axes.iter().cloned());
        let mut got: Vec<_> = got.collect();
        let own = got.split_off(got.len() - wants.len());
        if has_rest {
            let sizes = |rest: &[(usize, Source)]| rest.iter().map(|r| r.0).collect::<Vec<_>>();
            match &frame.rest {
                Some(known) if sizes(known) != sizes(&got) => {
                    let message = format!(
                        "`...` is {:?} in `{}` and {:?} before",
                        sizes(&got),
                        input.name.value,
                        sizes(known)
                    );
                    let error = Diagnostic::error("size-differs", message).at(span);
                    return Err(error.note_at("the input", &input.name.span).into());
                }
                Some(_) => {}
                None => frame.rest = Some(got),
            }
        }
        sizes.extend(
            wants
                .into_iter()
                .zip(own)
                .map(|(want, (got, source))| Size {
                    tensor: input,
                    want,
                    got,
                    source,
                }),
        );
        Ok(())
    }

    fn check_size(&mut self, frame: &Frame, size: &Size) -> Result<()> {
        let want = self.eval(frame, size.want, None)?;
        let got = value::size(size.got, &size.source);
        if matches!(want.data, Data::Int(n) if n == size.got as i64) {
            return Ok(());
        }
        let message = format!(
            "`{}` of {} is {}: {} is {want} there, but the tensor has {got}",
            size.tensor.name.value,
            frame.file.name,
            shape_text(size.tensor),
            size.want
        );
        let error = Diagnostic::error("size-differs", message).at(&size.want.span);
        let error = want.source.explain(error, &size.want.to_string(), &want);
        Err(got.source.explain(error, "the tensor's size", &got).into())
    }

    /// The value of an output, its shape checked. Sizes read from now on are told as the output declares them.
    pub fn output<'f>(&mut self, frame: &mut Frame<'f>, output: &'f TensorDecl) -> Result<Value> {
        let name = &output.name;
        self.settle_name(frame, &name.value);
        let value = frame.lookup(&name.value, &name.span)?;
        if frame.rest_broken && matches!(output.dims.first(), Some(Dim::Rest(_))) {
            return Err(Diagnostics::follows());
        }
        for want in output.exprs() {
            self.settle(frame, want)?;
        }
        let Data::Tensor(tensor) = &value.data else {
            if output.dims.is_empty() && value.number().is_some() {
                return Ok(value);
            }
            let message = format!(
                "`{}` is declared {}, got {}",
                name.value,
                shape_text(output),
                value.describe()
            );
            return Err(Diagnostic::error("wrong-type", message)
                .at(&name.span)
                .into());
        };
        let dims = tensor.dims();
        let rest = match output.dims.first() {
            Some(Dim::Rest(_)) => frame.rest.clone().unwrap_or_default(),
            _ => Vec::new(),
        };
        let wants: Vec<_> = output.exprs().collect();
        let starts_with_rest =
            rest.len() <= dims.len() && rest.iter().zip(&dims).all(|(r, d)| r.0 == *d);
        if dims.len() != rest.len() + wants.len() || !starts_with_rest {
            let message = format!(
                "`{}` is declared {}, got {dims:?}",
                name.value,
                shape_text(output)
            );
            return Err(Diagnostic::error("rank-differs", message)
                .at(&name.span)
                .into());
        }
        let mut axes: Vec<Source> = rest.iter().map(|r| r.1.clone()).collect();
        for (i, want) in wants.into_iter().enumerate() {
            let at = rest.len() + i;
            if let ExprKind::Name(unknown) = &want.kind
                && !frame.values.contains_key(unknown.as_str())
            {
                frame
                    .values
                    .insert(unknown, size(dims[at], &tensor.axes[at]));
            }
            let size = Size {
                tensor: output,
                want,
                got: dims[at],
                source: tensor.axes[at].clone(),
            };
            self.check_size(frame, &size)?;
            axes.push(self.eval(frame, want, None)?.source);
        }
        let value = tensor.value.clone();
        Ok(Value {
            data: Data::Tensor(Rc::new(Tensor { value, axes })),
            source: Source::unknown(),
        })
    }
}

/// `[batch, height // 2, 2 * dim]`
fn shape_text(tensor: &TensorDecl) -> String {
    let dims = tensor.dims.iter().map(|dim| match dim {
        Dim::Rest(_) => "...".to_owned(),
        Dim::Size(expr) => expr.to_string(),
    });
    format!("[{}]", dims.collect::<Vec<_>>().join(", "))
}

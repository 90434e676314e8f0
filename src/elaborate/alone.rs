//! One graph file by itself, whatever it takes and gives.

use super::{
    Elaborated, Elaborator, Setting,
    instance::Invocation,
    scope::{Frame, Path},
    source::Source,
    tensor,
    value::Value,
};
use crate::{
    diagnostic::{Diagnostic, Result},
    ir::{new_graph, ops::InputKind},
    language::{
        expression::ExprKind,
        graph_file::{Dim, GraphFile, TensorDecl},
        library::Library,
    },
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
    let mut graph = new_graph(setting.batch);
    let mut elaborator = Elaborator::new(library, setting, &mut graph);
    let mut frame = Frame::new(file, Path::top());
    elaborator.bind_params(&mut frame, Vec::new(), &file.span)?;
    let args = file.inputs.iter().map(|i| elaborator.fed(&frame, i));
    let args = args.collect::<Result<Vec<_>>>()?;
    let outputs = elaborator.instantiate(Invocation {
        file,
        path: Path::top(),
        args,
        params: Vec::new(),
        span: file.span.clone(),
    })?;
    for ((name, value), declared) in outputs.iter().zip(&file.outputs) {
        let Some(tensor) = value.tensor() else {
            let message = format!("the output `{name}` of a graph is a tensor, got {value}");
            return Err(Diagnostic::error("wrong-type", message)
                .at(&declared.name.span)
                .into());
        };
        elaborator.rewriter.add_root(name, &tensor.value);
    }
    elaborator.rewriter.remove_dead();
    let (weights, instances) = (elaborator.weights, elaborator.instances);
    Ok(Elaborated {
        graph,
        weights,
        instances,
    })
}

impl Elaborator<'_> {
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
        let value = self.rewriter.input(&name.value, &dims, InputKind::Feed);
        self.feeds
            .insert(name.value.clone(), (dims, name.span.clone()));
        Ok(tensor::tensor(value, axes))
    }
}

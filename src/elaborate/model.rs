//! The top graph: what goes in, what comes out, and that every weight is of use.

use super::{
    Elaborated, Elaborator, Feed, IMAGE, Setting, Weight, elaborated,
    instance::Invocation,
    limits, one_or_more,
    scope::{Frame, Path},
    source::Source,
    value::{Data, Partial, Tensor, Value},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Result, Span},
    ir::{self, ops::InputKind, read, roots},
    language::{graph_file::GraphFile, library::Library},
    recipe::GraphRef,
};
use std::{rc::Rc, sync::Arc};

/// Elaborates one output of a model and what it needs, as the only root. Without a root where the model has no such tensor.
///
/// # Errors
/// As [`elaborate`](super::elaborate), for what is reached.
pub fn elaborate_output(
    library: &Library,
    model: &GraphRef,
    output: &str,
    setting: &Setting,
) -> Result<Elaborated> {
    elaborated(library, setting, |elaborator| {
        elaborator.only_output(model, output)
    })
}

impl Elaborator<'_> {
    /// The graph that a recipe names, on images.
    pub fn model(&mut self, model: &GraphRef) -> Result<()> {
        let (top, file) = self.top_graph(model)?;
        let args = vec![Some(self.image(&model.graph.span)?)];
        let outputs = self.instantiate(Invocation {
            file: &file,
            path: Path::top(),
            args,
            params: top.params.clone(),
            span: model.graph.span.clone(),
            chosen: model.graph.span.clone(),
        })?;
        self.finish(&file, &outputs)
    }

    fn only_output(&mut self, model: &GraphRef, output: &str) -> Result<()> {
        let (top, file) = self.top_graph(model)?;
        let args = vec![Some(self.image(&model.graph.span)?)];
        let mut frame = Frame::new(&file, Path::top());
        self.bind_params(&mut frame, top.params.clone(), &model.graph.span);
        self.bind_inputs(&mut frame, args, &model.graph.span)?;
        if let Some(declared) = file.outputs.iter().find(|o| o.name.value == output)
            && let Some(tensor) = self.output(&mut frame, declared)?.tensor()
        {
            self.rewriter.add_root(output, &tensor.value);
        }
        self.rewriter.remove_dead();
        Ok(())
    }

    /// The graph that a recipe names, which takes an image.
    fn top_graph(&mut self, model: &GraphRef) -> Result<(Rc<Partial>, Arc<GraphFile>)> {
        let top = self.recipe_graph(model)?;
        let file = self.graph_file(&top.graph)?;
        if let [image] = file.inputs.as_slice()
            && image.name.value == IMAGE
        {
            return Ok((top, file));
        }
        let names: Vec<_> = file.inputs.iter().map(|i| i.name.value.as_str()).collect();
        let message = format!(
            "a model takes `image` and nothing else, {} takes {}",
            file.name,
            one_or_more(&names, "nothing")
        );
        Err(Diagnostic::error("wrong-inputs", message)
            .at(&model.graph.span)
            .into())
    }

    fn image(&mut self, span: &Span) -> Result<Value> {
        let Setting {
            batch, size, chans, ..
        } = *self.setting;
        let dims = [batch, chans, size, size];
        self.check_shape(&dims, span)?;
        let side = match &self.setting.size_span {
            Some(span) => Source::written(span),
            None => Source::given("the size of the images"),
        };
        let axes = vec![
            Source::batch(),
            Source::given("the channels of an image"),
            side.clone(),
            side,
        ];
        let value = self.rewriter.input(IMAGE, &dims, InputKind::Feed);
        self.feeds.push(Feed {
            name: IMAGE.into(),
            dims: dims.to_vec(),
            span: span.clone(),
            instance: String::new(),
        });
        let data = Data::Tensor(Rc::new(Tensor { value, axes }));
        Ok(Value {
            data,
            source: Source::unknown(),
        })
    }

    /// Makes the outputs roots, and sees that every weight is of use.
    fn finish(&mut self, file: &GraphFile, outputs: &[(String, Value)]) -> Result<()> {
        for (i, ((name, value), declared)) in outputs.iter().zip(&file.outputs).enumerate() {
            let Some(tensor) = value.tensor() else {
                let message = format!("the output `{name}` of a model is a tensor, got {value}");
                return Err(Diagnostic::error("wrong-type", message)
                    .at(&declared.name.span)
                    .into());
            };
            let first = i == 0;
            if first && !tensor.dims().is_empty() {
                let message = format!(
                    "the first output is what training minimises, one number; `{name}` is {}",
                    value.describe()
                );
                return Err(Diagnostic::error("not-an-objective", message)
                    .at(&declared.name.span)
                    .into());
            }
            if !first && name == roots::LOSS {
                let message = "`loss` names the first output, so no other can have the name";
                return Err(Diagnostic::error("name-taken", message)
                    .at(&declared.name.span)
                    .into());
            }
            let root = if first { roots::LOSS } else { name };
            self.rewriter.add_root(root, &tensor.value);
        }
        self.check_weights_serve()?;
        self.rewriter.remove_dead();
        Ok(())
    }

    /// A weight that the loss does not depend on would never be trained.
    fn check_weights_serve(&self) -> Result<()> {
        let graph = self.rewriter.graph();
        let loss = ir::meta(graph).roots.iter().find(|r| r.name == roots::LOSS);
        let needed = read::ancestors(graph, loss.map(|root| root.node));
        let serving = |weight: &Weight| {
            needed.iter().any(|&node| {
                let input = ir::ops::own::<ir::ops::Input>(graph, node);
                input.is_some_and(|input| input.name == weight.name)
            })
        };
        let idle = self
            .weights
            .iter()
            .zip(&self.declared)
            .filter(|(weight, _)| !serving(weight));
        let found = idle.map(|(weight, span)| {
            let message = format!("the loss does not depend on the weight `{}`", weight.name);
            Diagnostic::error("idle-weight", message)
                .at(span)
                .help("`when: …` says under which condition there is such a weight")
        });
        Diagnostics::unless(found.take(limits::REPORTED).collect(), ())
    }
}

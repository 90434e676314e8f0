//! One graph on its own, to be looked at.

use super::{
    Elaborated, Elaborator, Setting,
    instance::Invocation,
    one_or_more,
    scope::Path,
    source::Source,
    value::{Data, Tensor, Value},
};
use crate::{
    diagnostic::{Diagnostic, Result, Span},
    ir::{new_graph, ops::InputKind},
    language::{graph_file::GraphFile, library::Library},
    recipe::GraphRef,
};
use std::rc::Rc;

/// Elaborates a graph that is fed each of its inputs, of the given dims, under the input's name. The roots are its outputs. A
/// first axis as long as the batch is one of images.
///
/// # Errors
/// As [`super::elaborate`]; inputs that the graph lacks, and those that it has beyond.
pub fn elaborate_alone(
    library: &Library,
    graph: &GraphRef,
    inputs: &[(String, Vec<usize>)],
    setting: &Setting,
) -> Result<Elaborated> {
    let mut nodes = new_graph(setting.batch);
    let mut elaborator = Elaborator::new(library, setting, &mut nodes);
    elaborator.alone(graph, inputs)?;
    let (weights, instances) = (elaborator.weights, elaborator.instances);
    Ok(Elaborated {
        graph: nodes,
        weights,
        instances,
    })
}

impl Elaborator<'_> {
    fn alone(&mut self, graph: &GraphRef, inputs: &[(String, Vec<usize>)]) -> Result<()> {
        let top = self.recipe_graph(graph)?;
        let file = self.graph_file(&top.graph)?;
        let args = self.fed(&file, inputs, &graph.graph.span)?;
        let outputs = self.instantiate(Invocation {
            file: &file,
            path: Path::top(),
            args,
            params: top.params.clone(),
            span: graph.span.clone(),
        })?;
        for (name, value) in &outputs {
            if let Some(tensor) = value.tensor() {
                self.rewriter.add_root(name, &tensor.value);
            }
        }
        self.rewriter.remove_dead();
        Ok(())
    }

    /// The inputs of a graph file, in its order.
    fn fed(
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
            &found.expect("just compared").1
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
        let value = self.rewriter.input(name, dims, InputKind::Feed);
        self.feeds
            .insert(name.into(), (dims.to_vec(), span.clone()));
        let axes = (0..dims.len()).map(axis).collect();
        Ok(Value {
            data: Data::Tensor(Rc::new(Tensor { value, axes })),
            source: Source::unknown(),
        })
    }
}

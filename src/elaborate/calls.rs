//! Calls: of built-ins, of graphs, and of graphs that were handed in to be called here.

use super::{
    Elaborator, builtins,
    instance::Invocation,
    scope::{Frame, Path},
    source::Source,
    value::{Data, Partial, Value},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Result, Span},
    language::{
        expression::{Expr, Spanned},
        graph_file::GraphFile,
    },
};
use std::rc::Rc;

/// A call as it is written.
pub struct Written<'a> {
    pub span: &'a Span,
    pub function: &'a Spanned<String>,
    pub args: &'a [Expr],
    pub keywords: &'a [(Spanned<String>, Expr)],
}

impl Elaborator<'_> {
    /// `whole` is the path of a call that is the whole of a right-hand side or branch.
    pub fn call(&mut self, frame: &Frame, call: &Written, whole: Option<&Path>) -> Result<Value> {
        let function = call.function.value.as_str();
        if frame.broken.contains(function) {
            return Err(Diagnostics::follows());
        }
        if let Some(graph) = frame.graphs.get(function) {
            return self.call_partial(frame, call, graph, whole);
        }
        if let Some(builtin) = builtins::find(function) {
            return self.call_builtin(frame, call, builtin);
        }
        let file = self.graph_file(call.function)?;
        check_params(&file, call.keywords.iter().map(|(name, _)| name))?;
        let params = self.keywords(frame, call)?;
        if call.args.is_empty() && !file.inputs.is_empty() {
            let partial = Partial {
                graph: call.function.clone(),
                params,
            };
            return Ok(Value::written(Data::Graph(Rc::new(partial)), call.span));
        }
        self.call_graph(frame, call, &file, params, whole, call.span)
    }

    /// A graph that a recipe chose, called with what this graph knows: what it has no use for is dropped, what the recipe
    /// wrote is kept.
    fn call_partial(
        &mut self,
        frame: &Frame,
        call: &Written,
        partial: &Rc<Partial>,
        whole: Option<&Path>,
    ) -> Result<Value> {
        let file = self.graph_file(&partial.graph)?;
        let mut params = self.keywords(frame, call)?;
        params.retain(|(name, _)| file.param(&name.value).is_some());
        for (name, value) in &partial.params {
            if let Some((here, _)) = params.iter().find(|(key, _)| key.value == name.value) {
                let message = format!(
                    "`{}` of {} is given by {} and cannot be set",
                    name.value, file.name, frame.file.name
                );
                return Err(Diagnostic::error("given-twice", message)
                    .at(&name.span)
                    .note_at("it is given", &here.span)
                    .help("leave it out")
                    .into());
            }
            params.push((name.clone(), value.clone()));
        }
        self.call_graph(frame, call, &file, params, whole, &partial.graph.span)
    }

    /// `chosen` is where the graph is named: in the call, or in a recipe.
    fn call_graph(
        &mut self,
        frame: &Frame,
        call: &Written,
        file: &GraphFile,
        params: Vec<(Spanned<String>, Value)>,
        whole: Option<&Path>,
        chosen: &Span,
    ) -> Result<Value> {
        let mut args = Vec::new();
        for arg in call.args {
            // What the graph makes of its other inputs and params is looked at all the same.
            let value = self.eval(frame, arg, None);
            args.push(value.map_err(|e| self.record(&frame.path, e)).ok());
        }
        let path = whole.cloned();
        let outputs = self.instantiate(Invocation {
            file,
            path: path.unwrap_or_else(|| frame.path.inside(call.span)),
            args,
            params,
            span: call.span.clone(),
            chosen: chosen.clone(),
        })?;
        let first = outputs.into_iter().next();
        let (_, value) = first.expect("the library refuses a graph without outputs");
        Ok(value)
    }

    fn keywords(&mut self, frame: &Frame, call: &Written) -> Result<Vec<(Spanned<String>, Value)>> {
        let keywords = call.keywords.iter().map(|(name, expr)| {
            let value = self.eval(frame, expr, None)?;
            Ok((name.clone(), value))
        });
        keywords.collect()
    }

    fn call_builtin(
        &mut self,
        frame: &Frame,
        call: &Written,
        builtin: &'static builtins::Builtin,
    ) -> Result<Value> {
        let mut arg = |expr| {
            let value = self.eval(frame, expr, None)?;
            Ok(builtins::Arg { value, expr })
        };
        let args: Vec<_> = call.args.iter().map(&mut arg).collect::<Result<_>>()?;
        let keywords = call.keywords.iter();
        let keywords: Vec<_> = keywords
            .map(|(name, expr)| Ok((name, arg(expr)?)))
            .collect::<Result<_>>()?;
        let parts: Vec<(&Expr, Value)> = args
            .iter()
            .chain(keywords.iter().map(|(_, arg)| arg))
            .map(|arg| (arg.expr, arg.value.clone()))
            .collect();
        let bound = builtins::bind(builtin, call.span, args, keywords)?;
        let data = (builtin.run)(self, &bound)?;
        self.check_nodes(call.span)?;
        let source = match data {
            Data::Tensor(_) => Source::unknown(),
            _ => {
                let parts = parts.iter().map(|(expr, value)| (*expr, value));
                Source::worked_at(call.span, parts)
            }
        };
        Ok(Value { data, source })
    }
}

/// Refuses keys that the graph has no param for.
fn check_params<'a>(
    file: &GraphFile,
    keys: impl IntoIterator<Item = &'a Spanned<String>>,
) -> Result<()> {
    let unknown = keys
        .into_iter()
        .filter(|key| file.param(&key.value).is_none());
    Diagnostics::unless(unknown.map(|key| unknown_param(file, key)).collect(), ())
}

pub fn unknown_param(file: &GraphFile, key: &Spanned<String>) -> Diagnostic {
    let names: Vec<_> = file.params.iter().map(|p| p.name.value.as_str()).collect();
    let message = format!("{} has no param `{}`", file.name, key.value);
    let known = super::one_or_more(&names, "none");
    Diagnostic::error("unknown-param", message)
        .at(&key.span)
        .help(format!("its params are {known}"))
        .suggest(&key.value, names)
}

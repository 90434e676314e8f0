//! What a recipe writes, as values.

use super::{
    Elaborator,
    calls::unknown_param,
    value::{Data, Partial, Value},
};
use crate::{
    diagnostic::{Diagnostics, Result},
    language::expression::Spanned,
    recipe::{self, GraphRef},
};
use std::rc::Rc;

impl Elaborator<'_> {
    /// A reference to a graph, its params checked against those the graph has.
    ///
    /// # Errors
    /// Every mistake in it and in the references inside it.
    pub fn recipe_graph(&mut self, of: &GraphRef) -> Result<Rc<Partial>> {
        let mut found = Vec::new();
        let file = match self.graph_file(&of.graph) {
            Ok(file) => Some(file),
            Err(errors) => {
                found.extend(errors.0);
                None
            }
        };
        let mut params = Vec::new();
        for (name, value) in &of.params {
            let read = self.recipe_value(value).and_then(|value| match &file {
                None => Ok(value),
                Some(file) => match file.param(&name.value) {
                    Some(param) => self.accept(file, param, value),
                    None => Err(unknown_param(file, name).into()),
                },
            });
            match read {
                Ok(value) => params.push((name.clone(), value)),
                Err(errors) => found.extend(errors.0),
            }
        }
        let graph = of.graph.clone();
        Diagnostics::unless(found, Rc::new(Partial { graph, params }))
    }

    fn recipe_value(&mut self, of: &Spanned<recipe::Value>) -> Result<Value> {
        let data = match &of.value {
            recipe::Value::Null => Data::Null,
            recipe::Value::Bool(value) => Data::Bool(*value),
            recipe::Value::Int(value) => Data::Int(*value),
            recipe::Value::Float(value) => Data::Float(*value),
            recipe::Value::Text(text) => Data::Text(text.as_str().into()),
            recipe::Value::List(items) => {
                let items = items.iter().map(|item| self.recipe_value(item));
                Data::List(items.collect::<Result<Vec<_>>>()?.into())
            }
            recipe::Value::Graph(graph) => Data::Graph(self.recipe_graph(graph)?),
        };
        Ok(Value::written(data, &of.span))
    }
}

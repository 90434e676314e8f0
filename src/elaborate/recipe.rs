//! What a recipe writes, as values.

use super::{
    Elaborator,
    calls::check_params,
    value::{Data, Partial, Value},
};
use crate::{
    diagnostic::Result,
    language::expression::Spanned,
    recipe::{self, GraphRef},
};
use std::rc::Rc;

impl Elaborator<'_> {
    /// A reference to a graph, its params checked against those the graph has.
    pub fn recipe_graph(&self, of: &GraphRef) -> Result<Rc<Partial>> {
        check_params(
            &*self.graph_file(&of.graph)?,
            of.params.iter().map(|p| &p.0),
        )?;
        let params = of.params.iter().map(|(name, value)| {
            let value = self.recipe_value(value)?;
            Ok((name.clone(), value))
        });
        Ok(Rc::new(Partial {
            graph: of.graph.clone(),
            params: params.collect::<Result<_>>()?,
        }))
    }

    fn recipe_value(&self, of: &Spanned<recipe::Value>) -> Result<Value> {
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

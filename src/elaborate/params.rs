//! Params: what is given for them, or their defaults, checked for type, range and choice.

use super::{
    Elaborator,
    number::Number,
    scope::{Frame, Path},
    value::{Data, Value},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Result, Span},
    language::{
        expression::{self, Spanned},
        graph_file::{GraphFile, Param, ParamKind},
        yaml,
    },
};

impl Elaborator<'_> {
    /// Binds every param of the file. Keys were checked where they were written.
    pub fn bind_params<'f>(
        &mut self,
        frame: &mut Frame<'f>,
        mut given: Vec<(Spanned<String>, Value)>,
        chosen: &Span,
    ) {
        let mut missing = Vec::new();
        for param in &frame.file.params {
            let name = &param.name;
            let place = given.iter().position(|(key, _)| key.value == name.value);
            let value = match (place, &param.default) {
                (Some(place), _) => Ok(given.swap_remove(place).1),
                (None, Some(default)) => self.eval(frame, default, None),
                (None, None) => {
                    missing.push(param);
                    Err(Diagnostics::follows())
                }
            };
            match value.and_then(|value| self.accept(frame.file, param, value)) {
                Ok(value) => match value.data {
                    Data::Graph(graph) => {
                        frame.graphs.insert(&name.value, graph);
                    }
                    _ => {
                        frame.values.insert(&name.value, value);
                    }
                },
                Err(errors) => {
                    self.record(&frame.path, errors);
                    frame.broken.insert(&name.value);
                }
            }
        }
        if !missing.is_empty() {
            self.record(&frame.path, missing_params(frame.file, &missing, chosen));
        }
    }

    /// The value as the param's type has it.
    pub fn accept(&mut self, file: &GraphFile, param: &Param, value: Value) -> Result<Value> {
        let source = value.source.clone();
        let data = match (&param.kind, &value.data) {
            (_, Data::Null) if param.nullable => Data::Null,
            (ParamKind::Init, Data::Text(text)) => match value.source.span() {
                Some(span) if span.text() == &**text => self.initialiser(span)?,
                _ => return Err(wrong_type(file, param, &value)),
            },
            (ParamKind::OneOf(choices), Data::Text(text)) => {
                if !choices.iter().any(|choice| **choice == **text) {
                    let message = format!(
                        "`{}` of {} is {}, got {value}",
                        param.name.value, file.name, param.kind
                    );
                    let error = Diagnostic::error("not-a-choice", message);
                    let error = error.suggest(text, choices.iter().map(String::as_str));
                    return Err(point(error, param, &value));
                }
                value.data.clone()
            }
            (kind, data) => match fitting(kind, data) {
                Some(data) => data,
                None => return Err(wrong_type(file, param, &value)),
            },
        };
        let value = Value { data, source };
        self.check_range(file, param, &value)?;
        Ok(value)
    }

    /// The initialiser that a recipe writes as a text: `normal(0.02)`.
    fn initialiser(&mut self, written: &Span) -> Result<Data> {
        let expr = expression::parse(written)?;
        let nothing = GraphFile {
            name: String::new(),
            span: written.clone(),
            doc: String::new(),
            params: vec![],
            presets: Vec::new(),
            inputs: vec![],
            require: vec![],
            advise: vec![],
            weights: vec![],
            steps: vec![],
            outputs: vec![],
        };
        let value = self.eval(&Frame::new(&nothing, Path::top()), &expr, None)?;
        if let Data::Initialiser(_) = value.data {
            return Ok(value.data);
        }
        let message = format!("an initialiser stands here, got {}", value.describe());
        Err(Diagnostic::error("wrong-type", message).at(written).into())
    }

    fn check_range(&self, file: &GraphFile, param: &Param, value: &Value) -> Result<()> {
        let Some([low, high]) = param.range else {
            return Ok(());
        };
        if let Data::List(items) = &value.data {
            return items
                .iter()
                .try_for_each(|item| self.check_range(file, param, item));
        }
        let Some(number) = value.number().map(Number::float) else {
            return Ok(());
        };
        if low.is_none_or(|low| low <= number) && high.is_none_or(|high| number <= high) {
            return Ok(());
        }
        let wanted = match (low, high) {
            (Some(low), Some(high)) => format!("from {low} to {high}"),
            (Some(low), None) => format!("at least {low}"),
            (None, Some(high)) => format!("at most {high}"),
            (None, None) => return Ok(()),
        };
        let message = format!(
            "`{}` of {} is {wanted}, got {value}",
            param.name.value, file.name
        );
        Err(point(
            Diagnostic::error("out-of-range", message),
            param,
            value,
        ))
    }
}

fn missing_params(file: &GraphFile, missing: &[&Param], chosen: &Span) -> Diagnostics {
    let names: Vec<_> = missing.iter().map(|p| p.name.value.as_str()).collect();
    let message = format!(
        "{} needs {}",
        file.name,
        super::one_or_more(&names, "nothing")
    );
    let error = Diagnostic::error("missing-param", message).at(chosen);
    let told = missing.iter().fold(error, |error, param| {
        let name = &param.name;
        let what = match &param.doc {
            Some(doc) => format!("{}, {}: {doc};", name.value, param.kind),
            None => format!("{}, {};", name.value, param.kind),
        };
        error.note_at(what, &name.span)
    });
    told.into()
}

/// The data as the kind has it; an integer is a float where a float is wanted.
fn fitting(kind: &ParamKind, data: &Data) -> Option<Data> {
    let float = |data: &Data| match data {
        Data::Int(value) => Some(Data::Float(*value as f64)),
        Data::Float(value) => Some(Data::Float(*value)),
        _ => None,
    };
    match (kind, data) {
        (ParamKind::Int, Data::Int(_))
        | (ParamKind::Bool, Data::Bool(_))
        | (ParamKind::Text, Data::Text(_))
        | (ParamKind::Init, Data::Initialiser(_))
        | (ParamKind::Graph, Data::Graph(_)) => Some(data.clone()),
        (ParamKind::Float, data) => float(data),
        (ParamKind::Ints, Data::List(items)) => {
            let fits = items.iter().all(|item| matches!(item.data, Data::Int(_)));
            fits.then(|| data.clone())
        }
        (ParamKind::Floats, Data::List(items)) => {
            let items = items.iter().map(|item| {
                Some(Value {
                    data: float(&item.data)?,
                    source: item.source.clone(),
                })
            });
            Some(Data::List(items.collect::<Option<Vec<_>>>()?.into()))
        }
        _ => None,
    }
}

fn wrong_type(file: &GraphFile, param: &Param, value: &Value) -> Diagnostics {
    let message = format!(
        "`{}` of {} is {}, got {}",
        param.name.value,
        file.name,
        described(&param.kind),
        value.describe()
    );
    let error = Diagnostic::error("wrong-type", message);
    let error = match (&param.kind, &value.data) {
        (ParamKind::Int, Data::Float(x)) if x.fract() == 0.0 => error.help(format!("write {x}")),
        (ParamKind::Ints | ParamKind::Floats, Data::Int(_) | Data::Float(_)) => {
            error.help(format!("write [{value}]"))
        }
        (ParamKind::Graph, Data::Text(text)) => {
            error.help(format!("write {{ graph: {} }}", &**text))
        }
        (
            ParamKind::Int | ParamKind::Float | ParamKind::Ints | ParamKind::Floats,
            Data::Text(text),
        ) => match yaml::number_help(text) {
            Some(help) => error.help(help),
            None => error,
        },
        _ => error,
    };
    point(error, param, value)
}

fn described(kind: &ParamKind) -> String {
    match kind {
        ParamKind::Int => "a whole number".into(),
        ParamKind::Float => "a number".into(),
        ParamKind::Bool => "true or false".into(),
        ParamKind::Text => "a text".into(),
        ParamKind::Init => "an initialiser".into(),
        ParamKind::Graph => "a graph".into(),
        ParamKind::Ints => "a list of whole numbers".into(),
        ParamKind::Floats => "a list of numbers".into(),
        ParamKind::OneOf(_) => kind.to_string(),
    }
}

/// Points at where the value was written, and if it was worked out, at the param.
fn point(error: Diagnostic, param: &Param, value: &Value) -> Diagnostics {
    match value.source.span() {
        Some(span) => error.at(span).note_at("the param", &param.name.span),
        None => {
            let error = error.at(&param.name.span);
            value.source.explain(error, &param.name.value, value)
        }
    }
    .into()
}

//! What a recipe can turn to mask otherwise: the numbers among the params of the graphs that make the mask.

use crate::{
    diagnostic::{Diagnostic, Span},
    language::{
        expression::{ExprKind, Spanned},
        graph_file::{Param, ParamKind},
        library::Library,
    },
    recipe::{GraphRef, Value},
};

/// Whole numbers that are tried on each side.
const REACH: i64 = 500;
/// Parts that the range of a fraction is tried in.
const PARTS: i64 = 20;

/// A number that a recipe gives a graph, or could.
pub struct Knob {
    /// `[masking, unit]`, from the model on.
    path: Vec<String>,
    pub now: Number,
    /// Where the recipe writes it; its graph has a default otherwise.
    pub written: Option<Span>,
    default: Span,
    /// Where the recipe names the graph.
    pub chosen: Span,
    range: [Option<f64>; 2],
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Int(i64),
    Float(f64),
}

/// Every knob of the named graphs, as far as the recipe chooses these graphs.
pub fn knobs(library: &Library, model: &GraphRef, graphs: &[String]) -> Vec<Knob> {
    let mut found = Vec::new();
    collect(library, model, graphs, &[], &mut found);
    found
}

fn collect(
    library: &Library,
    of: &GraphRef,
    graphs: &[String],
    path: &[String],
    found: &mut Vec<Knob>,
) {
    let inside = |name: &str| [path, &[name.to_owned()]].concat();
    if graphs.contains(&of.graph.value)
        && let Ok(file) = library.get(&of.graph.value)
    {
        let params = file.params.iter();
        found.extend(params.filter_map(|p| Knob::of(p, of, inside(&p.name.value))));
    }
    for (name, value) in &of.params {
        if let Value::Graph(inner) = &value.value {
            collect(library, inner, graphs, &inside(&name.value), found);
        }
    }
}

impl Knob {
    fn of(param: &Param, given: &GraphRef, path: Vec<String>) -> Option<Self> {
        let written = given.param(&param.name.value);
        let number = match (&param.kind, written.map(|w| &w.value), &param.default) {
            (ParamKind::Int, Some(Value::Int(n)), _) => Number::Int(*n),
            (ParamKind::Float, Some(Value::Int(n)), _) => Number::Float(*n as f64),
            (ParamKind::Float, Some(Value::Float(x)), _) => Number::Float(*x),
            (kind, None, Some(default)) => match (kind, &default.kind) {
                (ParamKind::Int, ExprKind::Int(n)) => Number::Int(*n),
                (ParamKind::Float, ExprKind::Int(n)) => Number::Float(*n as f64),
                (ParamKind::Float, ExprKind::Float(x)) => Number::Float(*x),
                _ => return None,
            },
            _ => return None,
        };
        Some(Knob {
            path,
            now: number,
            written: written.map(|w| w.span.clone()),
            default: param.name.span.clone(),
            chosen: given.graph.span.clone(),
            range: param.range.unwrap_or_default(),
        })
    }

    /// `unit`
    pub fn name(&self) -> &str {
        self.path.last().expect("a param has a name")
    }

    /// Says what it is turned to, and where.
    pub fn told(&self, warning: Diagnostic) -> Diagnostic {
        let fact = format!("model.{} = {}", self.path.join("."), self.now);
        match &self.written {
            Some(span) => warning.note_at(fact, span),
            None => warning.note_at(format!("{fact}, the default"), &self.default),
        }
    }

    /// Other numbers in the range, the nearest first and the smaller of two.
    pub fn others(&self) -> Vec<Number> {
        let [low, high] = self.range;
        let within = |x: f64| low.is_none_or(|low| low <= x) && high.is_none_or(|high| x <= high);
        match self.now {
            Number::Int(now) => {
                let near =
                    (1..=REACH).flat_map(|step| [now.checked_sub(step), now.checked_add(step)]);
                let near = near.flatten().filter(|&n| within(n as f64));
                near.map(Number::Int).collect()
            }
            Number::Float(now) => {
                let (low, high) = (low.unwrap_or(0.0), high.unwrap_or(2.0 * now));
                let part = |k: i64| low + (high - low) * k as f64 / PARTS as f64;
                let mut near: Vec<f64> = (0..=PARTS).map(part).filter(|&x| within(x)).collect();
                near.sort_by(|a, b| (a - now).abs().total_cmp(&(b - now).abs()));
                near.into_iter().map(Number::Float).collect()
            }
        }
    }

    /// The model with another number here.
    pub fn turned(&self, model: &GraphRef, to: Number) -> GraphRef {
        let mut turned = model.clone();
        set(&mut turned, &self.path, to);
        turned
    }
}

fn set(graph: &mut GraphRef, path: &[String], to: Number) {
    let [name, inner @ ..] = path else {
        return;
    };
    let here = graph.params.iter_mut().find(|(key, _)| key.value == *name);
    match here {
        Some((
            _,
            Spanned {
                value: Value::Graph(graph),
                ..
            },
        )) => set(graph, inner, to),
        Some((_, value)) => value.value = to.into(),
        None => {
            let span = graph.span.clone();
            let key = Spanned {
                value: name.clone(),
                span: span.clone(),
            };
            graph.params.push((
                key,
                Spanned {
                    value: to.into(),
                    span,
                },
            ));
        }
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        match number {
            Number::Int(n) => Value::Int(n),
            Number::Float(x) => Value::Float(x),
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Number::Int(n) => write!(f, "{n}"),
            Number::Float(x) => write!(f, "{x}"),
        }
    }
}

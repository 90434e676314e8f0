//! Recipes as a JSON Schema (draft 2020-12), made from the table of keys and the params of the graph files: editors
//! complete and check by it as they do by hand-written ones.

use crate::{
    diagnostic::Diagnostics,
    language::{
        expression::{Expr, ExprKind},
        graph_file::{GraphFile, Param, ParamKind},
        library::Library,
    },
    recipe::{FIELDS, Fallback, Field, Kind, Range, keys_under},
};
use serde_json::{Map, Value, json};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of every recipe that this library can fill.
///
/// # Errors
/// A graph file that does not load.
pub fn schema(library: &Library) -> Result<Value, Diagnostics> {
    let graphs = library.names().map(|name| library.get(name));
    let graphs: Vec<_> = graphs.collect::<Result<_, _>>()?;
    let mut schema = section("");
    let root = schema.as_object_mut().expect("a section is an object");
    root.insert("$schema".into(), DRAFT.into());
    root.insert("title".into(), "A recipe of mimc".into());
    let names: Vec<&str> = graphs.iter().map(|graph| &*graph.name).collect();
    let docs: Vec<&str> = graphs.iter().map(|graph| &*graph.doc).collect();
    let chosen = graphs.iter().map(|graph| {
        json!({
            "if": { "properties": { "graph": { "const": graph.name } }, "required": ["graph"] },
            "then": { "$ref": format!("#/$defs/{}", graph.name) },
        })
    });
    let any = json!({
        "type": "object",
        "properties": { "graph": { "enum": names, "enumDescriptions": docs } },
        "required": ["graph"],
        "allOf": chosen.collect::<Vec<_>>(),
    });
    let mut defs = Map::from_iter([(ANY_GRAPH.to_owned(), any)]);
    defs.extend(
        graphs
            .iter()
            .map(|graph| (graph.name.clone(), graph_schema(graph))),
    );
    root.insert("$defs".into(), defs.into());
    Ok(schema)
}

const ANY_GRAPH: &str = "graph";

/// The keys of a recipe under a path, the top for none.
fn section(path: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in keys_under(path) {
        let inner = match path {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        let field = FIELDS.iter().find(|field| field.path == inner);
        let schema = field.map_or_else(|| section(&inner), field_schema);
        let wanted = match field {
            Some(field) => field.default == Fallback::Required,
            None => schema.get("required").is_some(),
        };
        required.extend(wanted.then_some(key));
        properties.insert(key.to_owned(), schema);
    }
    let mut object = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        object["required"] = required.into();
    }
    object
}

fn field_schema(field: &Field) -> Value {
    let mut schema = kind_schema(field.kind, &field.range);
    let unit = match field.unit {
        "" => String::new(),
        unit => format!(" [{unit}]"),
    };
    schema["description"] = format!("{}{unit}", field.doc).into();
    if let Fallback::Is(yaml) = field.default
        && let Ok(default) = serde_yaml::from_str::<Value>(yaml)
    {
        schema["default"] = default;
    }
    schema
}

fn kind_schema(kind: Kind, range: &Range) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Int => number("integer", range),
        Kind::Float => number("number", range),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Floats(count) => {
            json!({ "type": "array", "items": number("number", range), "minItems": count, "maxItems": count })
        }
        Kind::FloatList => json!({ "type": "array", "items": number("number", range) }),
        Kind::OneOf(choices) => json!({ "enum": choices }),
        Kind::Maybe(kind) => or_null(kind_schema(*kind, range)),
        Kind::Model => json!({ "$ref": format!("#/$defs/{ANY_GRAPH}") }),
    }
}

fn number(kind: &str, range: &Range) -> Value {
    let mut schema = json!({ "type": kind });
    if range.low.is_finite() {
        let low = if range.open {
            "exclusiveMinimum"
        } else {
            "minimum"
        };
        schema[low] = range.low.into();
    }
    if range.high.is_finite() {
        schema["maximum"] = range.high.into();
    }
    schema
}

fn or_null(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn graph_schema(graph: &GraphFile) -> Value {
    let mut properties = Map::from_iter([("graph".to_owned(), json!({ "const": graph.name }))]);
    properties.extend(
        graph
            .params
            .iter()
            .map(|param| (param.name.value.clone(), param_schema(param))),
    );
    json!({
        "description": graph.doc,
        "type": "object",
        "properties": properties,
        "required": ["graph"],
        "additionalProperties": false,
    })
}

/// A param without a default is not required here: the graph around may give it.
fn param_schema(param: &Param) -> Value {
    let [low, high] = param.range.unwrap_or([None, None]);
    let range = Range {
        low: low.unwrap_or(f64::NEG_INFINITY),
        high: high.unwrap_or(f64::INFINITY),
        open: false,
    };
    let schema = match &param.kind {
        ParamKind::Int => number("integer", &range),
        ParamKind::Float => number("number", &range),
        ParamKind::Bool => json!({ "type": "boolean" }),
        // An initialiser is a name or a call: `zeros`, `normal(0.02)`.
        ParamKind::Text | ParamKind::Init => json!({ "type": "string" }),
        ParamKind::Graph => json!({ "$ref": format!("#/$defs/{ANY_GRAPH}") }),
        ParamKind::Ints => json!({ "type": "array", "items": number("integer", &range) }),
        ParamKind::Floats => json!({ "type": "array", "items": number("number", &range) }),
        ParamKind::OneOf(choices) => json!({ "enum": choices }),
    };
    let mut schema = if param.nullable {
        or_null(schema)
    } else {
        schema
    };
    if let Some(doc) = &param.doc {
        schema["description"] = doc.as_str().into();
    }
    if let Some(default) = param.default.as_ref().and_then(constant) {
        schema["default"] = default;
    }
    schema
}

/// The default where it is written as a value; others are computed from the params before.
fn constant(default: &Expr) -> Option<Value> {
    match &default.kind {
        ExprKind::Null => Some(Value::Null),
        ExprKind::Bool(value) => Some((*value).into()),
        ExprKind::Int(value) => Some((*value).into()),
        ExprKind::Float(value) => Some((*value).into()),
        ExprKind::Text(value) => Some(value.as_str().into()),
        ExprKind::List(items) => items.iter().map(constant).collect(),
        _ => None,
    }
}

//! Params: the type, the default that may show it, the range.

use super::{Param, ParamKind, reader::Reader};
use crate::{
    diagnostic::Diagnostic,
    language::{
        expression::{BinaryOp, Expr, ExprKind, Spanned},
        names::{BARE_INITIALISERS, INITIALISERS},
        yaml::{Fields, Literal, Node, NodeKind, Scalar},
    },
};

const TYPES: &[(&str, ParamKind)] = &[
    ("int", ParamKind::Int),
    ("float", ParamKind::Float),
    ("bool", ParamKind::Bool),
    ("str", ParamKind::Text),
    ("init", ParamKind::Init),
    ("graph", ParamKind::Graph),
    ("[int]", ParamKind::Ints),
    ("[float]", ParamKind::Floats),
];

/// As `type:` spells it; for `one_of` that key itself.
pub fn type_name(kind: &ParamKind) -> &'static str {
    let row = TYPES.iter().find(|(_, known)| known == kind);
    row.map_or("one_of", |(name, _)| name)
}

pub fn read_all(reader: &mut Reader, node: Option<&Node>) -> Vec<Param> {
    let mut params = Vec::new();
    for entry in reader.entries(node, "`params`") {
        reader.check_name(&entry.key);
        params.push(read(reader, entry.key.clone(), &entry.value, &params));
    }
    params
}

fn read(reader: &mut Reader, name: Spanned<String>, node: &Node, earlier: &[Param]) -> Param {
    let keys = ["type", "one_of", "default", "range", "doc"];
    let fields = node.fields("a param", &keys, &mut reader.found);
    let doc = reader.doc(fields.get("doc"));
    let stated = stated_kind(reader, &fields);
    let broken = reader.found.len();
    let default = fields
        .get("default")
        .map(|node| default(reader, node, stated.as_ref()));
    let broken = reader.found.len() > broken;
    let shown = default.as_ref().and_then(|expr| shown_kind(expr, earlier));
    if let (Some(stated), Some(shown), Some(default)) = (&stated, &shown, &default)
        && !fits(shown, stated)
    {
        let message = format!("`{}` is {stated}, its default is {shown}", name.value);
        reader.report("wrong-default", message, &default.span);
    }
    let says_type = fields.get("type").or(fields.get("one_of")).is_some();
    // A name that stands for nothing is reported where names are looked up.
    let unknown = default.as_ref().is_some_and(|default| match &default.kind {
        ExprKind::Name(name) => earlier.iter().all(|param| param.name.value != *name),
        _ => false,
    });
    if shown.is_none() && !says_type && !broken && !unknown {
        let message = match default {
            Some(_) => format!("the default does not show the type of `{}`", name.value),
            None => format!("`{}` has no type", name.value),
        };
        let help = format!("give it a `type`, {}, or `one_of`", type_names());
        reader.found.push(
            Diagnostic::error("untyped-param", message)
                .at(&name.span)
                .help(help),
        );
    }
    // Without a type the file is refused, but the name stays known as a value.
    let kind = stated.or(shown).unwrap_or(ParamKind::Init);
    let range = fields
        .get("range")
        .and_then(|node| range(reader, node, &kind));
    if let (Some(range), Some(default)) = (range, &default) {
        check_in_range(reader, default, range);
    }
    let optional = fields.get("type").is_some_and(|node| type_text(node).1);
    let nullable = optional || default.as_ref().is_some_and(|d| d.kind == ExprKind::Null);
    Param {
        name,
        kind,
        nullable,
        default,
        range,
        doc,
    }
}

fn type_names() -> String {
    let names: Vec<_> = TYPES.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

fn stated_kind(reader: &mut Reader, fields: &Fields) -> Option<ParamKind> {
    match (fields.get("type"), fields.get("one_of")) {
        (Some(_), Some(one_of)) => {
            let message = "`one_of` is a type already, leave out `type`";
            reader.report("unknown-type", message, &one_of.span);
            None
        }
        (Some(node), None) => {
            let (written, _) = type_text(node);
            let row = TYPES.iter().find(|(name, _)| *name == written);
            if row.is_none() {
                let error = Diagnostic::error("unknown-type", format!("`{written}` is no type"))
                    .at(&node.span)
                    .help(format!("the types are {}", type_names()))
                    .suggest(written, TYPES.iter().map(|(name, _)| *name));
                reader.found.push(error);
            }
            row.map(|(_, kind)| kind.clone())
        }
        (None, Some(node)) => {
            let items = node.items("`one_of`", &mut reader.found);
            let scalars = items
                .iter()
                .filter_map(|item| item.scalar("a choice", &mut reader.found));
            let choices: Vec<_> = scalars.map(|scalar| scalar.text.clone()).collect();
            (!choices.is_empty()).then_some(ParamKind::OneOf(choices))
        }
        (None, None) => None,
    }
}

/// The type as it is written, and whether a `?` behind it lets null in.
fn type_text(node: &Node) -> (&str, bool) {
    // `[int]` without quotes is a YAML list of one scalar.
    let written = node.span.text().trim_matches(['"', '\'']);
    match written.strip_suffix('?') {
        Some(kind) => (kind, true),
        None => (written, false),
    }
}

/// The default of a text is the text itself, any other an expression over the params before it.
fn default(reader: &mut Reader, node: &Node, stated: Option<&ParamKind>) -> Expr {
    let NodeKind::Scalar(scalar) = &node.kind else {
        return reader.expr(node);
    };
    let choices = match stated {
        Some(ParamKind::OneOf(choices)) => Some(choices),
        Some(ParamKind::Text) => None,
        _ => return reader.expr(node),
    };
    if scalar.literal() == Literal::Null {
        return reader.expr(node);
    }
    if let Some(choices) = choices
        && !choices.contains(&scalar.text)
    {
        let message = format!("`{}` is not among the choices", scalar.text);
        let error = Diagnostic::error("wrong-default", message)
            .at(&node.span)
            .help(format!("the choices are {}", choices.join(", ")));
        let error = error.suggest(&scalar.text, choices.iter().map(String::as_str));
        reader.found.push(error);
    }
    text(scalar)
}

fn text(scalar: &Scalar) -> Expr {
    Expr {
        kind: ExprKind::Text(scalar.text.clone()),
        span: scalar.content.clone(),
    }
}

/// The kind of an expression where it shows: `4.0` is a float, `normal(0.02)` an initialiser, `init` what that param is.
fn shown_kind(expr: &Expr, params: &[Param]) -> Option<ParamKind> {
    use ParamKind::*;
    let kind = |expr| shown_kind(expr, params);
    match &expr.kind {
        ExprKind::Int(_) => Some(Int),
        ExprKind::Float(_) => Some(Float),
        ExprKind::Text(_) => Some(Text),
        ExprKind::Bool(_) | ExprKind::Not(_) | ExprKind::Compare(..) => Some(Bool),
        ExprKind::Negate(of) => kind(of),
        ExprKind::Binary(operator, left, right) => match (kind(left)?, kind(right)?) {
            (Int, Int) if !matches!(operator, BinaryOp::Div | BinaryOp::Pow) => Some(Int),
            (Int | Float, Int | Float) if *operator != BinaryOp::Pow => Some(Float),
            _ => None,
        },
        ExprKind::Choice {
            then, otherwise, ..
        } => kind(then).filter(|then| kind(otherwise).as_ref() == Some(then)),
        ExprKind::Name(name) if BARE_INITIALISERS.contains(&name.as_str()) => Some(Init),
        ExprKind::Name(name) => {
            let param = params.iter().find(|param| param.name.value == *name)?;
            Some(param.kind.clone())
        }
        ExprKind::List(items) => {
            let kinds: Option<Vec<_>> = items.iter().map(kind).collect();
            let kinds = kinds.filter(|kinds| !kinds.is_empty())?;
            if kinds.iter().all(|kind| *kind == Int) {
                return Some(Ints);
            }
            let numbers = kinds.iter().all(|kind| matches!(kind, Int | Float));
            numbers.then_some(Floats)
        }
        ExprKind::Call { function, .. } => {
            let name = function.value.as_str();
            let graph = name.contains('.').then_some(Graph);
            if INITIALISERS.contains(&name) {
                Some(Init)
            } else {
                graph
            }
        }
        ExprKind::Null
        | ExprKind::And(_)
        | ExprKind::Or(_)
        | ExprKind::Index { .. }
        | ExprKind::Slice { .. } => None,
    }
}

fn fits(shown: &ParamKind, stated: &ParamKind) -> bool {
    use ParamKind::*;
    shown == stated
        || matches!(
            (shown, stated),
            (Int, Float) | (Ints, Floats) | (Text | OneOf(_), Text | OneOf(_))
        )
}

fn range(reader: &mut Reader, node: &Node, kind: &ParamKind) -> Option<[Option<f64>; 2]> {
    use ParamKind::*;
    if !matches!(kind, Int | Float | Ints | Floats) {
        let message = format!("a range is for numbers, and this param is {kind}");
        reader.report("wrong-range", message, &node.span);
        return None;
    }
    let items = node.items("a range", &mut reader.found);
    let bounds: Option<Vec<_>> = items.iter().map(bound).collect();
    match bounds.as_deref() {
        Some([Some(low), Some(high)]) if low > high => {
            let message = format!("the range ends at {high} before it starts at {low}");
            reader.report("wrong-range", message, &node.span);
            None
        }
        Some([low, high]) => Some([*low, *high]),
        _ => {
            let message = "a range is [low, high], numbers or null for an open end";
            reader.report("wrong-range", message, &node.span);
            None
        }
    }
}

/// A number, or `null` for no bound.
fn bound(node: &Node) -> Option<Option<f64>> {
    match &node.kind {
        NodeKind::Scalar(scalar) => match scalar.literal() {
            Literal::Null => Some(None),
            Literal::Int(value) => Some(Some(value as f64)),
            Literal::Float(value) => Some(Some(value)),
            Literal::Bool(_) | Literal::Text(_) => None,
        },
        _ => None,
    }
}

/// Checks a default that is a number, or a list of them.
fn check_in_range(reader: &mut Reader, default: &Expr, [low, high]: [Option<f64>; 2]) {
    let items = match &default.kind {
        ExprKind::List(items) => items.as_slice(),
        _ => std::slice::from_ref(default),
    };
    for item in items {
        let outside = number(item).is_some_and(|value| {
            low.is_some_and(|low| value < low) || high.is_some_and(|high| value > high)
        });
        if outside {
            let bound = |bound: Option<f64>| bound.map_or("null".to_owned(), |b| b.to_string());
            let message = format!(
                "{item} is outside the range [{}, {}]",
                bound(low),
                bound(high)
            );
            reader.report("wrong-default", message, &item.span);
        }
    }
}

fn number(expr: &Expr) -> Option<f64> {
    match &expr.kind {
        ExprKind::Int(value) => Some(*value as f64),
        ExprKind::Float(value) => Some(*value),
        ExprKind::Negate(of) => Some(-number(of)?),
        _ => None,
    }
}

//! A resolved recipe that tells where each value came from: every key of the recipe, every param of its graphs.

use super::{Fallback, Field, GraphRef, Recipe, Value, fields, plain_numbers};
use crate::{
    diagnostic::{Result, Span},
    language::{
        expression::{Expr, ExprKind, Spanned},
        graph_file::{GraphFile, Param, ParamKind, Preset},
        library::Library,
    },
};
use serde_yaml::{Mapping, Value as Yaml};

impl Recipe {
    /// As [`Recipe::to_yaml`], with the params that its graphs have by default, and behind each value where it came from. It
    /// parses back to a recipe of the same graph.
    ///
    /// # Errors
    /// A graph that is not there.
    pub fn to_yaml_with_origins(&self, library: &Library) -> Result<String> {
        let plain: Mapping =
            serde_yaml::from_str(&self.to_yaml()).expect("what was written as YAML is YAML");
        let mut page = Page::default();
        for (key, value) in &plain {
            let key = key.as_str().expect("the keys of recipes are texts");
            match key {
                "model" => page.graph(0, key, &self.model, &[], library)?,
                _ => page.key(0, key, key, value, self),
            }
        }
        Ok(page.text())
    }
}

/// The key that a recipe may leave to whatever runs it.
const PRECISION: &str = "train.precision";

/// Lines of YAML, each with a comment.
#[derive(Default)]
struct Page(Vec<(String, String)>);

impl Page {
    fn line(&mut self, depth: usize, text: &str, comment: String) {
        self.0
            .push((format!("{}{text}", "  ".repeat(depth)), comment));
    }

    /// A key outside the model, or a section of them.
    fn key(&mut self, depth: usize, key: &str, path: &str, value: &Yaml, recipe: &Recipe) {
        let Some(field) = fields::field(path) else {
            self.line(depth, &format!("{key}:"), String::new());
            for (inner, value) in value.as_mapping().into_iter().flatten() {
                let inner = inner.as_str().expect("the keys of recipes are texts");
                self.key(depth + 1, inner, &format!("{path}.{inner}"), value, recipe);
            }
            return;
        };
        let settled = recipe.settled.filter(|_| path == PRECISION);
        let comment = match (recipe.span(path), settled) {
            (Some(span), Some(by)) => format!("{}: auto, for {by}", place(span)),
            (None, Some(by)) => format!("default: auto, for {by}"),
            (Some(span), None) => place(span),
            (None, None) => default(field, value),
        };
        self.value(depth, key, value, comment);
    }

    /// A graph with all of its params, some of them given by the graph that calls it.
    fn graph(
        &mut self,
        depth: usize,
        key: &str,
        of: &GraphRef,
        given: &[Given],
        library: &Library,
    ) -> Result<()> {
        let file = library.get(&of.graph.value)?;
        self.line(depth, &format!("{key}:"), String::new());
        let preset = file.presets.iter().find(|preset| is_as(preset, of));
        let comment = match preset {
            Some(preset) => format!(
                "{}; its preset {}, {}",
                place(&of.graph.span),
                preset.name.value,
                place(&preset.name.span)
            ),
            None => place(&of.graph.span),
        };
        self.value(depth + 1, "graph", &of.graph.value.clone().into(), comment);
        for (name, value) in &of.params {
            match &value.value {
                Value::Graph(inner) => {
                    let given = given_to(&file, &name.value, library, 0);
                    self.graph(depth + 1, &name.value, inner, &given, library)?;
                }
                plain => self.value(depth + 1, &name.value, &plain.to_yaml(), place(&value.span)),
            }
        }
        self.defaults(depth + 1, &file, of, given);
        Ok(())
    }

    /// The params that a recipe leaves to the graph.
    fn defaults(&mut self, depth: usize, file: &GraphFile, of: &GraphRef, given: &[Given]) {
        let left = file
            .params
            .iter()
            .filter(|param| of.param(&param.name.value).is_none());
        for param in left {
            let name = &param.name.value;
            let given = given.iter().find(|(given, _)| given == name);
            let (value, source) = match (given, &param.default) {
                (Some((_, value)), _) => (None, value),
                (None, Some(default)) => (written(param, default), default),
                (None, None) => continue,
            };
            let how = if given.is_some() {
                "given by"
            } else {
                "default of"
            };
            let comment = format!("{how} {}", place(&source.span));
            match value {
                Some(value) => self.value(depth, name, &value, comment),
                // It goes by what else there is: written down it would no longer follow.
                None => {
                    let text = source.span.text().split_whitespace();
                    let text = text.collect::<Vec<_>>().join(" ");
                    self.line(depth, &format!("# {name}: {text}"), comment);
                }
            }
        }
    }

    fn value(&mut self, depth: usize, key: &str, value: &Yaml, comment: String) {
        let text = match value {
            Yaml::Sequence(_) => format!("{key}: {}", flow(value)),
            _ => entry(key, value),
        };
        let mut lines = text.lines();
        self.line(depth, lines.next().unwrap_or_default(), comment);
        for line in lines {
            self.line(depth, line, String::new());
        }
    }

    /// Comments in one column, but for those of very long lines.
    fn text(&self) -> String {
        const WIDEST: usize = 64;
        let widths = self.0.iter().filter(|(_, comment)| !comment.is_empty());
        let widths = widths.map(|(text, _)| text.chars().count());
        let column = widths.filter(|width| *width <= WIDEST).max().unwrap_or(0);
        let mut page = String::new();
        for (text, comment) in &self.0 {
            match comment.is_empty() {
                true => page += text,
                false => page += &format!("{text:<column$}  # {comment}"),
            }
            page.push('\n');
        }
        page
    }
}

/// `key: value` as YAML writes it, over several lines if need be.
fn entry(key: &str, value: &Yaml) -> String {
    let mapping = Mapping::from_iter([(key.into(), value.clone())]);
    serde_yaml::to_string(&mapping).expect("a tree of plain values is always YAML")
}

/// Lists on one line.
fn flow(value: &Yaml) -> String {
    match value {
        Yaml::Sequence(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        // Quoted, for in a list a comma or a bracket would end it.
        Yaml::String(text) => format!("{text:?}"),
        plain => serde_yaml::to_string(plain)
            .expect("a plain value is always YAML")
            .trim_end()
            .to_owned(),
    }
}

/// `recipes/mine.yaml:5`, or the argument itself: `--set train.batch=64`.
fn place(span: &Span) -> String {
    match span.file.path.as_str() {
        "--set" => format!("--set {}", span.file.text.trim()),
        path => format!("{path}:{}", span.position().line),
    }
}

fn default(field: &Field, value: &Yaml) -> String {
    match field.default {
        Fallback::Is(text) => {
            let usual = serde_yaml::from_str(text).expect("the table's defaults are YAML");
            match plain_numbers(usual) == plain_numbers(value.clone()) {
                true => "default".to_owned(),
                false => "chosen on the command line".to_owned(),
            }
        }
        Fallback::TenthOf(of) => format!("default: a tenth of {of}"),
        Fallback::Required => "chosen on the command line".to_owned(),
    }
}

/// A param, and what it is given.
type Given = (String, Expr);

/// What a graph gives to whatever fills one of its params: where it calls it, or where one calls it that it hands it on to.
fn given_to(file: &GraphFile, slot: &str, library: &Library, depth: usize) -> Vec<Given> {
    /// Graphs that hand on to one another in a circle do not elaborate.
    const DEEPEST: usize = 16;
    let mut given = Vec::new();
    let mut look = |expr: &Expr| {
        let ExprKind::Call {
            function, keywords, ..
        } = &expr.kind
        else {
            return;
        };
        for (name, value) in keywords {
            let hands_on = matches!(&value.kind, ExprKind::Name(name) if name == slot);
            if function.value == slot {
                given.push((name.value.clone(), value.clone()));
            } else if hands_on && depth < DEEPEST {
                let next = library.get(&function.value).ok();
                given.extend(
                    next.into_iter()
                        .flat_map(|next| given_to(&next, &name.value, library, depth + 1)),
                );
            }
        }
    };
    file.exprs().for_each(|expr| expr.walk(&mut look));
    given
}

/// Whether a recipe gives every param of a preset the value that the preset has.
fn is_as(preset: &Preset, of: &GraphRef) -> bool {
    let same = |(name, value): &(Spanned<String>, Span)| {
        let given = of.param(&name.value).map(|given| given.value.to_yaml());
        let wanted = serde_yaml::from_str::<Yaml>(value.text()).ok();
        given.is_some() && given == wanted
    };
    !preset.values.is_empty() && preset.values.iter().all(same)
}

/// A default as a recipe can write it; nothing where it goes by other params.
fn written(param: &Param, default: &Expr) -> Option<Yaml> {
    match (&default.kind, &param.kind) {
        (ExprKind::Name(name), ParamKind::OneOf(choices)) if choices.contains(name) => {
            Some(name.clone().into())
        }
        (ExprKind::Call { args, keywords, .. }, ParamKind::Init) => {
            let mut values = args.iter().chain(keywords.iter().map(|(_, value)| value));
            let plain = values.all(|value| literal(value).is_some());
            plain.then(|| default.span.text().into())
        }
        _ => literal(default),
    }
}

fn literal(expr: &Expr) -> Option<Yaml> {
    Some(match &expr.kind {
        ExprKind::Int(value) => (*value).into(),
        ExprKind::Float(value) => (*value).into(),
        ExprKind::Text(text) => text.clone().into(),
        ExprKind::Bool(value) => (*value).into(),
        ExprKind::Null => Yaml::Null,
        ExprKind::List(items) => items.iter().map(literal).collect::<Option<_>>()?,
        ExprKind::Negate(inner) => match literal(inner)? {
            Yaml::Number(number) if number.is_f64() => (-number.as_f64()?).into(),
            Yaml::Number(number) => (-number.as_i64()?).into(),
            _ => return None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnostic::SourceFile,
        elaborate,
        recipe::{FIELDS, builtin},
    };

    fn told(name: &str, sets: &[&str]) -> (Recipe, String) {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let recipe = Recipe::load(name, &sets).expect("a sound recipe");
        let text = recipe.to_yaml_with_origins(&Library::new(&[]));
        (recipe, text.expect("its graphs are there"))
    }

    #[test]
    fn every_recipe_comes_back_with_the_same_graph() {
        for (name, _) in builtin() {
            let sets = ["model.encoder.drop_path=0.1", "train.optimizer.clip=null"];
            let (recipe, text) = told(&name, &sets);
            let again = Recipe::parse(&SourceFile::new("again", text.as_str()), &name, &[]);
            let again = again.unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!((&again.data, &again.train), (&recipe.data, &recipe.train));
            let listed = |recipe: &Recipe| {
                let setting = elaborate::Setting::training(1, recipe.data.size);
                let model = elaborate::elaborate(&Library::new(&[]), &recipe.model, &setting);
                crate::ir::print::print(&model.expect("elaborates").graph)
            };
            assert!(listed(&again) == listed(&recipe), "{name}\n{text}");
        }
    }

    #[test]
    fn every_value_tells_where_it_came_from() {
        let sets = ["train.batch=64", "model.masking.ratio=0.75"];
        let (_, text) = told("swin_b", &sets);
        insta::assert_snapshot!(text);
        for field in FIELDS.iter().filter(|field| field.path != "model") {
            let leaf = field.path.rsplit('.').next().unwrap_or_default();
            let line = text
                .lines()
                .find(|line| line.trim_start().starts_with(&format!("{leaf}:")));
            assert!(
                line.is_some_and(|line| line.contains("  # ")),
                "{}",
                field.path
            );
        }
    }

    #[test]
    fn odd_texts_and_lists_survive() {
        let text = "doc: |\n  two\n  lines\nmodel: { graph: simmim, encoder: { graph: swin.encoder, dim: 48, depths: [2, 2], heads: [2, 4] } }\n\
                    data: { images: 'a #b', size: 64 }\n";
        let recipe = Recipe::from_text("odd", text).expect("sound");
        let told = recipe
            .to_yaml_with_origins(&Library::new(&[]))
            .expect("its graphs are there");
        let again =
            Recipe::from_text("odd", &told).unwrap_or_else(|error| panic!("{error}\n{told}"));
        assert_eq!(
            (&again.doc, &again.data),
            (&recipe.doc, &recipe.data),
            "{told}"
        );
    }
}

//! `--set PATH=VALUE`: writes a value into the tree of a recipe before it is read.

use super::fields::{self, FIELDS};
use crate::{
    diagnostic::{Diagnostic, Result, SourceFile, Span},
    language::{
        expression::Spanned,
        yaml::{self, Entry, Node, NodeKind},
    },
};

/// Writes one argument, `train.batch=64` or `model.encoder.depth=6`, into the tree.
///
/// # Errors
/// A path that is no key of a recipe, a value that is no YAML; both point into the argument.
pub fn set(root: &mut Node, argument: &str) -> Result<()> {
    let file = SourceFile::new("--set", argument);
    let whole = Span::new(&file, 0..argument.len());
    let Some((path, _)) = argument.split_once('=') else {
        return Diagnostic::error("set-syntax", "`--set` wants PATH=VALUE")
            .at(whole)
            .help("for example --set train.batch=64")
            .fail();
    };
    let value = yaml::parse(&whole.part(path.len() + 1..argument.len()))?;
    let keys = keys(&whole.part(0..path.len()))?;
    check_path(&keys, path, root)?;
    insert(root, &keys, value)
}

/// Whether the model of a recipe has something of this name.
fn is_of_model(root: &Node, name: &str) -> bool {
    fn under<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
        let NodeKind::Map(entries) = &node.kind else {
            return None;
        };
        let entry = entries.iter().find(|entry| entry.key.value == name);
        entry.map(|entry| &entry.value)
    }
    under(root, "model").is_some_and(|model| under(model, name).is_some())
}

/// The parts between the dots.
fn keys(path: &Span) -> Result<Vec<Spanned<String>>> {
    let mut keys = Vec::new();
    let mut start = 0;
    for part in path.text().split('.') {
        let span = path.part(start..start + part.len());
        start += part.len() + 1;
        let value = part.trim().to_owned();
        if value.is_empty() {
            let message = "a key is missing in this path";
            return Diagnostic::error("set-syntax", message).at(path).fail();
        }
        keys.push(Spanned { value, span });
    }
    Ok(keys)
}

/// Outside the model, whose keys the graphs define, a path is one of the schema.
fn check_path(keys: &[Spanned<String>], path: &str, root: &Node) -> Result<()> {
    let mut section = String::new();
    for key in keys {
        let known = fields::keys_under(&section);
        if !known.contains(&key.value.as_str()) {
            let message = match section.as_str() {
                "" => format!("a recipe has no key `{}`", key.value),
                _ => format!("`{section}` has no key `{}`", key.value),
            };
            let mut error = Diagnostic::error("unknown-key", message).at(&key.span);
            if !known.is_empty() {
                error = error.help(format!("its keys are {}", known.join(", ")));
            }
            if section.is_empty() && is_of_model(root, &key.value) {
                return error.help(format!("did you mean `model.{path}`?")).fail();
            }
            // A whole path first: a right key in a wrong section is the likelier slip.
            let paths = FIELDS.iter().map(|field| field.path);
            let leaf = path.rsplit('.').next().unwrap_or(path);
            let same_leaf = paths
                .clone()
                .find(|path| path.rsplit('.').next() == Some(leaf));
            return match same_leaf {
                Some(same) => error.help(format!("did you mean `{same}`?")).fail(),
                None => error.suggest(path, paths).suggest(&key.value, known).fail(),
            };
        }
        if key.value == "model" && section.is_empty() {
            return Ok(());
        }
        section = match section.as_str() {
            "" => key.value.clone(),
            _ => format!("{section}.{}", key.value),
        };
    }
    Ok(())
}

fn insert(node: &mut Node, keys: &[Spanned<String>], value: Node) -> Result<()> {
    let [key, rest @ ..] = keys else {
        *node = value;
        return Ok(());
    };
    let NodeKind::Map(entries) = &mut node.kind else {
        let message = format!("`{}` would stand inside {}", key.value, node.describe());
        return Diagnostic::error("set-path", message)
            .at(&key.span)
            .note_at(node.describe(), &node.span)
            .fail();
    };
    if let Some(entry) = entries
        .iter_mut()
        .find(|entry| entry.key.value == key.value)
    {
        return insert(&mut entry.value, rest, value);
    }
    let mut new = Node {
        kind: NodeKind::Map(Vec::new()),
        span: key.span.clone(),
    };
    insert(&mut new, rest, value)?;
    let key = key.clone();
    entries.push(Entry { key, value: new });
    Ok(())
}

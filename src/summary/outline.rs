//! The model in a few lines: its parts, and what repeats in each.
//!
//! Nothing here knows a model. Instances form a tree by their paths; a part that repeats something anywhere below is opened
//! down to the innermost repeats, and alike neighbours become one line.

use super::Part;
use crate::elaborate::Instance;
use std::collections::{HashMap, HashSet};

/// Lists the parts of a model whose images come `batch` at a time.
pub fn outline(instances: &[Instance], batch: usize) -> Vec<Part> {
    let tree = Tree::new(instances, batch);
    let mut lines = Vec::new();
    for part in tree.children("") {
        lines.push(tree.line(part, 0));
        if tree.repeats_below(part) {
            tree.stages(part, &mut lines);
        }
    }
    lines
}

struct Tree<'a> {
    /// By the path of the nearest instance above.
    children: HashMap<&'a str, Vec<&'a Instance>>,
    batch: usize,
}

impl<'a> Tree<'a> {
    fn new(instances: &'a [Instance], batch: usize) -> Self {
        let paths: HashSet<&str> = instances.iter().map(|one| one.path.as_str()).collect();
        let mut children: HashMap<_, Vec<_>> = HashMap::new();
        for instance in instances.iter().filter(|one| !one.path.is_empty()) {
            let above = ancestors(&instance.path).find(|path| paths.contains(path));
            children
                .entry(above.unwrap_or(""))
                .or_default()
                .push(instance);
        }
        Self { children, batch }
    }

    fn children(&self, path: &str) -> &[&'a Instance] {
        self.children.get(path).map_or(&[], Vec::as_slice)
    }

    fn repeats_below(&self, instance: &Instance) -> bool {
        let mut children = self.children(&instance.path).iter();
        children.any(|child| {
            let own = &child.path[instance.path.len() + 1..];
            numbered(own).is_some() || self.repeats_below(child)
        })
    }

    fn stages(&self, part: &Instance, lines: &mut Vec<Part>) {
        for child in self.children(&part.path) {
            if self.repeats_below(child) {
                self.stages(child, lines);
                continue;
            }
            let line = self.line(child, 1);
            match lines.last_mut() {
                Some(last) if follows(last, &line) => {
                    last.repeats += 1;
                    last.parameters += line.parameters;
                }
                _ => lines.push(line),
            }
        }
    }

    fn line(&self, instance: &Instance, depth: usize) -> Part {
        let dims = instance.outputs.first().map_or(&[][..], |(_, dims)| dims);
        let shape = match dims {
            [batch, shape @ ..] if *batch == self.batch => shape,
            dims => dims,
        };
        let of_tokens = depth == 1 || self.repeats_below(instance);
        Part {
            path: instance.path.clone(),
            graph: instance.graph.clone(),
            repeats: 1,
            shape: shape.to_vec(),
            tokens: match shape {
                [positions @ .., _] if of_tokens => Some(positions.iter().product()),
                _ => None,
            },
            parameters: instance.parameters,
            depth,
        }
    }
}

/// Whether a line is one more of what the last line lists.
fn follows(last: &Part, line: &Part) -> bool {
    let alike = last.graph == line.graph && last.shape == line.shape;
    let place = numbered(&last.path).zip(numbered(&line.path));
    alike && place.is_some_and(|((a, first), (b, number))| a == b && number == first + last.repeats)
}

/// `("encoder.blocks", 3)` for `encoder.blocks.3`; nothing for a bare number, which is a name like any other.
pub fn numbered(path: &str) -> Option<(&str, usize)> {
    let (parent, number) = path.rsplit_once('.')?;
    Some((parent, number.parse().ok()?))
}

/// `a.b` and `a` for `a.b.c`.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.rmatch_indices('.').map(|(at, _)| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(path: &str, graph: &str, dims: &[usize]) -> Instance {
        Instance {
            path: path.into(),
            graph: graph.into(),
            inside: Vec::new(),
            outputs: vec![("y".into(), dims.to_vec())],
            parameters: 10,
        }
    }

    #[test]
    fn repeats_become_one_line_and_their_insides_none() {
        let mut instances = vec![
            instance("", "model", &[]),
            instance("encoder", "trunk", &[2, 3, 3, 16]),
            instance("encoder.embed", "embed", &[2, 6, 6, 8]),
            instance("encoder.embed.norm", "norm", &[2, 6, 6, 8]),
        ];
        for (stage, depth, side, dim) in [(0, 2, 6, 8), (1, 3, 3, 16)] {
            let scope = format!("encoder.layers.{stage}");
            instances.push(instance(&scope, "stage", &[2, 3, 3, 16]));
            for block in 0..depth {
                let path = format!("{scope}.blocks.{block}");
                instances.push(instance(&path, "block", &[2, side, side, dim]));
                instances.push(instance(
                    &format!("{path}.mlp"),
                    "mlp",
                    &[2, side, side, dim],
                ));
            }
        }
        instances.push(instance("encoder.layers.0.merge", "merge", &[2, 3, 3, 16]));
        instances.push(instance("decoder", "head", &[2, 3, 96, 96]));
        let lines = outline(&instances, 2);
        let told: Vec<_> = lines
            .iter()
            .map(|l| (&*l.path, l.repeats, l.tokens, l.parameters))
            .collect();
        let expected = [
            ("encoder", 1, Some(9), 10),
            ("encoder.embed", 1, Some(36), 10),
            ("encoder.layers.0.blocks.0", 2, Some(36), 20),
            ("encoder.layers.0.merge", 1, Some(9), 10),
            ("encoder.layers.1.blocks.0", 3, Some(9), 30),
            ("decoder", 1, None, 10),
        ];
        assert_eq!(told, expected);
        assert_eq!(lines[2].shape, [6, 6, 8]);
    }
}

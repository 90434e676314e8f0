//! A model for other programs: to draw by Graphviz, Mermaid or Model Explorer, to run by PyTorch.
//!
//! Graphviz and Mermaid show parts of the model as boxes, and what flows between them; a depth says how far parts are opened.
//! Model Explorer opens them itself, so it gets every node.

mod dot;
mod explorer;
mod mermaid;
#[cfg(feature = "report")]
pub mod report;
mod torch;

pub use dot::dot;
pub use explorer::explorer;
pub use mermaid::mermaid;
pub use torch::torch;

use crate::ir::{
    Graph, meta,
    ops::{Input, InputKind, own},
    read,
};
use std::collections::{BTreeMap, HashMap};

/// Parts of a model and what flows between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// In the order they run.
    pub boxes: Vec<Part>,
    /// From box to box, with the shapes of what flows; each pair once.
    pub arrows: BTreeMap<(usize, usize), Vec<Vec<usize>>>,
}

/// A part of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `encoder.layers.0`
    pub path: String,
    /// Numbers in its weights.
    pub parameters: usize,
    /// Nodes of the graph in it.
    pub nodes: usize,
    /// Whether it is fed: an image, a mask.
    pub fed: bool,
}

/// The graph with everything below a path of so many names in one box. Weights and constants belong to whoever reads them.
pub fn flow(graph: &Graph, depth: usize) -> Flow {
    let table = meta(graph);
    let mut flow = Flow {
        boxes: Vec::new(),
        arrows: BTreeMap::new(),
    };
    let mut at: HashMap<String, usize> = HashMap::new();
    let mut of_node = HashMap::new();
    let mut weights: HashMap<_, usize> = HashMap::new();
    for node in read::schedule(graph) {
        let of = &table.nodes[&node];
        let edges = read::edges(graph, node);
        let input = own::<Input>(graph, node);
        let path = match input {
            Some(input) => match input.kind {
                InputKind::Feed => input.name.clone(),
                InputKind::Weight { .. } => {
                    weights.insert(node, of.dims[0].iter().product());
                    continue;
                }
                _ => continue,
            },
            None if edges.is_empty() => continue,
            None => of
                .origin
                .path
                .split('.')
                .take(depth)
                .collect::<Vec<_>>()
                .join("."),
        };
        let boxes = &mut flow.boxes;
        let here = *at.entry(path.clone()).or_insert_with(|| {
            boxes.push(Part {
                path,
                parameters: 0,
                nodes: 0,
                fed: input.is_some(),
            });
            boxes.len() - 1
        });
        of_node.insert(node, here);
        flow.boxes[here].nodes += 1;
        for edge in edges {
            // A weight that several parts read counts for the first.
            flow.boxes[here].parameters += weights.remove(&edge.node).unwrap_or(0);
            if let Some(&from) = of_node.get(&edge.node)
                && from != here
            {
                let dims = table.nodes[&edge.node].dims[edge.output as usize].clone();
                let shapes = flow.arrows.entry((from, here)).or_default();
                if !shapes.contains(&dims) {
                    shapes.push(dims);
                }
            }
        }
    }
    flow
}

/// `[2, 48, 48, 128], [2, 6, 6]`
fn shapes(shapes: &[Vec<usize>]) -> String {
    shapes
        .iter()
        .map(|dims| format!("{dims:?}"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{elaborate, elaborate::Setting, language::library::Library, recipe::Recipe};

    fn model() -> Graph {
        let sets = ["model.encoder.depths=[1, 1, 1]".to_owned()];
        let recipe = Recipe::load("quickstart", &sets).expect("a sound recipe");
        let setting = Setting::training(2, recipe.data.size);
        elaborate::elaborate(&Library::new(&[]), &recipe.model, &setting)
            .expect("a sound model")
            .graph
    }

    #[test]
    fn every_parameter_is_in_a_box_at_any_depth() {
        let graph = model();
        let weights = graph.graph.node_indices().filter(|&node| {
            own::<Input>(&graph, node).is_some_and(|i| matches!(i.kind, InputKind::Weight { .. }))
        });
        let all: usize = weights
            .map(|n| meta(&graph).nodes[&n].dims[0].iter().product::<usize>())
            .sum();
        let mut last = 0;
        for depth in 1..=8 {
            let flow = flow(&graph, depth);
            assert_eq!(
                flow.boxes.iter().map(|part| part.parameters).sum::<usize>(),
                all
            );
            assert!(flow.boxes.len() >= last, "opened further");
            last = flow.boxes.len();
            let known =
                |&(from, to): &(usize, usize)| from != to && from.max(to) < flow.boxes.len();
            assert!(flow.arrows.keys().all(known));
        }
        let flow = flow(&graph, 1);
        let paths: Vec<&str> = flow.boxes.iter().map(|part| part.path.as_str()).collect();
        for part in ["image", "encoder", "decoder", "loss"] {
            assert!(paths.contains(&part), "{part} in {paths:?}");
        }
        assert!(
            flow.boxes
                .iter()
                .all(|part| part.fed == (part.path == "image"))
        );
    }

    #[test]
    fn names_and_labels_are_those_the_formats_allow() {
        let graph = model();
        let flow = flow(&graph, 2);
        let dot = dot("quickstart", &flow);
        assert!(dot.starts_with("digraph \"quickstart\" {\n") && dot.ends_with("}\n"));
        assert_eq!(dot.matches(" -> ").count(), flow.arrows.len());
        let mermaid = mermaid(&flow);
        assert!(mermaid.starts_with("flowchart TB\n"));
        assert_eq!(
            mermaid.lines().count(),
            1 + flow.boxes.len() + flow.arrows.len()
        );
        let explorer = explorer("quickstart", &graph);
        let nodes = explorer["graphs"][0]["nodes"].as_array().expect("a list");
        assert_eq!(nodes.len(), graph.graph.node_count());
        let ids: std::collections::HashSet<&str> =
            nodes.iter().filter_map(|n| n["id"].as_str()).collect();
        assert_eq!(ids.len(), nodes.len(), "each once");
        let edges = nodes
            .iter()
            .flat_map(|n| n["incomingEdges"].as_array().expect("a list"));
        let mut count = 0;
        for edge in edges {
            assert!(ids.contains(edge["sourceNodeId"].as_str().expect("an id")));
            count += 1;
        }
        assert_eq!(count, graph.graph.edge_count());
    }
}

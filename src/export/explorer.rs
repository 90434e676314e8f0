//! The JSON of Google's Model Explorer: every node, in the hierarchy of the model's parts.

use crate::ir::{Graph, meta, print::label, read};
use serde_json::{Value, json};

/// A document that `model-explorer FILE.json` opens.
pub fn explorer(name: &str, graph: &Graph) -> Value {
    let table = meta(graph);
    let order = read::schedule(graph);
    let nodes = order.iter().map(|&node| {
        let of = &table.nodes[&node];
        let edges = read::edges(graph, node)
            .into_iter()
            .enumerate()
            .map(|(input, edge)| {
                json!({
                    "sourceNodeId": edge.node.index().to_string(),
                    "sourceNodeOutputId": edge.output.to_string(),
                    "targetNodeInputId": input.to_string(),
                })
            });
        let outputs = of.dims.iter().enumerate().map(|(output, dims)| {
            json!({
                "id": output.to_string(),
                "attrs": [{ "key": "shape", "value": format!("{dims:?}") }],
            })
        });
        let kept = table.roots.iter().filter(|root| root.node == node);
        let kept: Vec<&str> = kept.map(|root| root.name.as_str()).collect();
        let mut attributes = vec![json!({ "key": "origin", "value": of.origin.to_string() })];
        if !kept.is_empty() {
            attributes.push(json!({ "key": "kept as", "value": kept.join(", ") }));
        }
        json!({
            "id": node.index().to_string(),
            "label": label(graph, node),
            "namespace": of.origin.path.replace('.', "/"),
            "attrs": attributes,
            "incomingEdges": edges.collect::<Vec<_>>(),
            "outputsMetadata": outputs.collect::<Vec<_>>(),
        })
    });
    json!({
        "label": name,
        "graphs": [{ "id": name, "nodes": nodes.collect::<Vec<_>>() }],
    })
}

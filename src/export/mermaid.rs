//! Mermaid, which GitHub and others draw in Markdown between fences of `mermaid`.

use super::{Flow, Part, shapes};
use crate::text::units::grouped;
use std::fmt::Write;

/// A flowchart from top to bottom; what is fed has round ends.
pub fn mermaid(flow: &Flow) -> String {
    let mut text = "flowchart TB\n".to_owned();
    for (number, part) in flow.boxes.iter().enumerate() {
        let (open, close) = if part.fed { ("([", "])") } else { ("[", "]") };
        // Writing to a text does not fail.
        let _ = writeln!(text, "  n{number}{open}\"{}\"{close}", label(part));
    }
    for ((from, to), dims) in &flow.arrows {
        let _ = writeln!(text, "  n{from} -->|\"{}\"| n{to}", shapes(dims));
    }
    text
}

/// Quotes cannot be escaped in Mermaid but as entities.
fn label(part: &Part) -> String {
    let path = part.path.replace('"', "#quot;");
    match part.parameters {
        0 => path,
        some => format!("{path}<br/>{} parameters", grouped(some)),
    }
}

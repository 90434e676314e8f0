//! Graphviz: `mimc compile swin_b --emit dot | dot -Tsvg > swin_b.svg`.

use super::{Flow, Part, shapes};
use crate::text::units::grouped;
use std::fmt::Write;

/// A digraph from top to bottom; what is fed has rounded corners.
pub fn dot(name: &str, flow: &Flow) -> String {
    let mut text = format!("digraph {} {{\n", quoted(name));
    text += "  node [shape=box, fontname=\"sans-serif\", fontsize=11];\n";
    text += "  edge [fontname=\"sans-serif\", fontsize=9];\n";
    for (number, part) in flow.boxes.iter().enumerate() {
        let style = if part.fed { ", style=rounded" } else { "" };
        // Writing to a text does not fail.
        let _ = writeln!(text, "  n{number} [label={}{style}];", quoted(&label(part)));
    }
    for ((from, to), dims) in &flow.arrows {
        let _ = writeln!(
            text,
            "  n{from} -> n{to} [label={}];",
            quoted(&shapes(dims))
        );
    }
    text + "}\n"
}

fn label(part: &Part) -> String {
    match part.parameters {
        0 => part.path.clone(),
        some => format!("{}\n{} parameters", part.path, grouped(some)),
    }
}

fn quoted(text: &str) -> String {
    let text = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{text}\"")
}

//! The listing of a graph: one line per node in schedule order.

use super::{Graph, Kind, ShapeTracker, kind, meta, ops, rewrite, view};
use crate::listing::{Arg, Line, render};
use rustc_hash::FxHashMap;

/// Canonical text: a function of what the graph computes and where its parts came from, not of how its nodes are numbered.
pub fn print(graph: &Graph) -> String {
    let nodes: Vec<_> = rewrite::schedule(graph)
        .into_iter()
        .filter(|&n| !matches!(kind(graph, n), Kind::Constant(_)))
        .collect();
    let at: FxHashMap<_, _> = nodes.iter().enumerate().map(|(i, &n)| (n, i)).collect();
    let mut lines: Vec<Line> = nodes
        .iter()
        .map(|&node| {
            let of = &meta(graph).nodes[&node];
            let shapes: Vec<String> = of.dims.iter().map(|d| format!("{d:?}")).collect();
            let arg = |source: super::Value| {
                if let Kind::Constant(x) = kind(graph, source.node) {
                    return Arg::Text(format!("{x}"));
                }
                let output = if source.output == 0 {
                    String::new()
                } else {
                    format!(".{}", source.output)
                };
                let dims = &meta(graph).nodes[&source.node].dims[source.output as usize];
                Arg::Line(at[&source.node], output + &view_text(&source.view, dims))
            };
            Line {
                origin: of.origin.to_string(),
                shape: shapes.join(" "),
                label: label(graph, node),
                args: rewrite::sources(graph, node).into_iter().map(arg).collect(),
            }
        })
        .collect();
    for root in &meta(graph).roots {
        let leaf = ops::own::<ops::Input>(graph, root.node).is_some();
        let seen = if root.output == 0 {
            String::new()
        } else {
            format!(".{}", root.output)
        };
        if let (Some(&node), false) = (at.get(&root.node), leaf) {
            lines[node].label = format!("{} → {}{seen}", lines[node].label, root.name);
        }
    }
    render(&lines)
}

fn label(graph: &Graph, node: super::NodeIndex) -> String {
    match kind(graph, node) {
        Kind::Constant(x) => format!("{x}"),
        Kind::Pointwise(op) => format!("{op:?}").to_lowercase(),
        Kind::Reduce(op, axis) => format!(
            "{}[{axis}]",
            if op == super::program::RowOp::RowMax {
                "max"
            } else {
                "sum"
            }
        ),
        Kind::Copy => "copy".into(),
        Kind::Own(own) => own.0.label(),
    }
}

/// How a reader sees a buffer of `dims`: nothing where it sees all of it in order.
///
/// `~` marks a broadcast axis, `a:b` a slice, `+a+b` zeros before and after; `order` gives the buffer's axes where they are
/// not in their own.
fn view_text(view: &ShapeTracker, dims: &[usize]) -> String {
    let logical = view::dims(view);
    if view::is_plain(view) && logical == dims {
        return String::new();
    }
    let (slices, padding) = (view::slices(view), view::padding(view));
    let axis = |axis: usize| {
        let (start, end) = slices[axis];
        let (before, after) = padding[axis];
        let n = logical[axis];
        if view::broadcasts(view, axis) {
            format!("~{n}")
        } else if before + after > 0 {
            format!("+{before}+{after}")
        } else if view::is_cut(view, axis) {
            format!("{start}:{end}")
        } else {
            format!("{n}")
        }
    };
    let axes: Vec<String> = (0..logical.len()).map(axis).collect();
    let real: Vec<usize> = view
        .indexes
        .iter()
        .copied()
        .filter(|&i| !view.fake[i])
        .collect();
    let mut sorted = real.clone();
    sorted.sort_unstable();
    let order: Vec<String> = real
        .iter()
        .map(|i| {
            sorted
                .iter()
                .position(|s| s == i)
                .expect("sorted holds the same")
                .to_string()
        })
        .collect();
    let order = if real == sorted {
        String::new()
    } else {
        format!(" order {}", order.join(""))
    };
    format!("[{}{order}]", axes.join(", "))
}

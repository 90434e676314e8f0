//! The listing of a graph: its leaves, then one line per node in schedule order.

use super::{
    Graph, Kind, NodeIndex, ShapeTracker, Value, kind, meta,
    ops::{Input, InputKind, Part, is_arange, own, table_name},
    rewrite,
    roots::parse,
    view,
};
use crate::listing::{Arg, Line, Section, render, spans};
use rustc_hash::FxHashMap;

/// Canonical text: a function of what the graph computes and where its parts came from, not of how its nodes are numbered.
pub fn print(graph: &Graph) -> String {
    render(&sections(graph))
}

/// What is fed, drawn and tabled, the weights, and the nodes. Constants and the optimizer's state stand where they are read.
pub fn sections(graph: &Graph) -> [Section; 3] {
    let order = rewrite::schedule(graph).into_iter();
    let (leaves, nodes): (Vec<_>, Vec<_>) = order
        .filter(|&node| !matches!(kind(graph, node), Kind::Constant(_)))
        .partition(|&node| own::<Input>(graph, node).is_some());
    let [inputs, weights] = listed(graph, leaves);
    let mut printer = Printer {
        graph,
        at: FxHashMap::default(),
        weights: FxHashMap::default(),
        kept: FxHashMap::default(),
    };
    for (at, &node) in inputs.iter().chain(&weights).chain(&nodes).enumerate() {
        printer.at.insert(node, at);
    }
    for &node in &weights {
        let weight = own::<Input>(graph, node).expect("weights are leaves");
        printer.weights.insert(&weight.name, printer.at[&node]);
    }
    for root in &meta(graph).roots {
        let kept = printer.kept.entry(root.node).or_default();
        kept.push((root.output, root.name.as_str()));
    }
    let section = |what, nodes: &[NodeIndex], lines: Vec<Line>| Section {
        heading: format!("{} {what}", nodes.len()),
        lines,
    };
    let leaves = |nodes: &[NodeIndex]| nodes.iter().map(|&node| printer.leaf(node)).collect();
    [
        section("inputs", &inputs, leaves(&inputs)),
        section("weights", &weights, leaves(&weights)),
        section(
            "nodes",
            &nodes,
            nodes.iter().map(|&node| printer.node(node)).collect(),
        ),
    ]
}

/// The leaves that have a line of their own, in the order of creation: inputs, of which tables are the last, and weights.
fn listed(graph: &Graph, leaves: Vec<NodeIndex>) -> [Vec<NodeIndex>; 2] {
    let rank = |node: NodeIndex| {
        let input = own::<Input>(graph, node).expect("leaves are inputs");
        match &input.kind {
            InputKind::Feed | InputKind::Draw { .. } => Some(0),
            InputKind::Table(values) => (!is_arange(values)).then_some(1),
            InputKind::Weight { .. } => Some(2),
            InputKind::State(_) => None,
        }
    };
    let order = |node: NodeIndex| meta(graph).nodes[&node].order;
    let ranked = leaves.into_iter();
    let mut ranked: Vec<_> = ranked
        .filter_map(|n| Some((rank(n)?, order(n), n)))
        .collect();
    ranked.sort_unstable();
    let (inputs, weights): (Vec<_>, Vec<_>) = ranked.into_iter().partition(|(rank, ..)| *rank < 2);
    [inputs, weights].map(|leaves| leaves.into_iter().map(|(.., node)| node).collect())
}

struct Printer<'g> {
    graph: &'g Graph,
    /// The line of each node that has one.
    at: FxHashMap<NodeIndex, usize>,
    weights: FxHashMap<&'g str, usize>,
    /// The names under which the results of each node are kept.
    kept: FxHashMap<NodeIndex, Vec<(u8, &'g str)>>,
}

impl<'g> Printer<'g> {
    fn leaf(&self, node: NodeIndex) -> Line {
        let input = own::<Input>(self.graph, node).expect("leaves are inputs");
        let of = &meta(self.graph).nodes[&node];
        let (origin, from) = match &input.kind {
            InputKind::Table(values) => (table_name(values), format!(" of {}", of.origin)),
            _ => (input.name.clone(), String::new()),
        };
        Line {
            origin,
            shapes: of.dims.clone(),
            label: label(self.graph, node) + &from,
            ..Line::default()
        }
    }

    fn node(&self, node: NodeIndex) -> Line {
        let of = &meta(self.graph).nodes[&node];
        let code = match kind(self.graph, node) {
            Kind::Own(own) => own.0.code(),
            _ => String::new(),
        };
        Line {
            origin: of.origin.to_string(),
            shapes: of.dims.clone(),
            label: label(self.graph, node),
            args: self.args(node),
            code,
            kept: self.kept(node),
        }
    }

    fn args(&self, node: NodeIndex) -> Vec<Arg> {
        let sources = rewrite::sources(self.graph, node);
        let mut args: Vec<Arg> = Vec::new();
        let mut rest = &sources[..];
        while let Some((source, behind)) = rest.split_first() {
            let mut arg = self.arg(source);
            rest = behind;
            // A weight with all that the optimizer keeps of it is one argument.
            if let (Some(name), Some((state, behind))) =
                (self.weight(source), behind.split_first_chunk())
                && self.is_state(state, name)
                && let Arg::Line { after, .. } = &mut arg
            {
                after.push_str(" with its gradient and moments");
                rest = behind;
            }
            args.push(arg);
        }
        spans(args)
    }

    fn arg(&self, source: &Value) -> Arg {
        let view = || {
            let dims = &meta(self.graph).nodes[&source.node].dims[source.output as usize];
            result(source.output) + &view_text(&source.view, dims)
        };
        if let Some(&line) = self.at.get(&source.node) {
            return Arg::line(line, view());
        }
        if let Kind::Constant(x) = kind(self.graph, source.node) {
            return Arg::Text(format!("{x}"));
        }
        let input = own::<Input>(self.graph, source.node);
        let input = input.expect("only constants and leaves have no line");
        match (&input.kind, self.weights.get(&*input.name)) {
            (InputKind::Table(values), _) => Arg::Text(table_name(values) + &view()),
            (InputKind::State(part), Some(&line)) => Arg::Line {
                before: format!("{} of ", part.label()),
                line,
                after: view(),
            },
            _ => Arg::Text(label(self.graph, source.node) + &view()),
        }
    }

    fn weight(&self, source: &Value) -> Option<&'g str> {
        let input = own::<Input>(self.graph, source.node)?;
        matches!(input.kind, InputKind::Weight { .. }).then_some(&input.name)
    }

    fn is_state(&self, values: &[Value; 3], weight: &str) -> bool {
        let parts = [Part::Gradient, Part::FirstMoment, Part::SecondMoment];
        values.iter().zip(parts).all(|(value, part)| {
            own::<Input>(self.graph, value.node)
                .is_some_and(|i| i.name == weight && i.kind == InputKind::State(part))
        })
    }

    /// The names under which a node's results are kept.
    fn kept(&self, node: NodeIndex) -> Vec<Arg> {
        let mut roots = self.kept.get(&node).cloned().unwrap_or_default();
        roots.sort_unstable();
        let next = [Part::Value, Part::FirstMoment, Part::SecondMoment];
        let is_next = |weight: &str| {
            let expected = (0..).zip(next).map(|(i, part)| (i, Some((part, weight))));
            roots.iter().map(|&(i, name)| (i, parse(name))).eq(expected)
        };
        if let Some((_, weight)) = roots.first().and_then(|root| parse(root.1))
            && let (Some(&line), true) = (self.weights.get(weight), is_next(weight))
        {
            return vec![Arg::Line {
                before: "next ".into(),
                line,
                after: " and moments".into(),
            }];
        }
        let kept = roots.iter().map(|&(output, name)| {
            let weight =
                parse(name).and_then(|(part, weight)| Some((part, *self.weights.get(weight)?)));
            match weight {
                Some((part, line)) => Arg::Line {
                    before: format!("{} of ", part.label()),
                    line,
                    after: from(output),
                },
                None => Arg::Text(name.to_owned() + &from(output)),
            }
        });
        kept.collect()
    }
}

/// `:1` for the second result.
fn result(output: u8) -> String {
    match output {
        0 => String::new(),
        n => format!(":{n}"),
    }
}

fn from(output: u8) -> String {
    match output {
        0 => String::new(),
        n => format!(" from :{n}"),
    }
}

pub fn label(graph: &Graph, node: NodeIndex) -> String {
    match kind(graph, node) {
        Kind::Constant(x) => format!("{x}"),
        Kind::Pointwise(op) => format!("{op:?}").to_lowercase(),
        Kind::Reduce(op, axis) => format!(
            "{}[axis {axis}]",
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
/// `~` marks a broadcast axis, `a..b` a slice, `+a+b` zeros before and after; `order` gives the buffer's axes where they are
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
            format!("{start}..{end}")
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

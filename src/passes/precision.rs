//! Mixed precision: what products read, what they make, and what waits for the backward part is rounded to bf16, and so is stored
//! in half the bytes. Sums, norms, softmax, the loss, the residual stream, weights and their gradients stay f32.
//!
//! [`RULES`] says of each operator which of its inputs it reads rounded. An input that is a leaf, as weights are, is rounded while
//! it is read; any other value once, where it is made. Rounding goes before what only moves elements, so that halves are moved.

use crate::ir::{
    Graph, Kind, NodeIndex, Own, Rewriter, Value, kind, meta,
    ops::{
        Attention, AttentionGradient, Bf16, Concat, Contraction, Detach, Input, InputKind, Part,
        Roll, own,
    },
    program::RowOp,
    rewrite, roots, view,
};
use rustc_hash::FxHashSet;

/// Expects contractions to be found already, and row programs not yet.
pub fn run(graph: &mut Graph) {
    retype(graph);
    let schedule = rewrite::schedule(graph);
    let mut wanted = Wanted::of(graph, &schedule);
    wanted.move_before_movements(graph, &schedule);
    wanted.put(graph, &schedule);
    Rewriter::new(graph).remove_dead();
}

/// Which inputs an operator reads in bf16. What is in no row computes in f32.
struct Rule {
    is: fn(&Own) -> bool,
    reads: fn(&Own) -> Vec<usize>,
}

const RULES: [Rule; 3] = [
    Rule {
        is: |own| own.get::<Contraction>().is_some(),
        reads: |_| vec![0, 1],
    },
    // Queries, keys and values; biases are added in f32.
    Rule {
        is: |own| own.get::<Attention>().is_some(),
        reads: |_| vec![0, 1, 2],
    },
    // The result and its gradient as well.
    Rule {
        is: |own| own.get::<AttentionGradient>().is_some(),
        reads: |own| {
            let inputs = own.get().map_or(3, |op: &AttentionGradient| op.of.inputs());
            vec![0, 1, 2, inputs, inputs + 2]
        },
    },
];

fn reads(graph: &Graph, node: NodeIndex) -> Vec<usize> {
    let Kind::Own(own) = kind(graph, node) else {
        return Vec::new();
    };
    let rule = RULES.iter().find(|rule| (rule.is)(own));
    rule.map_or(Vec::new(), |rule| (rule.reads)(own))
}

/// Tells contractions which of their inputs to round as they read, and attention to round its results as it writes.
fn retype(graph: &mut Graph) {
    for node in rewrite::schedule(graph) {
        let inputs = rewrite::sources(graph, node);
        let mut results = None;
        if let Some(op) = own::<Contraction>(graph, node) {
            let leaf = |i: usize| own::<Input>(graph, inputs[i].node).is_some();
            let op = Contraction {
                rounds: [leaf(0), leaf(1)],
                ..op.clone()
            };
            results = Some(again(graph, node, op, &inputs));
        } else if let Some(op) = own::<Attention>(graph, node) {
            let op = Attention {
                rounds: true,
                ..op.clone()
            };
            results = Some(again(graph, node, op, &inputs));
        } else if let Some(op) = own::<AttentionGradient>(graph, node) {
            let mut op = op.clone();
            op.of.rounds = true;
            results = Some(again(graph, node, op, &inputs));
        }
        for (output, result) in results.iter().flatten().enumerate() {
            Rewriter::new(graph).replace(node, output as u8, result);
        }
    }
    Rewriter::new(graph).remove_dead();
}

fn again(
    graph: &mut Graph,
    node: NodeIndex,
    op: impl crate::ir::Op,
    inputs: &[Value],
) -> Vec<Value> {
    let mut r = Rewriter::new(graph);
    r.stand_in_for(node);
    r.op(op, &inputs.iter().collect::<Vec<_>>())
}

/// An input of a node.
type Edge = (NodeIndex, usize);

/// The edges that show rounded values.
#[derive(Default)]
struct Wanted {
    edges: FxHashSet<Edge>,
}

impl Wanted {
    fn of(graph: &Graph, schedule: &[NodeIndex]) -> Wanted {
        let mut wanted = Wanted::default();
        let values = Values::of(graph, schedule);
        for &node in schedule {
            let inputs = rewrite::sources(graph, node);
            for input in reads(graph, node) {
                let leaf = own::<Input>(graph, inputs[input].node).is_some();
                let contracts = own::<Contraction>(graph, node).is_some();
                if !(leaf && contracts) {
                    wanted.edges.insert((node, input));
                }
            }
            wanted.products(graph, node, &values);
            wanted.kept(graph, node, &inputs, &values);
        }
        wanted.sums(graph, schedule);
        wanted
    }

    /// What moves a product moves it rounded, and so does all of the backward part read it, behind the bias. The gradient of a
    /// weight is added up as it is, and what the forward part goes on to compute with at once is not stored at all.
    fn products(&mut self, graph: &Graph, node: NodeIndex, values: &Values) {
        let product = own::<Contraction>(graph, node).is_some_and(|op| !op.accumulate);
        if !product || values.accumulates(graph, node) {
            return;
        }
        let result = values.behind_bias(graph, node);
        let backward = meta(graph).nodes[&result].origin.backward;
        let readers = rewrite::readers(graph, result).into_iter();
        let readers = readers.filter(|r| backward || moves(graph, r.0));
        self.edges.extend(readers.map(|r| (r.0, r.1 as usize)));
    }

    /// What the backward part reads of the forward part: but for one number per row, and what comes of weights alone.
    fn kept(&mut self, graph: &Graph, node: NodeIndex, inputs: &[Value], values: &Values) {
        let backward = |node| meta(graph).nodes[&node].origin.backward;
        if !backward(node) {
            return;
        }
        for (input, source) in inputs.iter().enumerate() {
            let pointwise = matches!(kind(graph, source.node), Kind::Pointwise(_));
            let computed = pointwise || moves(graph, source.node);
            let product = own::<Contraction>(graph, source.node).is_some();
            let kept = !backward(source.node) && !values.roots.contains(&source.node);
            if kept && (computed || product) && values.wide.contains(&source.node) {
                self.edges.insert((node, input));
            }
        }
    }

    /// The sums of the backward part read what products read anyway: the gradients of biases.
    fn sums(&mut self, graph: &Graph, schedule: &[NodeIndex]) {
        for &node in schedule {
            let summed = |r: &(NodeIndex, u8, u8, _)| {
                matches!(kind(graph, r.0), Kind::Reduce(..))
                    && meta(graph).nodes[&r.0].origin.backward
            };
            let readers = rewrite::readers(graph, node);
            let of_product = |output: u8| {
                let mut same = readers.iter().filter(|r| r.2 == output);
                same.any(|r| self.edges.contains(&(r.0, r.1 as usize)))
            };
            let sums: Vec<Edge> = (readers.iter())
                .filter(|r| summed(r) && of_product(r.2))
                .map(|r| (r.0, r.1 as usize))
                .collect();
            self.edges.extend(sums);
        }
    }

    /// Where all that read a moved value want it rounded, what is moved is.
    fn move_before_movements(&mut self, graph: &Graph, schedule: &[NodeIndex]) {
        for &node in schedule.iter().rev() {
            let readers = rewrite::readers(graph, node);
            let edges: Vec<Edge> = readers.iter().map(|r| (r.0, r.1 as usize)).collect();
            let root = meta(graph).roots.iter().any(|r| r.node == node);
            let all = !edges.is_empty() && edges.iter().all(|edge| self.edges.contains(edge));
            if moves(graph, node) && all && !root {
                edges.iter().for_each(|edge| _ = self.edges.remove(edge));
                let inputs = rewrite::sources(graph, node).len();
                self.edges.extend((0..inputs).map(|input| (node, input)));
            }
        }
    }

    fn put(&self, graph: &mut Graph, schedule: &[NodeIndex]) {
        for &node in schedule {
            let leaf = own::<Input>(graph, node).is_some();
            for output in 0..meta(graph).nodes[&node].dims.len() as u8 {
                let readers = rewrite::readers(graph, node).into_iter();
                let edges = readers
                    .filter(|r| r.2 == output)
                    .map(|r| (r.0, r.1 as usize));
                let edges: Vec<Edge> = edges.filter(|e| self.edges.contains(e)).collect();
                if edges.is_empty() || is_rounded(graph, node, output) {
                    continue;
                }
                if leaf {
                    // Not to live from one reader to the next: a leaf is at hand for both.
                    for edge in edges {
                        round(graph, (node, output), edge.0, &[edge]);
                    }
                } else {
                    round(graph, (node, output), node, &edges);
                }
            }
        }
    }
}

/// Has these inputs read the rounded buffer, which is made in the place of a node.
fn round(graph: &mut Graph, (node, output): (NodeIndex, u8), place: NodeIndex, edges: &[Edge]) {
    let dims = meta(graph).nodes[&node].dims[output as usize].clone();
    let mut r = Rewriter::new(graph);
    r.stand_in_for(place);
    let whole = Value {
        node,
        output,
        view: view::plain(&dims),
    };
    let rounded = r.op(Bf16, &[&whole]).remove(0);
    for &(reader, input) in edges {
        r.redirect(reader, input as u8, &rounded);
    }
}

/// Whether an output holds numbers of bf16 already.
pub fn is_rounded(graph: &Graph, node: NodeIndex, output: u8) -> bool {
    if let Some(op) = own::<Attention>(graph, node) {
        return op.rounds && output == 0;
    }
    if let Some(op) = own::<AttentionGradient>(graph, node) {
        return op.rounds(output as usize);
    }
    if moves(graph, node) {
        let sources = rewrite::sources(graph, node);
        return sources.iter().all(|s| is_rounded(graph, s.node, s.output));
    }
    own::<Bf16>(graph, node).is_some()
}

/// Whether a node only moves elements.
fn moves(graph: &Graph, node: NodeIndex) -> bool {
    match kind(graph, node) {
        Kind::Copy => true,
        Kind::Own(own) => {
            own.get::<Roll>().is_some()
                || own.get::<Concat>().is_some()
                || own.get::<Detach>().is_some()
        }
        _ => false,
    }
}

/// Whether a node multiplies with a constant.
fn is_scaling(graph: &Graph, node: NodeIndex) -> bool {
    let constant = |s: &Value| matches!(kind(graph, s.node), Kind::Constant(_));
    matches!(kind(graph, node), Kind::Pointwise(RowOp::Mul))
        && rewrite::sources(graph, node).iter().any(constant)
}

/// What the rules ask of values.
struct Values {
    roots: FxHashSet<NodeIndex>,
    /// Made of weights and constants alone.
    of_weights: FxHashSet<NodeIndex>,
    /// Made, element by element, of what is as wide as images or a product; not of what is reduced alone.
    wide: FxHashSet<NodeIndex>,
}

impl Values {
    fn of(graph: &Graph, schedule: &[NodeIndex]) -> Values {
        let mut values = Values {
            roots: meta(graph).roots.iter().map(|r| r.node).collect(),
            of_weights: FxHashSet::default(),
            wide: FxHashSet::default(),
        };
        for &node in schedule {
            let input = own::<Input>(graph, node).map(|input| &input.kind);
            let sources = rewrite::sources(graph, node);
            let (fixed, wide) = match (kind(graph, node), input) {
                (_, Some(InputKind::Feed | InputKind::Draw { .. })) => (false, true),
                (_, Some(_)) | (Kind::Constant(_), _) => (true, false),
                (Kind::Reduce(..), _) => (values.fixed(&sources), false),
                (Kind::Own(own), _) if own.get::<Contraction>().is_some() => {
                    (values.fixed(&sources), true)
                }
                _ => {
                    let wide = sources.iter().any(|s| values.wide.contains(&s.node));
                    let own = own::<Attention>(graph, node).is_some();
                    (values.fixed(&sources), wide || own)
                }
            };
            if fixed {
                values.of_weights.insert(node);
            }
            if wide && !fixed {
                values.wide.insert(node);
            }
        }
        values
    }

    fn fixed(&self, sources: &[Value]) -> bool {
        sources.iter().all(|s| self.of_weights.contains(&s.node))
    }

    /// The last of the sums with weights and products with constants that alone read a result, each the one before.
    fn behind_bias(&self, graph: &Graph, mut node: NodeIndex) -> NodeIndex {
        while let Some(reader) = self.only_reader(graph, node) {
            let sources = rewrite::sources(graph, reader);
            let mut others = sources.iter().filter(|s| s.node != node);
            let goes_on = match (kind(graph, reader), others.next()) {
                (Kind::Pointwise(RowOp::Add), Some(other)) => self.of_weights.contains(&other.node),
                _ => is_scaling(graph, reader),
            };
            if !goes_on || self.roots.contains(&reader) {
                break;
            }
            node = reader;
        }
        node
    }

    /// Whether a result, moved or scaled, goes nowhere but into the gradient of a weight.
    fn accumulates(&self, graph: &Graph, mut node: NodeIndex) -> bool {
        while let Some(reader) = self.only_reader(graph, node) {
            let gradient = |s: &Value| {
                let leaf = own::<Input>(graph, s.node);
                leaf.is_some_and(|leaf| leaf.kind == InputKind::State(Part::Gradient))
            };
            if rewrite::sources(graph, reader).iter().any(gradient) {
                return true;
            }
            if !moves(graph, reader) && !is_scaling(graph, reader) {
                return false;
            }
            node = reader;
        }
        let root = meta(graph).roots.iter().find(|r| r.node == node);
        root.and_then(|root| roots::parse(&root.name)).is_some()
    }

    fn only_reader(&self, graph: &Graph, node: NodeIndex) -> Option<NodeIndex> {
        match &rewrite::readers(graph, node)[..] {
            [(reader, ..)] if !self.roots.contains(&node) => Some(*reader),
            _ => None,
        }
    }
}

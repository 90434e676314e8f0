//! From a graph to a plan: one kernel per node (a few for concatenations and rolls), then buffers into the arena.

mod attention;
mod contraction;
mod element;
mod movement;
mod optimizer;
mod pointwise;

use super::{
    Access, Buffer, BufferId, Element, Kernel, Place, Plan, Scheduled, Stream, StreamId, Training,
    Weight, layout,
};
use crate::ir::{
    Graph, Kind, NodeIndex, Own, Value, kind, meta,
    ops::{self, Input, InputKind, Part},
    rewrite::{schedule, sources},
    roots, view,
};
use rustc_hash::{FxHashMap, FxHashSet};

/// Lowers a legal graph, fused or not.
///
/// # Panics
/// On a graph that [`verify`](crate::ir::verify::verify) refuses.
pub fn lower(graph: &Graph) -> Plan {
    lower_from(graph).plan
}

/// A plan and where it comes from.
#[derive(Debug, Clone)]
pub struct Lowered {
    pub plan: Plan,
    /// The number of the node that each kernel comes from: of `accumulate`, then of `apply`.
    pub from: Vec<usize>,
}

/// As [`lower`], and tells which node each kernel comes from.
///
/// # Panics
/// As [`lower`].
pub fn lower_from(graph: &Graph) -> Lowered {
    let mut lowering = Lowering::new(graph);
    lowering.leaves();
    lowering.alias_state();
    for node in schedule(graph) {
        lowering.node(node);
    }
    lowering.finish()
}

/// Where the elements of a node's output are.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Home {
    Buffer(BufferId),
    Stream(StreamId),
}

struct Lowering<'g> {
    graph: &'g Graph,
    plan: Plan,
    homes: FxHashMap<(NodeIndex, u8), Home>,
    /// State by weight name and part.
    state: FxHashMap<(String, Part), BufferId>,
    constants: FxHashMap<u32, BufferId>,
    /// Nodes that belong to the update.
    updates: FxHashSet<NodeIndex>,
    /// The node being lowered.
    current: NodeIndex,
    /// The numbers of the nodes lowered to `accumulate`, and to `apply`.
    lowered: [Vec<usize>; 2],
}

impl<'g> Lowering<'g> {
    fn new(graph: &'g Graph) -> Self {
        let plan = Plan {
            batch: meta(graph).batch,
            ..Plan::default()
        };
        Lowering {
            graph,
            plan,
            homes: FxHashMap::default(),
            state: FxHashMap::default(),
            constants: FxHashMap::default(),
            updates: update_nodes(graph),
            current: NodeIndex::end(),
            lowered: Default::default(),
        }
    }

    /// Every leaf but scalar constants, which get a buffer when something reads one from memory.
    fn leaves(&mut self) {
        let graph = self.graph;
        let mut leaves: Vec<(NodeIndex, &Input)> = graph
            .graph
            .node_indices()
            .filter_map(|n| Some((n, ops::own::<Input>(graph, n)?)))
            .collect();
        leaves.sort_by_key(|(n, _)| meta(graph).nodes[n].order);
        for (node, input) in leaves {
            let home = match &input.kind {
                InputKind::Draw { per_sample } => {
                    let images = if *per_sample { self.plan.batch } else { 0 };
                    let elements: usize = input.dims.iter().product();
                    let per_sample = elements.checked_div(images).unwrap_or(0);
                    self.plan.streams.push(Stream {
                        purpose: input.name.clone(),
                        per_sample,
                    });
                    Home::Stream(self.plan.streams.len() - 1)
                }
                InputKind::Table(values) => {
                    let place = Place::Constant(values.clone());
                    Home::Buffer(self.buffer(&input.dims, Element::F32, place, node))
                }
                InputKind::Feed => {
                    let buffer = self.buffer(&input.dims, Element::F32, Place::Feed, node);
                    self.plan.feeds.push((input.name.clone(), buffer));
                    Home::Buffer(buffer)
                }
                InputKind::Weight { .. } => {
                    Home::Buffer(self.state(node, &input.name, Part::Value, &input.dims))
                }
                InputKind::State(part) => {
                    Home::Buffer(self.state(node, &input.name, *part, &input.dims))
                }
            };
            self.homes.insert((node, 0), home);
        }
        for (node, input) in weight_leaves(graph) {
            let value = self.state(node, &input.name, Part::Value, &input.dims);
            let part = |part| self.state.get(&(input.name.clone(), part)).copied();
            let parts = (
                part(Part::Gradient),
                part(Part::FirstMoment),
                part(Part::SecondMoment),
            );
            let training = match parts {
                (Some(gradient), Some(first_moment), Some(second_moment)) => Some(Training {
                    gradient,
                    first_moment,
                    second_moment,
                }),
                _ => None,
            };
            let decay = matches!(input.kind, InputKind::Weight { decay: true, .. });
            let (name, dims) = (input.name.clone(), input.dims.clone());
            self.plan.weights.push(Weight {
                name,
                dims,
                decay,
                value,
                training,
            });
        }
    }

    /// A root that is state is written where the state lies.
    fn alias_state(&mut self) {
        for root in &meta(self.graph).roots {
            let Some((Part::Gradient, weight)) = roots::parse(&root.name) else {
                continue;
            };
            if ops::own::<Input>(self.graph, root.node).is_none() {
                let buffer = self.state[&(weight.to_string(), Part::Gradient)];
                self.homes
                    .insert((root.node, root.output), Home::Buffer(buffer));
            }
        }
    }

    fn node(&mut self, node: NodeIndex) {
        self.current = node;
        let inputs = sources(self.graph, node);
        match kind(self.graph, node) {
            Kind::Constant(_) => {}
            Kind::Pointwise(op) => self.pointwise(op, &inputs),
            Kind::Reduce(op, axis) => self.reduce(op, axis, &inputs[0]),
            Kind::Copy => self.copy(&inputs[0]),
            Kind::Own(own) => self.own(own, &inputs),
        }
    }

    fn own(&mut self, own: &Own, inputs: &[Value]) {
        if own.get::<Input>().is_some() {
        } else if let Some(fused) = own.get::<ops::Fused>() {
            self.fused(fused, inputs);
        } else if let Some(folded) = own.get::<ops::Folded>() {
            self.folded(folded, inputs);
        } else if let Some(contraction) = own.get::<ops::Contraction>() {
            self.contraction(contraction, inputs);
        } else if let Some(attention) = own.get::<ops::Attention>() {
            self.attention(attention, inputs);
        } else if let Some(gradient) = own.get::<ops::AttentionGradient>() {
            self.attention_gradient(gradient, inputs);
        } else if own.get::<ops::Take>().is_some() {
            self.take(inputs);
        } else if let Some(scatter) = own.get::<ops::Scatter>() {
            self.scatter(scatter, inputs);
        } else if let Some(concat) = own.get::<ops::Concat>() {
            self.concat(concat, inputs);
        } else if let Some(roll) = own.get::<ops::Roll>() {
            self.roll(roll, inputs);
        } else if own.get::<ops::Detach>().is_some() {
            self.copy(&inputs[0]);
        } else if own.get::<ops::SumSquares>().is_some() {
            self.sum_squares(inputs);
        } else if let Some(adamw) = own.get::<ops::AdamW>() {
            self.adamw(adamw, inputs);
        } else {
            unreachable!("every own operator has a kernel: {own:?}");
        }
    }

    fn finish(mut self) -> Lowered {
        for root in &meta(self.graph).roots {
            if roots::parse(&root.name).is_none() {
                let buffer = match self.homes.get(&(root.node, root.output)) {
                    Some(Home::Buffer(buffer)) => *buffer,
                    // A random tensor or a constant that is itself a result is written out.
                    _ => {
                        self.current = root.node;
                        let value = Value {
                            node: root.node,
                            output: 0,
                            view: view::plain(&root.dims),
                        };
                        self.materialise(&value, Element::F32)
                    }
                };
                self.plan.outputs.push((root.name.clone(), buffer));
            }
        }
        layout::place(&mut self.plan);
        Lowered {
            plan: self.plan,
            from: self.lowered.concat(),
        }
    }

    // What the parts below use.

    fn buffer(
        &mut self,
        dims: &[usize],
        element: Element,
        place: Place,
        of: NodeIndex,
    ) -> BufferId {
        let origin = meta(self.graph).nodes[&of].origin.to_string().into();
        self.plan.buffers.push(Buffer {
            dims: dims.to_vec(),
            element,
            place,
            origin,
        });
        self.plan.buffers.len() - 1
    }

    fn state(&mut self, node: NodeIndex, weight: &str, part: Part, dims: &[usize]) -> BufferId {
        if let Some(&buffer) = self.state.get(&(weight.to_string(), part)) {
            return buffer;
        }
        let buffer = self.buffer(dims, Element::F32, Place::State, node);
        self.state.insert((weight.to_string(), part), buffer);
        buffer
    }

    /// A buffer for what lives only inside a run.
    fn scratch(&mut self, dims: &[usize], element: Element) -> BufferId {
        self.buffer(dims, element, Place::Arena(0), self.current)
    }

    /// The buffer of an output of the current node.
    fn out(&mut self, output: usize) -> BufferId {
        let node = self.current;
        match self.homes.get(&(node, output as u8)) {
            Some(Home::Buffer(buffer)) => *buffer,
            Some(Home::Stream(_)) => unreachable!("only leaves are streams"),
            None => {
                let dims = meta(self.graph).nodes[&node].dims[output].clone();
                let buffer = self.scratch(&dims, self.element(output));
                self.homes
                    .insert((node, output as u8), Home::Buffer(buffer));
                buffer
            }
        }
    }

    fn constant(&mut self, x: f32) -> BufferId {
        if let Some(&buffer) = self.constants.get(&x.to_bits()) {
            return buffer;
        }
        let place = Place::Constant([x].into());
        let buffer = self.buffer(&[], Element::F32, place, self.current);
        self.constants.insert(x.to_bits(), buffer);
        buffer
    }

    /// Where a value's elements are, with the strides of its view. The view has no pads.
    fn locate(&mut self, value: &Value) -> (Home, Access) {
        let (offset, strides) =
            view::strides(&value.view).expect("pads only enter copies, which take them off");
        let home = match self.homes.get(&(value.node, value.output)) {
            Some(home) => *home,
            None => match kind(self.graph, value.node) {
                Kind::Constant(x) => Home::Buffer(self.constant(x)),
                _ => unreachable!("a source is lowered before its readers"),
            },
        };
        (home, Access { offset, strides })
    }

    /// As [`Lowering::in_memory`], for kernels that read f32 only.
    fn in_floats(&mut self, value: &Value) -> (BufferId, Access) {
        match self.in_memory(value) {
            (buffer, access) if self.plan.buffers[buffer].element == Element::F32 => {
                (buffer, access)
            }
            _ => {
                let buffer = self.materialise(value, Element::F32);
                (buffer, Access::plain(&value.dims()))
            }
        }
    }

    /// As [`Lowering::locate`], for kernels that read memory only: a random tensor is written out first.
    fn in_memory(&mut self, value: &Value) -> (BufferId, Access) {
        match self.locate(value) {
            (Home::Buffer(buffer), access) => (buffer, access),
            (Home::Stream(_), _) => {
                let buffer = self.materialise(value, Element::F32);
                (buffer, Access::plain(&value.dims()))
            }
        }
    }

    /// As [`Lowering::in_memory`], for kernels that read row-major tensors only.
    fn in_order(&mut self, value: &Value) -> BufferId {
        match self.locate(value) {
            (Home::Buffer(buffer), access) if access.is_plain(&value.dims()) => buffer,
            _ => self.materialise(value, self.stored(value)),
        }
    }

    /// As [`Lowering::in_order`], for kernels that read f32 only.
    fn floats_in_order(&mut self, value: &Value) -> BufferId {
        match self.stored(value) {
            Element::F32 => self.in_order(value),
            Element::Bf16 => self.materialise(value, Element::F32),
        }
    }

    /// Where a buffer of the current node's output dims is walked in its own order.
    fn push(&mut self, kernel: Kernel, flops: u64) {
        let node = &meta(self.graph).nodes[&self.current];
        let scheduled = Scheduled {
            kernel,
            origin: node.origin.to_string().into(),
            flops,
        };
        let in_update = self.updates.contains(&self.current);
        self.lowered[usize::from(in_update)].push(node.number());
        match in_update {
            true => self.plan.apply.push(scheduled),
            false => self.plan.accumulate.push(scheduled),
        }
    }
}

/// Nodes that only the update's results need.
fn update_nodes(graph: &Graph) -> FxHashSet<NodeIndex> {
    let reach = |wanted: bool| {
        let mut seen = FxHashSet::default();
        let roots = meta(graph)
            .roots
            .iter()
            .filter(|r| roots::in_update(&r.name) == wanted);
        let mut open: Vec<NodeIndex> = roots.map(|r| r.node).collect();
        while let Some(node) = open.pop() {
            if seen.insert(node) {
                open.extend(sources(graph, node).iter().map(|s| s.node));
            }
        }
        seen
    };
    let model = reach(false);
    reach(true)
        .into_iter()
        .filter(|n| !model.contains(n))
        .collect()
}

/// The weights of a graph, in the order they were created.
pub fn weight_leaves(graph: &Graph) -> Vec<(NodeIndex, &Input)> {
    let leaf = |n| {
        let input = ops::own::<Input>(graph, n)?;
        matches!(input.kind, InputKind::Weight { .. }).then_some((n, input))
    };
    let mut leaves: Vec<_> = graph.graph.node_indices().filter_map(leaf).collect();
    leaves.sort_by_key(|(n, _)| meta(graph).nodes[n].order);
    leaves
}

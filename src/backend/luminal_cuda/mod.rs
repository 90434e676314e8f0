//! luminal's own compiler for CUDA, as it is: the graph decomposed into primitives, one kernel for each, matrix products
//! where it finds them. What fused kernels are measured against.

mod symbols;

use super::{
    cuda::{device, library::Libraries},
    reference::{Evaluate, Reference},
};
use crate::{
    ir::{
        Graph, NodeIndex, Rewriter, ShapeTracker, copy,
        decompose::{bring_leaves, decompose},
        meta,
        ops::{Input, InputKind},
        roots,
    },
    train::step::StepError,
};
use luminal::{
    op::{Function, InputTensor, Operator},
    prelude::Tensor,
};
use luminal_cuda::CudaCompiler;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

/// What is in the way of using it here, if anything.
pub fn unusable() -> Option<String> {
    let device = device::usable(Libraries::here());
    device.map(|_| ()).and_then(|()| symbols::open()).err()
}

/// A step that runs `graph`. Weights and their state start at zero: the caller writes them.
///
/// # Errors
/// [`StepError::NoGpu`], and where luminal's compiler gives up.
pub fn prepare(graph: Graph) -> Result<Reference, StepError> {
    if let Some(way) = unusable() {
        return Err(StepError::NoGpu(way));
    }
    let of = |update: bool| Compiled::new(&graph, update);
    let programs = Programs {
        accumulate: of(false)?,
        apply: of(true)?,
    };
    Ok(Reference::with(graph, Box::new(programs)))
}

/// Both programs of a step.
struct Programs {
    accumulate: Compiled,
    apply: Compiled,
}

impl Evaluate for Programs {
    fn evaluate(
        &mut self,
        _: &Graph,
        update: bool,
        leaf: &dyn Fn(&Input) -> Vec<f32>,
    ) -> Result<BTreeMap<String, Vec<f32>>, StepError> {
        match update {
            false => self.accumulate.run(leaf),
            true => self.apply.run(leaf),
        }
    }
}

/// Those roots of a graph that belong to the micro-batch, or to the update.
struct Compiled {
    /// In one place to its end: the compiled operators point into it.
    graph: Box<Graph>,
    leaves: Vec<Input>,
    /// What the leaves hold in the run under way, in their order.
    held: Rc<RefCell<Vec<Vec<f32>>>>,
    /// Each root by name, and the node that has it.
    roots: Vec<(String, NodeIndex)>,
}

impl Compiled {
    fn new(graph: &Graph, update: bool) -> Result<Compiled, StepError> {
        let mut graph = Box::new(copy::copy(graph));
        let mut r = Rewriter::new(&mut graph);
        r.retain_roots(|root| roots::in_update(&root.name) == update);
        r.remove_dead();
        decompose(&mut graph);

        let leaves = RefCell::new(Vec::new());
        let held: Rc<RefCell<Vec<Vec<f32>>>> = Rc::default();
        bring_leaves(&mut graph, &|input| {
            let mut leaves = leaves.borrow_mut();
            let (place, held) = (leaves.len(), Rc::clone(&held));
            leaves.push(input.clone());
            let bring = move |_: Vec<(InputTensor, ShapeTracker)>| {
                vec![Tensor::new(held.borrow()[place].clone())]
            };
            Box::new(Function(input.name.clone(), Box::new(bring))) as Box<dyn Operator>
        });
        let named = meta(&graph).roots.iter();
        let (names, mut nodes): (Vec<_>, Vec<_>) =
            named.map(|root| (root.name.clone(), root.node)).unzip();
        let moved: Vec<&mut NodeIndex> = nodes.iter_mut().collect();
        if !moved.is_empty() {
            // Its passes remove what they fold, whoever else reads it, unless they are told not to.
            let nodes = graph.graph.node_indices();
            let shared = nodes.filter(|&node| graph.graph.edges(node).count() > 1);
            let shared: Vec<_> = shared
                .filter(|node| !graph.no_delete.contains(node))
                .collect();
            graph.no_delete.extend(&shared);
            guarded("compiled", || {
                graph.compile(CudaCompiler::<f32>::default(), moved);
            })?;
            graph.no_delete.retain(|node| !shared.contains(node));
        }
        Ok(Compiled {
            graph,
            leaves: leaves.into_inner(),
            held,
            roots: names.into_iter().zip(nodes).collect(),
        })
    }

    fn run(
        &mut self,
        leaf: &dyn Fn(&Input) -> Vec<f32>,
    ) -> Result<BTreeMap<String, Vec<f32>>, StepError> {
        if self.roots.is_empty() {
            return Ok(BTreeMap::new());
        }
        let values = self.leaves.iter().map(|input| match &input.kind {
            InputKind::Table(values) => values.to_vec(),
            _ => leaf(input),
        });
        *self.held.borrow_mut() = values.collect();
        guarded("ran", || self.graph.execute())?;
        let numbers = |node: NodeIndex| {
            let tensor = self.graph.get_tensor_ref(node, 0);
            let numbers = tensor.and_then(|t| t.data.as_any().downcast_ref::<Vec<f32>>());
            let lost = || StepError::Backend("luminal's compiler lost a result".into());
            numbers.cloned().ok_or_else(lost)
        };
        let results = self
            .roots
            .iter()
            .map(|(name, node)| Ok((name.clone(), numbers(*node)?)));
        let results = results.collect();
        // A node whose tensor is there is not run again.
        for (_, node) in &self.roots {
            self.graph.get_tensor(*node, 0);
        }
        results
    }
}

/// luminal's compiler unwraps whatever goes wrong.
fn guarded(doing: &str, work: impl FnOnce()) -> Result<(), StepError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let text = text.unwrap_or_default();
        StepError::Backend(format!("luminal_cuda gave up when it {doing}: {text}"))
    })
}

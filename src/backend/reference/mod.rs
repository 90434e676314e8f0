//! The reference backend: the graph itself, node by node, by luminal's own primitives. A million times slower than the
//! hardware allows, and the oracle of everything else.

use crate::{
    ir::{
        Graph, meta, ops,
        ops::{Input, InputKind},
        rewrite, roots,
    },
    optimizer,
    train::step::{Draw, Part, Step, StepError, WeightInfo},
};
use std::collections::BTreeMap;

pub use crate::ir::evaluate::{run, run_roots};

/// What computes the roots of a graph.
pub trait Evaluate {
    /// Those of the update, or all others; `leaf` says what an input holds.
    ///
    /// # Errors
    /// Where it cannot.
    fn evaluate(
        &mut self,
        graph: &Graph,
        update: bool,
        leaf: &dyn Fn(&Input) -> Vec<f32>,
    ) -> Result<BTreeMap<String, Vec<f32>>, StepError>;
}

/// Node by node, each by luminal's own primitives.
struct OneByOne;

impl Evaluate for OneByOne {
    fn evaluate(
        &mut self,
        graph: &Graph,
        update: bool,
        leaf: &dyn Fn(&Input) -> Vec<f32>,
    ) -> Result<BTreeMap<String, Vec<f32>>, StepError> {
        let wanted = |root: &str| roots::in_update(root) == update;
        Ok(run_roots(graph, &wanted, leaf))
    }
}

/// A graph that runs as it stands, its state kept here.
pub struct Reference {
    graph: Graph,
    evaluate: Box<dyn Evaluate>,
    weights: Vec<WeightInfo>,
    /// Per weight, in the order of [`PARTS`].
    state: Vec<[Vec<f32>; 4]>,
    feeds: BTreeMap<String, Fed>,
    outputs: BTreeMap<String, Vec<f32>>,
}

struct Fed {
    len: usize,
    /// `None` until it is fed.
    values: Option<Vec<f32>>,
}

const PARTS: [Part; 4] = [
    Part::Value,
    Part::Gradient,
    Part::FirstMoment,
    Part::SecondMoment,
];

/// A step that runs `graph`. Weights and their state start at zero: the caller writes them.
pub fn prepare(graph: Graph) -> Reference {
    Reference::with(graph, Box::new(OneByOne))
}

impl Reference {
    /// A step whose numbers another computes.
    pub fn with(graph: Graph, evaluate: Box<dyn Evaluate>) -> Reference {
        let (mut weights, mut feeds) = (Vec::new(), BTreeMap::new());
        for node in rewrite::schedule(&graph) {
            let Some(input) = ops::own::<Input>(&graph, node) else {
                continue;
            };
            match input.kind {
                InputKind::Weight { decay, .. } => weights.push(WeightInfo {
                    name: input.name.clone(),
                    dims: input.dims.clone(),
                    decay,
                }),
                InputKind::Feed => {
                    let len = input.dims.iter().product();
                    feeds.insert(input.name.clone(), Fed { len, values: None });
                }
                _ => {}
            }
        }
        let zeros = |w: &WeightInfo| [(); 4].map(|()| vec![0.0; w.len()]);
        Reference {
            state: weights.iter().map(zeros).collect(),
            graph,
            evaluate,
            weights,
            feeds,
            outputs: BTreeMap::new(),
        }
    }
}

impl Step for Reference {
    fn weights(&self) -> &[WeightInfo] {
        &self.weights
    }

    fn read(&self, part: Part, index: usize, to: &mut [f32]) -> Result<(), StepError> {
        to.copy_from_slice(&self.state[index][place(part)]);
        Ok(())
    }

    fn write(&mut self, part: Part, index: usize, from: &[f32]) -> Result<(), StepError> {
        self.state[index][place(part)].copy_from_slice(from);
        Ok(())
    }

    fn micro_batch(&self) -> usize {
        meta(&self.graph).batch
    }

    fn feed(&mut self, name: &str, values: &[f32]) -> Result<(), StepError> {
        let known = || self.feeds.keys().cloned().collect();
        let Some(fed) = self.feeds.get(name) else {
            return Err(StepError::UnknownInput {
                name: name.into(),
                known: known(),
            });
        };
        let wanted = fed.len;
        if values.len() != wanted {
            return Err(StepError::InputLength {
                name: name.into(),
                wanted,
                got: values.len(),
            });
        }
        let values = Some(values.to_vec());
        let fed = Fed {
            len: wanted,
            values,
        };
        self.feeds.insert(name.into(), fed);
        Ok(())
    }

    fn accumulate(&mut self, draw: Draw) -> Result<f32, StepError> {
        let results = self.run(false, draw)?;
        self.settle(results);
        let loss = self.output(roots::LOSS)?;
        Ok(loss[0])
    }

    fn apply(&mut self, lr: f32, update: u64) -> Result<f32, StepError> {
        if update == 0 {
            return Err(StepError::UpdateZero);
        }
        let betas = self
            .graph
            .graph
            .node_indices()
            .find_map(|n| Some(ops::own::<ops::AdamW>(&self.graph, n)?.betas))
            .ok_or_else(|| StepError::Backend("the graph updates no weight".into()))?;
        for (name, value) in optimizer::scalars(betas, lr, update) {
            self.feed(name, &[value])?;
        }
        // An update draws nothing.
        let draw = Draw {
            seed: 0,
            step: update - 1,
            first_sample: 0,
        };
        let results = self.run(true, draw)?;
        self.settle(results);
        for parts in &mut self.state {
            parts[place(Part::Gradient)].fill(0.0);
        }
        let norm = self.output(roots::GRADIENT_NORM)?;
        Ok(norm[0])
    }

    fn output(&self, name: &str) -> Result<Vec<f32>, StepError> {
        let missing = || StepError::UnknownOutput {
            name: name.into(),
            known: self.outputs.keys().cloned().collect(),
        };
        self.outputs.get(name).cloned().ok_or_else(missing)
    }
}

impl Reference {
    fn run(&mut self, update: bool, draw: Draw) -> Result<BTreeMap<String, Vec<f32>>, StepError> {
        let roots = meta(&self.graph).roots.iter();
        let wanted_nodes = roots.filter(|r| roots::in_update(&r.name) == update);
        for node in rewrite::ancestors(&self.graph, wanted_nodes.map(|r| r.node)) {
            let name = ops::own::<Input>(&self.graph, node).map(|input| &input.name);
            if let Some(name) = name.filter(|&n| self.feeds.get(n).is_some_and(Fed::is_missing)) {
                return Err(StepError::Backend(format!("input `{name}` was not fed")));
            }
        }
        let Reference {
            graph,
            evaluate,
            weights,
            state,
            feeds,
            ..
        } = self;
        let held = Held {
            weights,
            state,
            feeds,
            draw,
        };
        evaluate.evaluate(graph, update, &|input| held.leaf(input))
    }

    /// Takes over what a run computed: next values of state, outputs for the caller.
    fn settle(&mut self, results: BTreeMap<String, Vec<f32>>) {
        for (name, values) in results {
            let next =
                roots::parse(&name).and_then(|(part, w)| Some((part, index(&self.weights, w)?)));
            match next {
                Some((part, index)) => self.state[index][place(train_part(part))] = values,
                None => _ = self.outputs.insert(name, values),
            }
        }
    }
}

/// What the inputs of a run hold.
struct Held<'s> {
    weights: &'s [WeightInfo],
    state: &'s [[Vec<f32>; 4]],
    feeds: &'s BTreeMap<String, Fed>,
    draw: Draw,
}

impl Held<'_> {
    fn leaf(&self, input: &Input) -> Vec<f32> {
        let part = match &input.kind {
            InputKind::Weight { .. } => Part::Value,
            InputKind::State(part) => train_part(*part),
            InputKind::Draw { per_sample } => return uniform(input, *per_sample, self.draw),
            InputKind::Table(values) => return values.to_vec(),
            InputKind::Feed => {
                let values = self.feeds[&input.name].values.clone();
                return values.expect("`run` has checked that it was fed");
            }
        };
        let index = index(self.weights, &input.name);
        let index = index.expect("state is kept of weights of the graph alone");
        self.state[index][place(part)].clone()
    }
}

fn index(weights: &[WeightInfo], weight: &str) -> Option<usize> {
    weights.iter().position(|w| w.name == weight)
}

impl Fed {
    fn is_missing(&self) -> bool {
        self.values.is_none()
    }
}

/// What a random tensor holds for one micro-batch.
pub fn uniform(input: &Input, per_sample: bool, draw: Draw) -> Vec<f32> {
    let len: usize = input.dims.iter().product();
    let first = match per_sample {
        true => draw.first_sample * (len / input.dims[0]) as u64,
        false => 0,
    };
    let key = draw.key().with(&input.name);
    (0..len as u64)
        .map(|p| key.uniform_f32(first + p))
        .collect()
}

fn place(part: Part) -> usize {
    PARTS
        .iter()
        .position(|&p| p == part)
        .expect("every part is listed")
}

fn train_part(part: ops::Part) -> Part {
    match part {
        ops::Part::Value => Part::Value,
        ops::Part::Gradient => Part::Gradient,
        ops::Part::FirstMoment => Part::FirstMoment,
        ops::Part::SecondMoment => Part::SecondMoment,
    }
}

//! Grows small graphs: leaves, then operators on what is there, chosen at random.

mod choices;

use choices::CHOICES;
use mimc::{
    ir::{
        Graph, Rewriter, Value, new_graph,
        ops::{Detach, Erf, Init, Input, InputKind, own},
        rewrite,
    },
    random::Key,
};

const BATCH: usize = 2;
const OPERATORS: usize = 14;
/// Elements of a tensor at most.
const MOST: usize = 400;
/// Values stay within this, so that differences stay small beside them.
const BOUND: f32 = 40.0;

/// A value, and what its elements stay within.
#[derive(Clone)]
struct Plant {
    value: Value,
    bound: f32,
}

struct Garden<'g> {
    r: Rewriter<'g>,
    key: Key,
    at: u64,
    plants: Vec<Plant>,
    draws: usize,
}

pub fn graph(seed: u64) -> Graph {
    let mut graph = new_graph(BATCH);
    let mut garden = Garden {
        r: Rewriter::new(&mut graph),
        key: Key::new(seed).with("graph"),
        at: 0,
        plants: Vec::new(),
        draws: 0,
    };
    garden.sow();
    let mut grown = 0;
    while grown < OPERATORS {
        let choice = CHOICES[garden.pick(CHOICES.len())];
        if let Some(plant) = choice(&mut garden).filter(Plant::is_small) {
            garden.plants.push(plant);
            grown += 1;
        }
    }
    garden.reap();
    graph
}

/// The kind of every weight.
pub fn weight() -> InputKind {
    let init = Init::Fill(0.0);
    InputKind::Weight { decay: true, init }
}

/// Names and dims of what is fed.
pub fn feeds(graph: &Graph) -> Vec<(String, Vec<usize>)> {
    rewrite::schedule(graph)
        .into_iter()
        .filter_map(|node| own::<Input>(graph, node))
        .filter(|input| input.kind == InputKind::Feed)
        .map(|input| (input.name.clone(), input.dims.clone()))
        .collect()
}

impl Plant {
    fn is_small(&self) -> bool {
        let dims = self.value.dims();
        dims.len() <= 5 && dims.iter().product::<usize>() <= MOST && self.bound <= BOUND
    }
}

impl Garden<'_> {
    /// A number below `n`.
    fn pick(&mut self, n: usize) -> usize {
        self.at += 1;
        self.key.below(self.at, n as u64) as usize
    }

    fn any(&mut self) -> Plant {
        // What came last is read most, so that chains grow.
        let n = self.plants.len();
        let back = self.pick(n).min(self.pick(n));
        self.plants[n - 1 - back].clone()
    }

    fn axis(&mut self, of: &Value) -> Option<usize> {
        (of.rank() > 0).then(|| self.pick(of.rank()))
    }

    fn sow(&mut self) {
        for i in 0..4 {
            let rank = 1 + self.pick(4);
            let mut dims: Vec<usize> = (0..rank).map(|_| 1 + self.pick(4)).collect();
            let kind = match i {
                0 => {
                    dims[0] = BATCH;
                    InputKind::Feed
                }
                1 => InputKind::Feed,
                _ => weight(),
            };
            let value = self.r.input(&format!("leaf{i}"), &dims, kind);
            self.plants.push(Plant { value, bound: 1.0 });
        }
    }

    /// Outputs: the loss over the last values, and some of those on the way.
    fn reap(&mut self) {
        let mut loss: Option<Value> = None;
        for back in 1..=3 {
            let value = self.plants[self.plants.len() - back].value.clone();
            let mut value = self.r.op(Erf, &[&value]).remove(0);
            while value.rank() > 0 {
                value = self.r.sum(&value, 0);
            }
            loss = Some(match loss {
                Some(loss) => self.r.add(&loss, &value),
                None => value,
            });
        }
        let loss = loss.expect("there are three values at least");
        self.r.add_root("loss", &loss);
        for name in ["first", "second"] {
            let value = self.any().value;
            self.r.add_root(name, &value);
        }
        // As elaboration does: no weight is there for nothing.
        self.r.remove_dead();
    }

    fn last_softmax(&mut self, x: &Value) -> Value {
        let (last, n) = (x.rank() - 1, x.dims()[x.rank() - 1]);
        let top = self.r.max(x, last);
        let top = self.r.op(Detach, &[&top]).remove(0).expand(last, n);
        let below = self.r.sub(x, &top);
        let e = self.r.exp(&below);
        let total = self.r.sum(&e, last).expand(last, n);
        self.r.div(&e, &total)
    }

    /// `a` and `b` over the axes of `a` and those that `b` has besides: its first one is that of `a` at `axis`.
    fn product(&mut self, a: &Value, axis: usize, b: &Value) -> Value {
        let mut wide = a.clone();
        for &n in &b.dims()[1..] {
            wide = wide.expand(wide.rank(), n);
        }
        let mut other = b.clone();
        for (place, &n) in a.dims().iter().enumerate() {
            if place < axis {
                other = other.expand(place, n);
            } else if place > axis {
                // Behind the shared axis, before those of its own.
                other = other.expand(place, n);
            }
        }
        self.r.mul(&wide, &other)
    }
}

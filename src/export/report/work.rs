//! What the parts of a model ask for: the work of kernels, summed up to every part above them.

use crate::{
    anatomy::Anatomy,
    pace::Pace,
    plan::{Scheduled, Work},
};
use std::{collections::BTreeMap, ops::AddAssign};

/// Which part of a training step a kernel belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Forward,
    Backward,
    Update,
}

/// A kernel and what it takes.
#[derive(Debug)]
pub struct Costed<'a> {
    pub scheduled: &'a Scheduled,
    /// The part of the model it is of, without the mark of the backward part.
    pub path: &'a str,
    pub phase: Phase,
    /// Of one run.
    pub work: Work,
    /// Of one run, foretold.
    pub seconds: Option<f64>,
}

/// Sums over kernels, each run once.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sum {
    pub work: Work,
    pub seconds: f64,
    pub kernels: usize,
}

/// Those of the forward and of the backward part.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sums {
    pub forward: Sum,
    pub backward: Sum,
}

/// The kernels of a micro-batch and of the update, in the order they run.
pub fn costed<'a>(anatomy: &'a Anatomy, pace: Option<&Pace>) -> Vec<Costed<'a>> {
    let plan = &anatomy.plan;
    let of = |in_update: bool| {
        let kernels = if in_update {
            &plan.apply
        } else {
            &plan.accumulate
        };
        let asked = plan.asked(kernels);
        kernels.iter().zip(asked).map(move |(scheduled, asked)| {
            let origin: &str = &scheduled.origin;
            let backward = origin.strip_suffix('\'');
            Costed {
                scheduled,
                path: backward.unwrap_or(origin),
                phase: match (in_update, backward) {
                    (true, _) => Phase::Update,
                    (false, Some(_)) => Phase::Backward,
                    (false, None) => Phase::Forward,
                },
                work: asked.work,
                seconds: pace.map(|pace| pace.seconds(&asked)),
            }
        })
    };
    of(false).chain(of(true)).collect()
}

/// For each path the work at and below it, of a micro-batch; for the empty one all.
pub fn by_part<'a>(kernels: &[Costed<'a>]) -> BTreeMap<&'a str, Sums> {
    let mut sums: BTreeMap<&str, Sums> = BTreeMap::new();
    let of_batch = kernels
        .iter()
        .filter(|kernel| kernel.phase != Phase::Update);
    for kernel in of_batch {
        for path in at_and_above(kernel.path) {
            let sum = sums.entry(path).or_default();
            match kernel.phase {
                Phase::Backward => sum.backward += kernel.sum(),
                _ => sum.forward += kernel.sum(),
            }
        }
    }
    sums
}

/// `a.b`, `a` and the empty path for `a.b`.
fn at_and_above(path: &str) -> impl Iterator<Item = &str> {
    let above = path.rmatch_indices('.').map(|(at, _)| &path[..at]);
    let root = (!path.is_empty()).then_some("");
    [path].into_iter().chain(above).chain(root)
}

impl Costed<'_> {
    pub fn sum(&self) -> Sum {
        Sum {
            work: self.work,
            seconds: self.seconds.unwrap_or(0.0),
            kernels: 1,
        }
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        self.work = self.work + other.work;
        self.seconds += other.seconds;
        self.kernels += other.kernels;
    }
}

impl Sums {
    pub fn total(self) -> Sum {
        let mut total = self.forward;
        total += self.backward;
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_counts_for_all_above_it() {
        assert_eq!(
            at_and_above("a.b.c").collect::<Vec<_>>(),
            ["a.b.c", "a.b", "a", ""]
        );
        assert_eq!(at_and_above("").collect::<Vec<_>>(), [""]);
    }
}

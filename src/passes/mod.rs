//! The passes: the list is the program. Each is a luminal `Compiler`; the verifier runs behind each.

mod attention;
mod contractions;
mod epilogues;
mod fold_constants;
mod folds;
mod merge_duplicates;
mod precision;
mod recompute;
mod rematerialise;
mod remove_dead;
mod rows;

// What decides what is kept, and what fusion is made of.
mod emit;
mod flow;
mod forward;
mod regions;
mod sums;
mod walk;

use crate::{
    ir::{
        Graph,
        verify::{Violation, verify},
    },
    recipe::Precision,
};
use luminal::prelude::{Compiler, ToIdsMut};

pub use recompute::{Recompute, Recomputed};

/// One pass: what it is called in errors and listings, and what it does to a graph.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// As listings and messages call it.
    pub name: &'static str,
    run: fn(&mut Graph),
}

/// On the model alone.
pub const BEFORE_GRADIENT: &[Pass] = &[
    pass("merge duplicates", merge_duplicates::run),
    pass("fold constants", fold_constants::run),
    pass("attention", attention::run),
    pass("remove dead nodes", remove_dead::run),
];

/// On the whole training step.
pub const PASSES: &[Pass] = &[
    pass("fold constants", fold_constants::run),
    pass("merge duplicates", merge_duplicates::run),
    pass("remove dead nodes", remove_dead::run),
    // Behind what would merge the clones with their originals, before what decides what is stored.
    pass("rematerialise", rematerialise::run),
    pass("contractions", contractions::run),
    pass("rows", rows::run),
    pass("folds", folds::run),
    pass("epilogues", epilogues::run),
];

/// On the whole training step in bf16, behind the contractions.
pub const PRECISION: Pass = pass("precision", precision::run);

/// On the whole training step where every block that repeats is computed again, behind [`PRECISION`]. [`fuse`] does as much of
/// it as it is asked to.
pub const RECOMPUTE: Pass = pass("recompute", |graph| {
    recompute::run(graph, Recompute::ALL);
});

/// On the whole training step in bf16: [`PASSES`] with [`PRECISION`].
pub fn in_bf16() -> Vec<Pass> {
    let [mut passes, fusion] = halves();
    passes.push(PRECISION);
    [passes, fusion].concat()
}

/// [`PASSES`] up to what is stored being decided, and from there.
fn halves() -> [Vec<Pass>; 2] {
    let contractions = PASSES.iter().position(|pass| pass.name == "contractions");
    let (before, behind) = PASSES.split_at(contractions.map_or(PASSES.len(), |at| at + 1));
    [before.to_vec(), behind.to_vec()]
}

/// Makes the whole training step what a plan is made of, in this precision, and with so much computed again.
///
/// # Errors
/// As [`run`].
pub fn fuse(
    graph: &mut Graph,
    precision: Precision,
    again: Recompute,
) -> Result<Recomputed, Broken> {
    let [before, behind] = halves();
    run(&before, graph)?;
    if precision == Precision::Bf16 {
        run(&[PRECISION], graph)?;
    }
    let recomputed = recompute::run(graph, again);
    if recomputed.blocks > 0 {
        check(RECOMPUTE.name, graph)?;
    }
    run(&behind, graph)?;
    Ok(recomputed)
}

const fn pass(name: &'static str, run: fn(&mut Graph)) -> Pass {
    Pass { name, run }
}

impl Compiler for Pass {
    fn compile<T: ToIdsMut>(&self, graph: &mut Graph, _: T) {
        (self.run)(graph);
    }
}

/// A pass left an illegal graph behind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pass `{pass}` broke a rule of the graph: {violation}")]
pub struct Broken {
    /// The pass behind which the graph was illegal.
    pub pass: &'static str,
    /// What is wrong with it.
    pub violation: Violation,
}

/// Runs passes in order.
///
/// # Errors
/// If the graph breaks a rule behind one of them.
pub fn run(passes: &[Pass], graph: &mut Graph) -> Result<(), Broken> {
    for pass in passes {
        // Not `Graph::compile`, which also sorts the whole graph for an executor we do not use.
        pass.compile(graph, ());
        check(pass.name, graph)?;
    }
    Ok(())
}

fn check(pass: &'static str, graph: &Graph) -> Result<(), Broken> {
    verify(graph).map_err(|violation| Broken { pass, violation })
}

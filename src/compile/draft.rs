//! The whole pipeline for one micro-batch. What is only told of a program, its listings and its anatomy, is made last: most
//! of the programs that are tried are given up for their size.

use super::{CompileError, Cost, Listings, Options, Program, elaborated};
use crate::{
    anatomy::{Anatomy, Snapshot},
    elaborate::{Elaborated, Mode},
    gradient::differentiate,
    ir::{Graph, copy::copy, meta, print::print},
    language::library::Library,
    optimizer,
    passes::{self, BEFORE_GRADIENT, Recompute, Recomputed},
    plan::{self, Lowered},
    recipe::Recipe,
};

/// A program, with what is needed to tell of it.
pub struct Draft<'o> {
    pub program: Program,
    pub recomputed: Recomputed,
    options: &'o Options<'o>,
    lowered: Lowered,
    stages: Option<Stages>,
}

/// The graph as it was on the way.
struct Stages {
    elaborated: Graph,
    differentiated: Graph,
    /// With the update, before fusion.
    whole: Graph,
    /// The number of the first node that elaboration did not make.
    model: usize,
}

impl<'o> Draft<'o> {
    /// Elaborates, differentiates, fuses and plans, for so many images at once, and with so much computed again.
    pub fn of(
        recipe: &Recipe,
        library: &Library,
        options: &'o Options<'o>,
        micro_batch: usize,
        again: Recompute,
    ) -> Result<Draft<'o>, CompileError> {
        let accumulations = recipe.train.batch / micro_batch;
        let keep = options.keep.unwrap_or(&|_| false);
        let told = options.listings || options.anatomy;
        let keep_stage = |graph: &Graph| told.then(|| copy(graph));

        let Elaborated {
            mut graph,
            weights,
            instances,
            feeds,
            warnings,
        } = elaborated(recipe, library, micro_batch, Mode::Train, keep)?;
        let elaborated = keep_stage(&graph);
        passes::run(BEFORE_GRADIENT, &mut graph)?;
        let model = meta(&graph).created();
        differentiate(&mut graph, accumulations)?;
        let differentiated = keep_stage(&graph);
        optimizer::append(&mut graph, &settings(recipe));
        let nodes = graph.graph.node_count();
        let whole = keep_stage(&graph);
        let recomputed = passes::fuse(&mut graph, recipe.train.computed_in(), again)?;
        let lowered = plan::lower_from(&graph);
        let plan = &lowered.plan;
        let program = Program {
            weights,
            instances,
            feeds,
            warnings,
            micro_batch,
            accumulations,
            cost: Cost::of(plan, nodes),
            accumulate: plan.asked(&plan.accumulate),
            apply: plan.asked(&plan.apply),
            recomputed: None,
            listings: None,
            anatomy: None,
            graph,
        };
        let stages = elaborated.zip(differentiated).zip(whole);
        let stages = stages.map(|((elaborated, differentiated), whole)| Stages {
            elaborated,
            differentiated,
            whole,
            model,
        });
        Ok(Draft {
            program,
            recomputed,
            options,
            lowered,
            stages,
        })
    }

    /// The program, with what the options ask to be told of it.
    pub fn finish(self) -> Program {
        let mut program = self.program;
        let Some(stages) = &self.stages else {
            return program;
        };
        if self.options.listings {
            program.listings = Some(Listings {
                graph: print(&stages.elaborated),
                gradient: print(&stages.differentiated),
                fused: print(&program.graph),
                plan: plan::print::print(&self.lowered.plan),
            });
        }
        if self.options.anatomy {
            let written = Snapshot::of(&stages.elaborated, 0);
            let added = Snapshot::of(&stages.whole, stages.model);
            let made = Anatomy::new(&program.graph, [written, added], self.lowered);
            program.anatomy = Some(made);
        }
        program
    }
}

fn settings(recipe: &Recipe) -> optimizer::Settings {
    let optimizer = &recipe.train.optimizer;
    optimizer::Settings {
        betas: optimizer.betas,
        eps: optimizer.eps as f32,
        decay: optimizer.decay as f32,
        clip: optimizer.clip.map(|clip| clip as f32),
    }
}

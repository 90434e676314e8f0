//! Whether a run fits into memory, asked before it takes any.

use super::{failure::Failure, job::Compiled};
use mimc::{
    backend::Backend,
    compile::{CompileError, Options, compile},
    language::library::Library,
    machine::FreeMemory,
    recipe::Recipe,
    text::units::bytes,
    train::step::StepError,
};

/// Refuses a run that needs more than the backend is granted; `besides` is what it takes apart from its training program.
pub fn check(compiled: &Compiled, besides: u64, backend: &dyn Backend) -> Result<(), Failure> {
    let needed = compiled.program.cost.memory() + besides;
    let Some(free) = backend.free_memory().filter(|free| free.bytes < needed) else {
        return Ok(());
    };
    let FreeMemory {
        bytes: granted,
        granted_by,
    } = &free;
    let message = format!(
        "the run needs {}, and {granted_by} has {} left",
        bytes(needed),
        bytes(*granted)
    );
    let budget = granted.saturating_sub(besides);
    let help = advice(&compiled.recipe, &compiled.library, budget)?;
    Err(Failure::new("memory", message, Some(help)))
}

/// Why a program that takes `cost` was not readied. A device that has not enough left counts what the driver takes as well.
pub fn short(error: StepError, cost: u64, recipe: &Recipe, library: &Library) -> Failure {
    let StepError::Memory { needed, free, .. } = error else {
        return error.into();
    };
    let besides = needed.saturating_sub(cost);
    match advice(recipe, library, free.saturating_sub(besides)) {
        Ok(help) => Failure::new("memory", error, Some(help)),
        Err(error) => error.into(),
    }
}

/// The largest micro-batch that fits, or how many blocks to compute again where none does.
fn advice(recipe: &Recipe, library: &Library, budget: u64) -> Result<String, CompileError> {
    let mut recipe = recipe.clone();
    recipe.train.micro_batch = None;
    let options = Options {
        memory: Some(budget),
        ..Options::default()
    };
    let program = compile(&recipe, library, &options)?;
    let takes = bytes(program.cost.memory());
    let again = program.recomputed.as_ref();
    let again = again.map(|of| format!(" --set train.recompute={}", of.blocks));
    Ok(match program.cost.memory() <= budget {
        true => format!(
            "--set train.micro_batch={}{} trains in {takes}, on the same images and masks",
            program.micro_batch,
            again.unwrap_or_default()
        ),
        false => format!(
            "even one image at a time takes {takes}: a smaller model, or a machine with more memory"
        ),
    })
}

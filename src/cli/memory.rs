//! Whether a run fits into memory, asked before it takes any.

use super::{failure::Failure, job::Compiled};
use mimc::{
    compile::{CompileError, Options, compile},
    machine::{FreeMemory, free_memory},
    recipe::Recipe,
    text::units::bytes,
};

/// Refuses a run that needs more than the system grants; `besides` is what it takes apart from its training program.
pub fn check(compiled: &Compiled, besides: u64) -> Result<(), Failure> {
    let needed = compiled.program.cost.memory() + besides;
    let Some(free) = free_memory().filter(|free| free.bytes < needed) else {
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
    let help = advice(compiled, granted.saturating_sub(besides))?;
    Err(Failure::new("memory", message, Some(help)))
}

/// The largest micro-batch that fits.
fn advice(compiled: &Compiled, budget: u64) -> Result<String, CompileError> {
    let mut recipe: Recipe = compiled.recipe.clone();
    recipe.train.micro_batch = None;
    let options = Options {
        memory: Some(budget),
        ..Options::default()
    };
    let program = compile(&recipe, &compiled.library, &options)?;
    let takes = bytes(program.cost.memory());
    Ok(match program.cost.memory() <= budget {
        true => format!(
            "--set train.micro_batch={} trains in {takes}, on the same images and masks",
            program.micro_batch
        ),
        false => format!(
            "even one image at a time takes {takes}: a smaller model, or a machine with more memory"
        ),
    })
}

//! What single modules return, by a program that keeps it.

use super::{
    Check, Reference, VerifyError, check::Bench, compare::relative, feed, inputs::Mask, prepare,
};
use crate::{
    backend::Backend,
    compile::{Options, Program, compile},
    diagnostic::nearest,
    elaborate::Instance,
    ir::{Root, meta},
    language::library::Library,
    recipe::Recipe,
};

/// Where outputs of the file that are no activations stand.
const RECONSTRUCTION: &str = "output/reconstruction";

/// Compares the activations of the first step, `act/<module>`, and the images that were predicted.
pub fn check(
    recipe: &Recipe,
    library: &Library,
    backend: &dyn Backend,
    mask: Mask,
    reference: &mut Reference,
    bench: &mut Bench,
) -> Result<(), VerifyError> {
    let modules = reference.group("act/");
    let reconstruction = reference.dims(RECONSTRUCTION);
    if modules.is_empty() {
        bench.lacks(Check::Activations);
    }
    if reconstruction.is_none() {
        bench.lacks(Check::Reconstruction);
    }
    if modules.is_empty() && reconstruction.is_none() {
        return Ok(());
    }
    let options = Options {
        keep: Some(&|path| modules.iter().any(|(module, _)| module == path)),
        ..Options::default()
    };
    let program = compile(recipe, library, &options)?;
    for (module, dims) in &modules {
        check_module(&program, module, dims)?;
    }
    let images = match reconstruction {
        Some(dims) => Some(root_of(&program, &dims)?),
        None => None,
    };

    let mut step = prepare(program, backend, reference)?;
    let draw = feed(&mut *step, mask, reference, 0)?;
    step.accumulate(draw)?;
    for (module, _) in &modules {
        let theirs = reference.read(&format!("act/{module}"))?;
        let ours = step.output(&format!("act.{module}"))?;
        bench.measure(Check::Activations, relative(&ours, &theirs), || {
            module.clone()
        });
    }
    if let Some(name) = images {
        let off = relative(&step.output(&name)?, &reference.read(RECONSTRUCTION)?);
        bench.measure(Check::Reconstruction, off, || name);
    }
    Ok(())
}

/// The module must be an instance of the model, and its output as large: tokens may stand in a row or in a grid.
fn check_module(program: &Program, module: &str, dims: &[usize]) -> Result<(), VerifyError> {
    let find = |instance: &&Instance| instance.path == module;
    let Some(instance) = program.instances.iter().find(find) else {
        let paths = program.instances.iter().map(|one| one.path.as_str());
        return Err(VerifyError::NoModule {
            module: module.to_owned(),
            near: nearest(module, paths).map(str::to_owned),
        });
    };
    let ours = instance.outputs.first().map_or(&[][..], |(_, dims)| dims);
    if same_but_for_grouping(ours, dims) {
        return Ok(());
    }
    Err(VerifyError::Shape {
        key: format!("act/{module}"),
        theirs: dims.to_vec(),
        ours: ours.to_vec(),
    })
}

/// The first and last axes agree, and so does the number of elements between them.
fn same_but_for_grouping(ours: &[usize], theirs: &[usize]) -> bool {
    let elements = |dims: &[usize]| dims.iter().product::<usize>();
    ours.first() == theirs.first()
        && ours.last() == theirs.last()
        && elements(ours) == elements(theirs)
}

/// The model's output that has the shape of the images.
fn root_of(program: &Program, dims: &[usize]) -> Result<String, VerifyError> {
    let roots = &meta(&program.graph).roots;
    let found = roots.iter().find(|root: &&Root| root.dims == dims);
    match found {
        Some(root) => Ok(root.name.clone()),
        None => Err(VerifyError::NoImages {
            dims: dims.to_vec(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_may_stand_in_a_row_or_in_a_grid() {
        assert!(same_but_for_grouping(&[2, 6, 6, 8], &[2, 36, 8]));
        assert!(same_but_for_grouping(&[2, 36, 8], &[2, 36, 8]));
        assert!(!same_but_for_grouping(&[2, 8, 6, 6], &[2, 36, 8]));
        assert!(!same_but_for_grouping(&[2, 37, 8], &[2, 36, 8]));
        assert!(!same_but_for_grouping(&[], &[2, 36, 8]));
    }
}

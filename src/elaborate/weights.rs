//! Weights: a path, a shape, an initialiser, whether they decay.

use super::{
    Elaborator, Weight,
    builtins::{Initialiser, Unresolved},
    scope::Frame,
    source::Source,
    value::{Data, Tensor, Value},
};
use crate::{
    diagnostic::{Diagnostic, Result},
    ir::ops::InputKind,
    language::{
        expression::{Expr, Spanned},
        graph_file::WeightDecl,
    },
};
use std::rc::Rc;

impl Elaborator<'_> {
    /// Makes a weight, unless its `when` does not hold.
    pub fn create_weight<'f>(
        &mut self,
        frame: &mut Frame<'f>,
        declared: &'f WeightDecl,
    ) -> Result<()> {
        let name = &declared.name;
        if let Some(when) = &declared.when
            && !self.holds(frame, when)?
        {
            frame.off.insert(&name.value);
            return Ok(());
        }
        if let Some(call) = frame.path.nameless() {
            let message = format!(
                "{} owns weights, so the call needs a step of its own",
                frame.file.name
            );
            return Err(Diagnostic::error("buried-weights", message)
                .at(call)
                .note_at(format!("its weight `{}`", name.value), &name.span)
                .help("the name of the step becomes part of the names of the weights")
                .into());
        }
        let (dims, axes) = self.weight_shape(frame, declared)?;
        let init = self.eval(frame, &declared.init, None)?;
        let Data::Initialiser(initialiser) = init.data else {
            let message = format!("`init` is an initialiser, got {}", init.describe());
            let parts = [(&declared.init, &init)];
            return Err(super::about("wrong-type", message, &declared.init, &parts).into());
        };
        let decay = match &declared.decay {
            Some(decay) => self.holds(frame, decay)?,
            None => dims.len() > 1,
        };
        let init = match initialiser.resolve() {
            Ok(init) => init,
            Err(Unresolved::FanIn) => {
                Initialiser::by_fan_in(self.fan_in(frame, &dims, &declared.init)?)
            }
        };
        let full = frame.path.named(&name.value);
        self.take_name(&full, name)?;
        let kind = InputKind::Weight { decay, init };
        // The top graph has no name to stand under.
        let top = frame.path.text().is_empty();
        let own = top.then(|| frame.path.step(&name.value));
        self.stand_at(own.as_ref().unwrap_or(&frame.path));
        let value = self.rewriter.input(&full, &dims, kind);
        self.weights.push(Weight {
            name: full,
            dims,
            decay,
            init,
        });
        let value = Value {
            data: Data::Tensor(Rc::new(Tensor { value, axes })),
            source: Source::unknown(),
        };
        frame.values.insert(&name.value, value);
        Ok(())
    }

    fn weight_shape(
        &mut self,
        frame: &Frame,
        declared: &WeightDecl,
    ) -> Result<(Vec<usize>, Vec<Source>)> {
        let (mut dims, mut axes) = (Vec::new(), Vec::new());
        for expr in &declared.shape {
            let value = self.eval(frame, expr, None)?;
            dims.push(self.axis_size(expr, &value)?);
            axes.push(value.source);
        }
        self.check_shape(&dims, &declared.name.span)?;
        Ok((dims, axes))
    }

    /// A number as the size of an axis.
    pub fn axis_size(&self, expr: &Expr, value: &Value) -> Result<usize> {
        match value.data {
            Data::Int(n) if (1..=i32::MAX as i64).contains(&n) => Ok(n as usize),
            Data::Int(n) if n > 0 => {
                let message = format!("the size of an axis is at most {}, got {n}", i32::MAX);
                Err(super::about("too-large", message, expr, &[(expr, value)]).into())
            }
            _ => {
                let message = format!(
                    "the size of an axis is a whole number from 1, got {}",
                    value.describe()
                );
                Err(super::about("wrong-size", message, expr, &[(expr, value)]).into())
            }
        }
    }

    /// Inputs per output: of the weight itself, and of an offset those of the file's `weight`.
    fn fan_in(&mut self, frame: &mut Frame, dims: &[usize], init: &Expr) -> Result<usize> {
        let file = frame.file;
        let per_output = |dims: &[usize]| dims[1..].iter().product();
        if dims.len() > 1 {
            return Ok(per_output(dims));
        }
        let main = file.weights.iter().find(|w| w.name.value == "weight");
        if let Some(main) = main.filter(|main| main.shape.len() > 1) {
            for expr in &main.shape {
                self.settle(frame, expr)?;
            }
            return Ok(per_output(&self.weight_shape(frame, main)?.0));
        }
        let message =
            "the fan-in is that of `weight`, and there is no such weight of two axes or more";
        let error = Diagnostic::error("no-fan-in", message).at(&init.span);
        Err(error.into())
    }

    fn take_name(&mut self, full: &str, declared: &Spanned<String>) -> Result<()> {
        if let Some(first) = self.weights.iter().position(|w| w.name == full) {
            let message = format!("two weights have the name `{full}`");
            return Err(Diagnostic::error("name-taken", message)
                .at(&declared.span)
                .note_at("the first one", &self.declared[first])
                .help("give one of the steps another name or `scope`")
                .into());
        }
        self.declared.push(declared.span.clone());
        Ok(())
    }
}

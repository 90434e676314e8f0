//! Random tensors. A draw is an input of the graph, so that the graph stays pure: what it holds is a function of the seed, its
//! name, the step and the position of the image in the whole batch.

use super::{Builtin, Call, leaves};
use crate::{
    diagnostic::{Diagnostic, Result, Span},
    elaborate::{Elaborator, Mode, source::Source, tensor, value::Data},
    ir::{Value, ops::InputKind},
    language::pattern,
};

pub const BUILTINS: &[Builtin] = &[
    Builtin {
        signature: "uniform(shape)",
        doc: "Drawn from [0, 1), anew in each step; images are the first axis or none.",
        run: uniform,
    },
    Builtin {
        signature: "skip(x, pattern, rate)",
        doc: "Sets a random share `rate` of the marked axes to zero and scales up the rest (`[b] t c`: stochastic depth, Huang \
              et al. 2016; all axes: dropout, Srivastava et al. 2014). The identity where nothing is trained.",
        run: skip,
    },
];

fn uniform(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    let (dims, axes) = leaves::shape(elaborator, call)?;
    let value = elaborator.draw(&dims, &axes, call.span)?;
    Ok(tensor::data(value, axes))
}

fn skip(elaborator: &mut Elaborator, call: &Call) -> Result<Data> {
    let x = call.tensor("x")?;
    let rate = call.number("rate")?;
    if !(0.0..=1.0).contains(&rate) {
        let message = format!(
            "`rate` of skip is from 0 to 1, got {}",
            call.arg("rate").value
        );
        return Err(call.arg("rate").error("out-of-range", message).into());
    }
    let side = pattern::parse_side(&call.pattern("pattern")?)?;
    let marked = super::layout::marked(&side, &x.dims())?;
    if rate == 0.0 || elaborator.setting.mode == Mode::Evaluate {
        return Ok(Data::Tensor(x.clone()));
    }
    if rate == 1.0 {
        // A product, not a constant: the weights behind x stay part of the graph.
        let nothing = elaborator.rewriter.scale(&x.value, 0.0);
        return Ok(tensor::data(nothing, x.axes.clone()));
    }
    let dims = x.dims();
    let drawn: Vec<usize> = marked.iter().map(|&axis| dims[axis]).collect();
    let axes: Vec<Source> = marked.iter().map(|&axis| x.axes[axis].clone()).collect();
    let draw = elaborator.draw(&drawn, &axes, call.span)?;
    let r = &mut elaborator.rewriter;
    let rate_everywhere = r.constant(rate as f32, &drawn);
    let dropped = r.less(&draw, &rate_everywhere);
    let kept = r.complement(&dropped);
    let mut factor = r.scale(&kept, (1.0 / (1.0 - rate)) as f32);
    for axis in (0..dims.len()).filter(|axis| !marked.contains(axis)) {
        factor = factor.expand(axis, dims[axis]);
    }
    let value = r.mul(&x.value, &factor);
    Ok(tensor::data(value, x.axes.clone()))
}

impl Elaborator<'_> {
    /// A tensor of its own for this place, named by the path and how many there are under it. No path holds a colon, so no
    /// two places share a name.
    fn draw(&mut self, dims: &[usize], axes: &[Source], at: &Span) -> Result<Value> {
        let per_sample = axes.first().is_some_and(Source::is_batch);
        let others = &axes[usize::from(per_sample)..];
        if others.iter().any(Source::is_over_batch) {
            let message =
                "random numbers for each image need the images as an axis of their own, the first";
            return Err(Diagnostic::error("draw-over-batch", message)
                .at(at)
                .help("any cut of a batch into runs has to draw the same numbers for an image")
                .into());
        }
        let path = self.rewriter.origin().path.clone();
        let count = self.draws.entry(path.clone()).or_default();
        *count += 1;
        let name = match *count {
            1 => path.to_string(),
            n => format!("{path}:{n}"),
        };
        Ok(self
            .rewriter
            .input(&name, dims, InputKind::Draw { per_sample }))
    }
}

//! Contractions: a product that only a chain of sums reads becomes one [`Contraction`] node and is never stored.
//!
//! Which operand moves along an axis, and whether it is summed over, gives the axis its role. Operands are read through copies
//! wherever each role stays a single loop, constant factors of an operand move behind the product, and a result that is
//! only copied or added to an accumulator is written there.

mod form;

use super::{
    emit::Emitter,
    flow::{Flow, Input, Work},
    sums::Sum,
    walk::{Walk, to_view},
};
use crate::ir::{
    Graph, Value,
    ops::{Contraction, Role},
    program::RowOp,
    view::MAX_RANK,
};
use form::{Axis, Form};

/// Recognises every contraction that has rows and columns. Products of vectors are left to row programs and folds.
pub fn run(graph: &mut Graph) {
    let flow = Flow::of(graph);
    let found: Vec<Match> = (0..flow.nodes.len())
        .filter_map(|sum| Match::of(graph, &flow, sum))
        .collect();
    let mut emitter = Emitter::new(graph, &flow);
    for found in &found {
        found.put(&mut emitter);
    }
    emitter.finish();
}

/// A contraction in the graph.
struct Match {
    /// The sum that ends it.
    sum: usize,
    operands: [Operand; 2],
    /// Where the result goes: the sum's buffer, that of a copy which alone reads it, or an accumulator.
    target: usize,
    accumulator: Option<usize>,
    form: Form,
}

#[derive(Clone)]
struct Operand {
    input: Input,
    /// Constant factor that is left out.
    scale: f32,
}

impl Match {
    fn of(graph: &Graph, flow: &Flow, sum: usize) -> Option<Match> {
        let node = &flow.nodes[sum];
        let Work::Reduce(reduce) = &node.work else {
            return None;
        };
        let product = &flow.nodes[node.inputs[0].source];
        let alone = product.readers == [sum] && !product.root && node.live;
        if reduce.op != RowOp::RowSum || product.work != Work::Pointwise(RowOp::Mul) || !alone {
            return None;
        }
        // From an element of the product to the element of the result it goes into.
        let seen = node.inputs[0].walk.inverse(product.lens[0])?;
        let result = seen.through(&reduce.result)?;
        let [a, b] = [0, 1].map(|i| ways(flow, [&product.inputs[i], &product.direct[i]]));
        let mut best: Option<Match> = None;
        for (target, accumulator, result) in targets(graph, flow, sum, result) {
            for operands in a
                .iter()
                .flat_map(|a| b.iter().map(move |b| [a.clone(), b.clone()]))
            {
                let walks = [&operands[0].input.walk, &operands[1].input.walk, &result];
                let found = Match {
                    sum,
                    form: Form::of(walks)?,
                    operands,
                    target,
                    accumulator,
                };
                let copied = |found: &Match| found.form.copied();
                if found.is_sound(flow) && best.as_ref().is_none_or(|b| copied(&found) < copied(b))
                {
                    best = Some(found);
                }
            }
        }
        best
    }

    /// Whether the operands can be seen as the form wants them, and the result put where it belongs.
    fn is_sound(&self, flow: &Flow) -> bool {
        let axes = self.form.settled();
        let seen = |tensor: usize| {
            let input = &self.operand(tensor).input;
            let len = flow.nodes[input.source].lens[input.output as usize];
            let (sizes, strides) = match self.form.copy[tensor] {
                true => self.form.of_tensor(tensor),
                false => along(&axes, tensor),
            };
            to_view(&sizes, &strides, input.walk.offset, len).is_some()
        };
        let scaled = self.operands.iter().any(|operand| operand.scale != 1.0);
        let adds = self.accumulator.is_none() || !(scaled || self.form.copy[2]);
        axes.len() <= MAX_RANK && self.form.axes.len() <= MAX_RANK && adds && seen(0) && seen(1)
    }

    fn operand(&self, tensor: usize) -> &Operand {
        &self.operands[tensor ^ usize::from(self.form.swapped)]
    }

    fn put(&self, emitter: &mut Emitter) {
        let form = &self.form;
        emitter.stand_in_for(self.sum);
        let copies = [0, 1].map(|tensor| self.copy(emitter, tensor));
        let fine = form
            .like(emitter.dims(self.target))
            .filter(|_| !form.copy[2]);
        let nests = fine.into_iter().chain([form.settled()]);
        let mut seen = nests.filter_map(|axes| {
            let operand = |tensor: usize| self.seen(emitter, &copies[tensor], tensor, &axes);
            Some(([operand(0)?, operand(1)?], axes))
        });
        let ([a, b], axes) = seen
            .next()
            .expect("a match is taken only if it can be seen");
        let mut out: Vec<usize> = (0..axes.len())
            .filter(|&i| axes[i].role != Role::K)
            .collect();
        out.sort_by_key(|&i| std::cmp::Reverse(axes[i].strides[2]));
        let op = Contraction {
            sizes: axes.iter().map(|axis| axis.size).collect(),
            roles: axes.iter().map(|axis| axis.role).collect(),
            out,
            rounds: [false; 2],
            accumulate: self.accumulator.is_some(),
            epilogue: None,
        };
        let mut inputs = vec![a, b];
        if let Some(accumulator) = self.accumulator {
            inputs.push(emitter.buffer(accumulator, &op.product_dims()));
        }
        let r = emitter.rewriter();
        let mut result = r.op(op, &inputs.iter().collect::<Vec<_>>()).remove(0);
        if form.copy[2] {
            result = restored(&result, form).map_or(result, |seen| r.contiguous(&seen));
        }
        let scale: f32 = self.operands.iter().map(|operand| operand.scale).product();
        if scale != 1.0 {
            result = r.scale(&result, scale);
        }
        emitter.replace(self.target, &result);
    }

    /// An operand in a buffer of its own, if the form wants that.
    fn copy(&self, emitter: &mut Emitter, tensor: usize) -> Option<Value> {
        if !self.form.copy[tensor] {
            return None;
        }
        let input = &self.operand(tensor).input;
        let (sizes, strides) = self.form.of_tensor(tensor);
        let buffer = (input.source, input.output);
        let seen = emitter.view(buffer, &sizes, &strides, input.walk.offset)?;
        Some(emitter.rewriter().contiguous(&seen))
    }

    fn seen(
        &self,
        emitter: &Emitter,
        copy: &Option<Value>,
        tensor: usize,
        axes: &[Axis],
    ) -> Option<Value> {
        let input = &self.operand(tensor).input;
        let (sizes, strides) = along(axes, tensor);
        match copy {
            Some(copy) => {
                let len = copy.dims().iter().product();
                Some(copy.through(to_view(&sizes, &strides, 0, len)?))
            }
            None => {
                let buffer = (input.source, input.output);
                emitter.view(buffer, &sizes, &strides, input.walk.offset)
            }
        }
    }
}

/// The product in the order that the graph has the result in.
fn restored(product: &Value, form: &Form) -> Option<Value> {
    let mut axes: Vec<(Axis, usize)> = Vec::new();
    let (sizes, _) = form.of_tensor(2);
    let plain = super::walk::weights(&sizes);
    let kept = form.axes.iter().filter(|axis| axis.strides[2] > 0);
    axes.extend(kept.copied().zip(plain));
    axes.sort_by_key(|(axis, _)| std::cmp::Reverse(axis.strides[2]));
    let (sizes, strides): (Vec<usize>, Vec<usize>) = axes
        .iter()
        .map(|(axis, stride)| (axis.size, *stride))
        .unzip();
    let len = sizes.iter().product();
    Some(product.through(to_view(&sizes, &strides, 0, len)?))
}

/// Where a sum may be written: an accumulator, a copy that alone reads it, its own buffer. With the walk from the product's
/// elements to those of the target.
fn targets(
    graph: &Graph,
    flow: &Flow,
    sum: usize,
    result: Walk,
) -> Vec<(usize, Option<usize>, Walk)> {
    let len = flow.nodes[sum].lens[0];
    let behind = |input: &Input| result.through(&input.walk.inverse(len)?);
    let mut targets = Vec::new();
    if let Some(added) = Sum::of(graph, flow, sum) {
        let to = behind(&flow.nodes[added.add].inputs[added.input]);
        targets.extend(to.map(|walk| (added.add, Some(added.accumulator), walk)));
    }
    if let (&[reader], false) = (&flow.nodes[sum].readers[..], flow.nodes[sum].root)
        && flow.nodes[reader].work == Work::Copy
    {
        let to = behind(&flow.nodes[reader].inputs[0]);
        targets.extend(to.map(|walk| (reader, None, walk)));
    }
    targets.push((sum, None, result));
    targets
}

/// What an operand may be read from: through copies and without a constant factor, or as the edge has it.
fn ways(flow: &Flow, [through, direct]: [&Input; 2]) -> Vec<Operand> {
    let plain = |input: &Input| Operand {
        input: input.clone(),
        scale: 1.0,
    };
    let mut ways: Vec<Operand> = unscaled(flow, through).into_iter().collect();
    ways.push(plain(through));
    if through.source != direct.source {
        ways.push(plain(direct));
    }
    ways
}

/// Behind a product with a constant that nothing else reads.
fn unscaled(flow: &Flow, input: &Input) -> Option<Operand> {
    let product = &flow.nodes[input.source];
    if product.work != Work::Pointwise(RowOp::Mul) || product.readers.len() > 1 || product.root {
        return None;
    }
    let constant = |i: &Input| match flow.nodes[i.source].work {
        Work::Constant(x) => Some(x),
        _ => None,
    };
    let [a, b] = &product.inputs[..] else {
        return None;
    };
    let (other, scale) = match (constant(a), constant(b)) {
        (None, Some(scale)) => (a, scale),
        (Some(scale), None) => (b, scale),
        _ => return None,
    };
    Some(Operand {
        input: Input {
            walk: input.walk.through(&other.walk)?,
            ..other.clone()
        },
        scale,
    })
}

/// Sizes of all axes, and a tensor's strides.
fn along(axes: &[Axis], tensor: usize) -> (Vec<usize>, Vec<usize>) {
    axes.iter()
        .map(|axis| (axis.size, axis.strides[tensor]))
        .unzip()
}

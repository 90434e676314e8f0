//! The crib: how each operator hands the gradient of its result on to its inputs.

mod attention;

use super::flow::{mul, scale};
use crate::ir::{Kind, NodeIndex, Own, Rewriter, Value, kind, ops, program::RowOp};
use std::f32::consts::{FRAC_2_SQRT_PI, FRAC_PI_2, LN_2, LOG2_E};

/// A node in the sweep back.
pub struct Site {
    /// The node that gradients flow through.
    pub node: NodeIndex,
    /// What it reads.
    pub inputs: Vec<Value>,
    /// The node's own results, whole.
    pub outputs: Vec<Value>,
    /// What arrived at each output, with its dims.
    pub gradients: Vec<Option<Value>>,
    /// Does the input depend on a weight?
    pub wants: Vec<bool>,
}

/// What flows into an input.
pub enum Flow {
    /// The gradient of what the input's view shows.
    View(Value),
    /// The gradient of the part of the buffer that the view shows, in the buffer's own order: nothing is seen twice.
    Region(Value),
    /// The gradient of the buffer behind the view, of all its elements and in their order.
    Buffer(Value),
}

/// For each input of a node, what flows into it; none into one that no gradient reaches.
pub type Flows = Vec<Option<Flow>>;

/// What flows into each input of a node.
pub fn apply(r: &mut Rewriter, site: &Site) -> Flows {
    let own = match kind(r.graph(), site.node) {
        Kind::Constant(_) => return Vec::new(),
        Kind::Pointwise(op) => return pointwise(r, op, site),
        Kind::Reduce(op, axis) => return vec![Some(Flow::View(reduction(r, op, axis, site)))],
        Kind::Copy => return vec![Some(Flow::View(site.gradient().clone()))],
        Kind::Own(own) => own.clone(),
    };
    let row = OWN.iter().find(|row| (row.is)(&own));
    (row.expect("every own operator has a row").rule)(r, &own, site)
}

/// The rule of one own operator.
pub struct Row {
    /// Name of the operator's file.
    pub name: &'static str,
    is: fn(&Own) -> bool,
    rule: fn(&mut Rewriter, &Own, &Site) -> Flows,
}

/// Own operators; pointwise ones stand with the primitives.
pub const OWN: [Row; 10] = [
    row::<ops::AdamW>("adamw", stop),
    row::<ops::Attention>("attention", attention::rule),
    row::<ops::AttentionGradient>("attention_gradient", stop),
    row::<ops::Concat>("concat", concat),
    row::<ops::Detach>("detach", stop),
    row::<ops::Input>("input", stop),
    row::<ops::Roll>("roll", roll),
    row::<ops::Scatter>("scatter", scatter),
    row::<ops::SumSquares>("sum_squares", sum_squares),
    row::<ops::Take>("take", take),
];

const fn row<T: ops::Op>(name: &'static str, rule: fn(&mut Rewriter, &Own, &Site) -> Flows) -> Row {
    Row {
        name,
        is: |own| own.get::<T>().is_some(),
        rule,
    }
}

impl Site {
    /// Of an operator with one output.
    fn gradient(&self) -> &Value {
        let gradient = self.gradients[0].as_ref();
        gradient.expect("a rule runs where a gradient arrived")
    }
}

fn pointwise(r: &mut Rewriter, op: RowOp, site: &Site) -> Flows {
    let (g, y, x) = (site.gradient(), &site.outputs[0], &site.inputs);
    let first = match op {
        RowOp::Add => return vec![Some(Flow::View(g.clone())), Some(Flow::View(g.clone()))],
        RowOp::Mul => return product(r, site),
        RowOp::Mod => return modulo(r, site),
        // A step: flat wherever it has a slope.
        RowOp::Less => return vec![None, None],
        RowOp::Recip => {
            let square = mul(r, y, y);
            let slope = scale(r, &square, -1.0);
            mul(r, g, &slope)
        }
        RowOp::Sqrt => {
            let slope = r.recip(y);
            let slope = scale(r, &slope, 0.5);
            mul(r, g, &slope)
        }
        RowOp::Exp2 => {
            let slope = scale(r, y, LN_2);
            mul(r, g, &slope)
        }
        RowOp::Log2 => {
            let slope = r.recip(&x[0]);
            let slope = scale(r, &slope, LOG2_E);
            mul(r, g, &slope)
        }
        RowOp::Sin => {
            let turned = r.offset(&x[0], FRAC_PI_2);
            let slope = r.sin(&turned);
            mul(r, g, &slope)
        }
        RowOp::Abs => {
            let slope = r.sign(&x[0]);
            mul(r, g, &slope)
        }
        RowOp::Erf => {
            let square = mul(r, &x[0], &x[0]);
            let falling = scale(r, &square, -LOG2_E);
            let bell = r.exp2(&falling);
            let slope = scale(r, &bell, FRAC_2_SQRT_PI);
            mul(r, g, &slope)
        }
        // As if nothing were rounded: a staircase, seen from afar.
        RowOp::Bf16 => g.clone(),
        RowOp::Constant(_) | RowOp::RowSum | RowOp::RowMax => {
            unreachable!("`kind` calls constants and reductions by their own names")
        }
    };
    vec![Some(Flow::View(first))]
}

fn product(r: &mut Rewriter, site: &Site) -> Flows {
    let (g, x) = (site.gradient(), &site.inputs);
    if (x[0].node, x[0].output) == (x[1].node, x[1].output) && x[0].view == x[1].view {
        let twice = scale(r, g, 2.0);
        return vec![Some(Flow::View(mul(r, &twice, &x[0]))), None];
    }
    [(0, 1), (1, 0)]
        .into_iter()
        .map(|(i, other)| site.wants[i].then(|| Flow::View(mul(r, g, &x[other]))))
        .collect()
}

/// `a mod b = a - b · trunc(a / b)`
fn modulo(r: &mut Rewriter, site: &Site) -> Flows {
    let (g, y, x) = (site.gradient(), &site.outputs[0], &site.inputs);
    let divisor = site.wants[1].then(|| {
        let rest = r.sub(y, &x[0]);
        let slope = r.div(&rest, &x[1]);
        Flow::View(mul(r, g, &slope))
    });
    vec![Some(Flow::View(g.clone())), divisor]
}

fn reduction(r: &mut Rewriter, op: RowOp, axis: usize, site: &Site) -> Value {
    let (g, y, x) = (site.gradient(), &site.outputs[0], &site.inputs[0]);
    let n = x.dims()[axis];
    if op == RowOp::RowSum {
        return g.expand(axis, n);
    }
    // The maximum's gradient is shared by those that reach it.
    let lower = r.less(x, &y.expand(axis, n));
    let lower = r.neg(&lower);
    let reaches = r.offset(&lower, 1.0);
    let count = r.sum(&reaches, axis);
    let share = r.recip(&count);
    let share = mul(r, g, &share);
    mul(r, &share.expand(axis, n), &reaches)
}

fn stop(_: &mut Rewriter, _: &Own, site: &Site) -> Flows {
    site.inputs.iter().map(|_| None).collect()
}

fn concat(r: &mut Rewriter, own: &Own, site: &Site) -> Flows {
    let &ops::Concat { axis } = of(own);
    let (g, mut start) = (site.gradient(), 0);
    let mut flows = Vec::new();
    for (input, wanted) in site.inputs.iter().zip(&site.wants) {
        let end = start + input.dims()[axis];
        flows.push(wanted.then(|| Flow::View(r.slice(g, axis, start, end))));
        start = end;
    }
    flows
}

fn roll(r: &mut Rewriter, own: &Own, site: &Site) -> Flows {
    let ops::Roll { shifts } = of(own);
    let shifts = shifts.iter().map(|&(axis, by)| (axis, -by)).collect();
    let back = r.op(ops::Roll { shifts }, &[site.gradient()]);
    back.into_iter().map(|g| Some(Flow::View(g))).collect()
}

fn take(r: &mut Rewriter, _: &Own, site: &Site) -> Flows {
    let rows = site.inputs[0].dims()[0];
    let scatter = ops::Scatter { rows };
    let table = r.op(scatter, &[site.gradient(), &site.inputs[1]]);
    vec![Some(Flow::View(table[0].clone())), None]
}

fn scatter(r: &mut Rewriter, _: &Own, site: &Site) -> Flows {
    let rows = r.op(ops::Take, &[site.gradient(), &site.inputs[1]]);
    vec![Some(Flow::View(rows[0].clone())), None]
}

fn sum_squares(r: &mut Rewriter, _: &Own, site: &Site) -> Flows {
    let twice = scale(r, site.gradient(), 2.0);
    let x = &site.inputs[0];
    let twice = twice.broadcast_to(&x.dims());
    let twice = twice.expect("a scalar broadcasts to anything");
    vec![Some(Flow::View(mul(r, &twice, x)))]
}

/// The operator of a row's own type.
fn of<T: ops::Op>(own: &Own) -> &T {
    own.get().expect("a rule is called for its row's operator")
}

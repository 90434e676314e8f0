//! The rule of attention. Its gradients lie as the buffers lie that it reads; where q, k and v are the parts of one buffer,
//! theirs is one buffer too, and nothing is put together afterwards.

use super::{Flow, Flows, Site, of};
use crate::ir::{
    Own, Rewriter, ShapeTracker, Value,
    ops::{Attention, AttentionGradient, Wanted},
    view,
};

pub fn rule(r: &mut Rewriter, own: &Own, site: &Site) -> Flows {
    let attention: &Attention = of(own);
    let draws = usize::from(attention.dropout.is_some());
    let packed = packed(&site.inputs[..3]);
    let alone = |input: usize| Wanted {
        inputs: vec![input],
        axes: buffer_axes(&site.inputs[input].view),
        join: 0,
    };
    let mut wanted: Vec<Wanted> = match &packed {
        Some(together) => vec![together.clone()],
        None => (0..3).map(alone).collect(),
    };
    let biases = (3..site.inputs.len() - draws).filter(|&input| site.wants[input]);
    wanted.extend(biases.map(alone));

    let gradient = AttentionGradient {
        of: attention.clone(),
        wanted,
    };
    let mut inputs: Vec<&Value> = site.inputs.iter().collect();
    inputs.extend([&site.outputs[0], &site.outputs[1], site.gradient()]);
    let gradients = r.op(gradient.clone(), &inputs);

    let mut flows: Flows = site.inputs.iter().map(|_| None).collect();
    for (wanted, gradient) in gradient.wanted.iter().zip(gradients) {
        // The one buffer of all three is behind any of them.
        let flow = match wanted.inputs.len() {
            1 => Flow::Region(gradient),
            _ => Flow::Buffer(gradient),
        };
        flows[wanted.inputs[0]] = Some(flow);
    }
    flows
}

/// The axes a view does not broadcast along, in the order of its buffer.
fn buffer_axes(seen: &ShapeTracker) -> Vec<usize> {
    let mut axes: Vec<usize> = (0..seen.len())
        .filter(|&axis| !view::broadcasts(seen, axis))
        .collect();
    axes.sort_by_key(|&axis| seen.indexes[axis]);
    axes
}

/// Views of one buffer that only differ in which slice of one axis they show, and show all of it between them.
fn packed(views: &[Value]) -> Option<Wanted> {
    let first = &views[0];
    let axes = buffer_axes(&first.view);
    let sizes = view::physical(&first.view);
    let slices = |v: &Value| -> Vec<(usize, usize)> {
        let all = view::slices(&v.view);
        axes.iter().map(|&axis| all[axis]).collect()
    };
    let cut: Vec<usize> = (0..axes.len())
        .filter(|&axis| slices(first)[axis] != (0, sizes[axis]))
        .collect();
    let &[join] = &cut[..] else {
        return None;
    };
    let alike = |v: &Value| {
        let elsewhere = |s: Vec<(usize, usize)>| [&s[..join], &s[join + 1..]].concat();
        (v.node, v.output) == (first.node, first.output)
            && v.dims() == first.dims()
            && buffer_axes(&v.view) == axes
            && view::physical(&v.view) == sizes
            && elsewhere(slices(v)) == elsewhere(slices(first))
    };
    let mut inputs: Vec<usize> = (0..views.len()).collect();
    inputs.sort_by_key(|&i| slices(&views[i]).get(join).copied());
    let mut end = 0;
    for &i in &inputs {
        if !alike(&views[i]) || slices(&views[i])[join].0 != end {
            return None;
        }
        end = slices(&views[i])[join].1;
    }
    (end == sizes[join]).then_some(Wanted { inputs, axes, join })
}

//! Attention and its gradients: views of the operands become accesses, wanted gradients become places in their buffers.

use super::{Home, Lowering};
use crate::{
    ir::{Value, ops, ops::Wanted},
    plan::{
        Access, BufferId, Element, Kernel,
        kernel::{Attention, AttentionBackward, Dropout},
    },
};

impl Lowering<'_> {
    pub(super) fn attention(&mut self, attention: &ops::Attention, inputs: &[Value]) {
        let out_dims = self.output_dims(0).to_vec();
        let log_dims = self.output_dims(1).to_vec();
        let out = (self.out(0), heads_outward(Access::plain(&out_dims)));
        let log_sum = (self.out(1), Access::plain(&log_dims));
        let kernel = self.forward(attention, inputs, out, log_sum);
        let flops = flops(&kernel);
        self.push(Kernel::Attention(kernel), flops);
    }

    pub(super) fn attention_gradient(
        &mut self,
        gradient: &ops::AttentionGradient,
        inputs: &[Value],
    ) {
        let (of, results) = inputs.split_at(gradient.of.inputs());
        let (out, out_access) = self.in_memory(&results[0]);
        let log_sum = self.in_floats(&results[1]);
        let (slope, slope_access) = self.in_memory(&results[2]);
        let forward = self.forward(&gradient.of, of, (out, heads_outward(out_access)), log_sum);

        let mut places: Vec<Option<(BufferId, Access)>> = vec![None; of.len()];
        for (output, wanted) in gradient.wanted.iter().enumerate() {
            let buffer = self.out(output);
            let dims = self.output_dims(output).to_vec();
            for (part, &input) in wanted.inputs.iter().enumerate() {
                places[input] = Some((buffer, place(wanted, part, &of[input].dims(), &dims)));
            }
        }
        // The kernel writes all three: what nobody wants goes aside.
        let [q_gradient, k_gradient, v_gradient] = [0, 1, 2].map(|input| {
            let dims = of[input].dims();
            places[input]
                .take()
                .unwrap_or_else(|| (self.scratch(&dims, Element::F32), Access::plain(&dims)))
        });
        let biases = places.into_iter().enumerate().skip(3);
        let bias_gradients = biases
            .filter_map(|(input, place)| Some((input - 3, place?)))
            .collect();
        // Of the four products dV, dP, dQ and dK; the scores that are computed anew are not counted.
        let flops = 2 * flops(&forward);
        let kernel = AttentionBackward {
            forward,
            out_gradient: (slope, heads_outward(slope_access)),
            q_gradient,
            k_gradient,
            v_gradient,
            bias_gradients,
        };
        self.push(Kernel::AttentionBackward(kernel), flops);
    }

    fn forward(
        &mut self,
        attention: &ops::Attention,
        inputs: &[Value],
        out: (BufferId, Access),
        log_sum: (BufferId, Access),
    ) -> Attention {
        let [q, k, v] = [0, 1, 2].map(|i| inputs[i].dims());
        let rank = q.len();
        let biases = inputs[3..3 + attention.biases]
            .iter()
            .map(|bias| self.in_floats(bias))
            .collect();
        let dropout = attention.dropout.map(|rate| {
            let draws = &inputs[3 + attention.biases];
            match self.locate(draws) {
                (Home::Stream(stream), access) => Dropout {
                    stream,
                    access,
                    rate,
                },
                (Home::Buffer(_), _) => unreachable!("dropout compares with a random tensor"),
            }
        });
        Attention {
            batch: q[..rank - 2].to_vec(),
            queries: q[rank - 2],
            keys: k[rank - 2],
            width: q[rank - 1],
            value_width: v[rank - 1],
            scale: attention.scale,
            q: self.in_memory(&inputs[0]),
            k: self.in_memory(&inputs[1]),
            v: self.in_memory(&inputs[2]),
            biases,
            dropout,
            out,
            log_sum,
        }
    }
}

/// `[batch..., queries, heads, width]` as the kernel has it: `[batch..., heads, queries, width]`.
fn heads_outward(mut access: Access) -> Access {
    let rank = access.strides.len();
    access.strides.swap(rank - 3, rank - 2);
    access
}

/// Where the gradient of one input lies in the output it is a part of, over the axes of that input.
fn place(wanted: &Wanted, part: usize, input: &[usize], output: &[usize]) -> Access {
    let whole = Access::plain(output);
    let mut access = Access {
        offset: 0,
        strides: vec![0; input.len()],
    };
    for (at, &axis) in wanted.axes.iter().enumerate() {
        access.strides[axis] = whole.strides[at];
    }
    if wanted.inputs.len() > 1 {
        access.offset = part * input[wanted.axes[wanted.join]] * whole.strides[wanted.join];
    }
    access
}

/// Of the two products.
fn flops(a: &Attention) -> u64 {
    let images = a.batch.iter().product::<usize>();
    2 * (images * a.queries * a.keys * (a.width + a.value_width)) as u64
}

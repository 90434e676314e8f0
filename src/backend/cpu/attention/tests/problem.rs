//! Problems in many layouts, and their solution in f64 by plain loops.

use crate::backend::cpu::gemm::matrix::Index;
use crate::backend::cpu::gemm::testbed::Testbed;
use crate::plan::kernel::{Attention, AttentionBackward, Dropout};
use crate::plan::{Access, BufferId, Stream};
use crate::random::Key;

/// How a tensor lies in memory.
#[derive(Debug, Clone, Copy)]
pub enum Layout {
    /// Row-major.
    Natural,
    /// The last two axes swapped.
    Swapped,
    /// The last two axes outermost: neither is contiguous.
    Outermost,
}

#[derive(Debug, Clone)]
pub struct Problem {
    pub batch: Vec<usize>,
    pub queries: usize,
    pub keys: usize,
    pub width: usize,
    pub value_width: usize,
    pub layout: Layout,
    /// For each bias: the batch axes it varies along, its layout, and whether it learns.
    pub biases: Vec<(Vec<bool>, Layout, bool)>,
    pub rate: Option<f32>,
}

pub const FIRST_SAMPLE: u64 = 6;

/// Lays tensors out one by one, each in a buffer of its own.
#[derive(Default)]
struct Buffers {
    sizes: Vec<usize>,
}

impl Buffers {
    fn add(
        &mut self,
        dims: &[usize],
        layout: Layout,
        varies: impl Fn(usize) -> bool,
    ) -> (BufferId, Access) {
        let axes = dims.len();
        let mut order: Vec<usize> = (0..axes).collect();
        match layout {
            Layout::Natural => {}
            Layout::Swapped => order.swap(axes - 1, axes - 2),
            Layout::Outermost => order.rotate_right(2),
        }
        let (mut strides, mut size) = (vec![0; axes], 1);
        for &axis in order.iter().rev().filter(|&&axis| varies(axis)) {
            strides[axis] = size;
            // A gap between rows, so that a kernel that writes past its row is found out.
            size = size * dims[axis] + usize::from(size == 1);
        }
        self.sizes.push(size + 3);
        (self.sizes.len() - 1, Access { offset: 3, strides })
    }
}

impl Problem {
    pub fn build(&self) -> (Testbed, AttentionBackward) {
        let mut buffers = Buffers::default();
        let mut tensor = |inner: &[usize], layout| {
            let dims = [&self.batch, inner].concat();
            buffers.add(&dims, layout, |_| true)
        };
        let (queries, keys) = (self.queries, self.keys);
        let mut operands = || {
            let q = tensor(&[queries, self.width], self.layout);
            let k = tensor(&[keys, self.width], self.layout);
            let v = tensor(&[keys, self.value_width], self.layout);
            let out = tensor(&[queries, self.value_width], self.layout);
            (q, k, v, out)
        };
        let (q, k, v, out) = operands();
        let (q_gradient, k_gradient, v_gradient, out_gradient) = operands();
        let log_sum = tensor(&[queries], Layout::Natural);
        let axes = self.batch.len();
        let mut bias = |varies: &[bool], layout| {
            let dims = [&self.batch[..], &[queries, keys]].concat();
            buffers.add(&dims, layout, |axis| axis >= axes || varies[axis])
        };
        let biases = self
            .biases
            .iter()
            .map(|(varies, layout, _)| bias(varies, *layout))
            .collect();
        let learning = self
            .biases
            .iter()
            .enumerate()
            .filter(|(_, (_, _, learns))| *learns);
        let bias_gradients = learning
            .map(|(index, (varies, layout, _))| (index, bias(varies, *layout)))
            .collect();
        let mut draws = Buffers::default();
        let dims = [&self.batch[..], &[queries, keys]].concat();
        let (_, access) = draws.add(&dims, Layout::Natural, |_| true);
        let per_sample = access.strides[0];
        let mut bed = Testbed::new(&buffers.sizes, 5);
        bed.plan.streams.push(Stream {
            purpose: "attention".into(),
            per_sample,
        });
        let forward = Attention {
            batch: self.batch.clone(),
            queries,
            keys,
            width: self.width,
            value_width: self.value_width,
            scale: 0.7,
            q,
            k,
            v,
            biases,
            dropout: self.rate.map(|rate| Dropout {
                stream: 0,
                access,
                rate,
            }),
            out,
            log_sum,
        };
        let backward = AttentionBackward {
            forward,
            out_gradient,
            q_gradient,
            k_gradient,
            v_gradient,
            bias_gradients,
        };
        (bed, backward)
    }
}

/// All buffers in f64, zero where the kernels write.
pub struct Solution {
    pub data: Vec<Vec<f64>>,
}

impl Solution {
    pub fn new(bed: &Testbed) -> Self {
        let wide = |buffer: &Vec<f32>| buffer.iter().map(|&x| x as f64).collect();
        Solution {
            data: bed.data.iter().map(wide).collect(),
        }
    }

    /// Fills in what the forward pass writes, and with `backward` the gradients too.
    pub fn solve(&mut self, problem: &AttentionBackward, key: Key, backward: bool) {
        let forward = &problem.forward;
        for (_, (buffer, _)) in &problem.bias_gradients {
            self.data[*buffer].fill(0.0);
        }
        for index in 0..forward.batch.iter().product() {
            self.solve_unit(problem, key, index, backward);
        }
    }

    fn solve_unit(&mut self, problem: &AttentionBackward, key: Key, index: usize, backward: bool) {
        let f = &problem.forward;
        let (queries, keys) = (f.queries, f.keys);
        let place = |access: &Access, row: usize, column: usize| {
            let (outer, inner) = access.strides.split_at(f.batch.len());
            access.offset
                + Index::new(&f.batch, index).offset(outer)
                + row * inner[0]
                + inner.get(1).map_or(0, |stride| column * stride)
        };
        let read = |data: &[Vec<f64>],
                    (buffer, access): &(BufferId, Access),
                    rows: usize,
                    columns: usize| {
            let row = |i| {
                (0..columns)
                    .map(|j| data[*buffer][place(access, i, j)])
                    .collect()
            };
            (0..rows).map(row).collect::<Vec<Vec<f64>>>()
        };
        let data = &mut self.data;
        let (q, k) = (
            read(data, &f.q, queries, f.width),
            read(data, &f.k, keys, f.width),
        );
        let v = read(data, &f.v, keys, f.value_width);
        let g = read(data, &problem.out_gradient, queries, f.value_width);
        let biases: Vec<_> = f
            .biases
            .iter()
            .map(|bias| read(data, bias, queries, keys))
            .collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (mut dq, mut dk, mut dv) = (
            vec![vec![0.0; f.width]; queries],
            vec![vec![0.0; f.width]; keys],
            vec![vec![0.0; f.value_width]; keys],
        );
        for i in 0..queries {
            let scores: Vec<f64> = (0..keys)
                .map(|j| {
                    f.scale as f64 * dot(&q[i], &k[j]) + biases.iter().map(|b| b[i][j]).sum::<f64>()
                })
                .collect();
            let sum: f64 = scores.iter().map(|s| s.exp()).sum();
            let weights: Vec<f64> = scores.iter().map(|s| s.exp() / sum).collect();
            let factors: Vec<f64> = (0..keys)
                .map(|j| match &f.dropout {
                    None => 1.0,
                    Some(dropout) => {
                        let position = FIRST_SAMPLE * dropout.access.strides[0] as u64
                            + place(&dropout.access, i, j) as u64;
                        let draw = key.with("attention").uniform_f32(position);
                        if draw >= dropout.rate {
                            1.0 / (1.0 - dropout.rate as f64)
                        } else {
                            0.0
                        }
                    }
                })
                .collect();
            data[f.log_sum.0][place(&f.log_sum.1, i, 0)] = sum.ln();
            for c in 0..f.value_width {
                data[f.out.0][place(&f.out.1, i, c)] =
                    (0..keys).map(|j| weights[j] * factors[j] * v[j][c]).sum();
            }
            // By the whole Jacobian of the softmax.
            let dp: Vec<f64> = (0..keys).map(|j| factors[j] * dot(&g[i], &v[j])).collect();
            for j in 0..keys {
                let ds: f64 = (0..keys)
                    .map(|l| dp[l] * weights[l] * (f64::from(j == l) - weights[j]))
                    .sum();
                for c in 0..f.width {
                    dq[i][c] += f.scale as f64 * ds * k[j][c];
                    dk[j][c] += f.scale as f64 * ds * q[i][c];
                }
                for c in 0..f.value_width {
                    dv[j][c] += weights[j] * factors[j] * g[i][c];
                }
                if backward {
                    for (_, (buffer, access)) in &problem.bias_gradients {
                        data[*buffer][place(access, i, j)] += ds;
                    }
                }
            }
        }
        if backward {
            let results = [
                (&problem.q_gradient, dq),
                (&problem.k_gradient, dk),
                (&problem.v_gradient, dv),
            ];
            for ((buffer, access), rows) in results {
                for (i, row) in rows.iter().enumerate() {
                    for (j, x) in row.iter().enumerate() {
                        data[*buffer][place(access, i, j)] = *x;
                    }
                }
            }
        }
    }
}

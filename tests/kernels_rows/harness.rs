//! Buffers to run kernels on, and the loops that say what they should compute.

use half::bf16;
use mimc::backend::cpu::{Launch, Memory, Run};
use mimc::ir::program::{Instr, RowOp, ValueId};
use mimc::plan::kernel::{Fold, Operand, Reduction, Rows};
use mimc::plan::{Access, Buffer, BufferId, Element, Place, Plan, Stream};
use mimc::random::Key;

pub fn launch() -> Launch {
    Launch {
        key: Key::new(11).with("launch"),
        first_sample: 3,
    }
}

/// A plan's buffers with their contents.
#[derive(Default, Clone)]
pub struct Bench {
    pub plan: Plan,
    pub data: Vec<Vec<f32>>,
}

impl Bench {
    pub fn buffer(&mut self, data: Vec<f32>) -> BufferId {
        self.plan.buffers.push(Buffer {
            dims: vec![data.len()],
            element: Element::F32,
            place: Place::State,
            origin: "test".into(),
        });
        self.data.push(data);
        self.data.len() - 1
    }

    /// A buffer of numbers from -2 to 2, none closer to 0 than 0.01.
    pub fn noise(&mut self, len: usize) -> BufferId {
        let key = Key::new(self.data.len() as u64).with("noise");
        let value = |i| match 4.0 * key.uniform_f32(i) - 2.0 {
            v if v.abs() < 0.01 => 0.5,
            v => v,
        };
        self.buffer((0..len as u64).map(value).collect())
    }

    pub fn stream(&mut self, purpose: &str, per_sample: usize) -> usize {
        self.plan.streams.push(Stream {
            purpose: purpose.into(),
            per_sample,
        });
        self.plan.streams.len() - 1
    }

    /// The contents of all buffers after a kernel ran on some threads.
    pub fn after(&self, threads: usize, run: impl Fn(&Memory) + Send + Sync) -> Vec<Vec<f32>> {
        let mut data = self.data.clone();
        let mut halves: Vec<Vec<bf16>> = (self.plan.buffers.iter().zip(&data))
            .map(|(buffer, data)| match buffer.element {
                Element::F32 => Vec::new(),
                Element::Bf16 => data.iter().map(|&x| bf16::from_f32(x)).collect(),
            })
            .collect();
        let addresses = (self.plan.buffers.iter().zip(&mut data).zip(&mut halves))
            .map(|((buffer, data), halves)| match buffer.element {
                Element::F32 => data.as_mut_ptr().cast(),
                Element::Bf16 => halves.as_mut_ptr().cast(),
            })
            .collect();
        // SAFETY: the vectors live, and keep their place, until the kernel is done.
        let memory = unsafe { Memory::new(addresses) };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| run(&memory));
        for (data, halves) in data.iter_mut().zip(&halves) {
            for (x, half) in data.iter_mut().zip(halves) {
                *x = half.to_f32();
            }
        }
        data
    }

    /// With numbers of bf16 in some buffers; then the same with those buffers stored in bf16.
    pub fn halved(mut self, halves: &[BufferId]) -> (Bench, Bench) {
        let mut stored = self.plan.clone();
        for &buffer in halves {
            for x in &mut self.data[buffer] {
                *x = bf16::from_f32(*x).to_f32();
            }
            stored.buffers[buffer].element = Element::Bf16;
        }
        let data = self.data.clone();
        (self, Bench { plan: stored, data })
    }

    /// As `after`, on 1, 2 and 5 threads, which must agree to the bit.
    pub fn after_any(&self, kernel: &impl Run) -> Vec<Vec<f32>> {
        let run = |threads| self.after(threads, |memory| kernel.run(memory, &launch()));
        let alone = run(1);
        for threads in [2, 5] {
            assert!(
                same_bits(&alone, &run(threads)),
                "{threads} threads give other bits"
            );
        }
        alone
    }

    /// What a row program should leave in the buffers.
    pub fn rows(&self, rows: &Rows) -> Vec<Vec<f64>> {
        let mut out: Vec<Vec<f64>> = wide(&self.data);
        let row: usize = rows.row.iter().product();
        let dims: Vec<usize> = rows.grid.iter().chain(&rows.row).copied().collect();
        for point in 0..rows.grid.iter().product() {
            let elements = point * row..(point + 1) * row;
            let indices: Vec<Vec<usize>> = elements.map(|i| unravel(i, &dims)).collect();
            let values = self.evaluate(&rows.operands, &rows.code, &indices);
            for store in &rows.stores {
                for (index, value) in indices.iter().zip(&values[store.value]) {
                    out[store.buffer][at(&store.access, index)] = *value;
                }
            }
        }
        out
    }

    /// What a fold should leave in the buffers.
    pub fn fold(&self, fold: &Fold) -> Vec<Vec<f64>> {
        let mut out: Vec<Vec<f64>> = wide(&self.data);
        let reduced: usize = fold.reduced.iter().product();
        for kept in 0..fold.kept.iter().product() {
            let kept = unravel(kept, &fold.kept);
            let indices: Vec<Vec<usize>> = (0..reduced)
                .map(|i| [unravel(i, &fold.reduced), kept.clone()].concat())
                .collect();
            let values = self.evaluate(&fold.operands, &fold.code, &indices);
            for result in &fold.results {
                let values = values[result.value].iter().copied();
                let out = &mut out[result.buffer][at(&result.access, &kept)];
                *out = match (result.reduction, result.accumulate) {
                    (Reduction::Sum, false) => values.sum(),
                    (Reduction::Sum, true) => *out + values.sum::<f64>(),
                    (Reduction::Max, false) => values.fold(f64::NEG_INFINITY, f64::max),
                    (Reduction::Max, true) => values.fold(*out, f64::max),
                };
            }
        }
        out
    }

    /// All values of a program over the elements of one row: `[value][element]`.
    fn evaluate(&self, operands: &[Operand], code: &[Instr], row: &[Vec<usize>]) -> Vec<Vec<f64>> {
        let mut values: Vec<Vec<f64>> = vec![];
        for operand in operands {
            values.push(row.iter().map(|index| self.read(operand, index)).collect());
        }
        for instr in code {
            let value = apply(instr, &values, row.len());
            values.push(value);
        }
        values
    }

    fn read(&self, operand: &Operand, index: &[usize]) -> f64 {
        match operand {
            Operand::Memory(buffer, access) => self.data[*buffer][at(access, index)] as f64,
            Operand::Draw(stream, access) => {
                let stream = &self.plan.streams[*stream];
                let key = launch().key.with(&stream.purpose);
                let first = launch().first_sample * stream.per_sample as u64;
                key.uniform_f32(first + at(access, index) as u64) as f64
            }
        }
    }
}

fn apply(instr: &Instr, values: &[Vec<f64>], n: usize) -> Vec<f64> {
    let arg = |k: usize| &values[instr.args[k]];
    let one = |f: &dyn Fn(f64) -> f64| arg(0).iter().map(|&a| f(a)).collect();
    let two =
        |f: &dyn Fn(f64, f64) -> f64| arg(0).iter().zip(arg(1)).map(|(&a, &b)| f(a, b)).collect();
    match instr.op {
        RowOp::Constant(c) => vec![c as f64; n],
        RowOp::Add => two(&|a, b| a + b),
        RowOp::Mul => two(&|a, b| a * b),
        RowOp::Mod => two(&|a, b| a % b),
        RowOp::Less => two(&|a, b| (a < b) as u8 as f64),
        RowOp::Recip => one(&|a| 1.0 / a),
        RowOp::Sqrt => one(&f64::sqrt),
        RowOp::Exp2 => one(&f64::exp2),
        RowOp::Log2 => one(&f64::log2),
        RowOp::Sin => one(&f64::sin),
        RowOp::Abs => one(&f64::abs),
        RowOp::Erf => one(&libm::erf),
        RowOp::Bf16 => one(&|a| bf16::from_f64(a).to_f64()),
        RowOp::RowSum => vec![arg(0).iter().sum(); n],
        RowOp::RowMax => vec![arg(0).iter().copied().fold(f64::NEG_INFINITY, f64::max); n],
    }
}

pub fn at(access: &Access, index: &[usize]) -> usize {
    let steps = access.strides.iter().zip(index);
    access.offset + steps.map(|(s, i)| s * i).sum::<usize>()
}

pub fn unravel(mut i: usize, dims: &[usize]) -> Vec<usize> {
    let mut index = vec![0; dims.len()];
    for (axis, dim) in dims.iter().enumerate().rev() {
        index[axis] = i % dim;
        i /= dim;
    }
    index
}

/// Row-major over some axes in the given order of nesting; the axes that are left out broadcast.
pub fn dense(dims: &[usize], order: &[usize]) -> Access {
    let mut strides = vec![0; dims.len()];
    let mut stride = 1;
    for &axis in order.iter().rev() {
        strides[axis] = stride;
        stride *= dims[axis];
    }
    Access { offset: 0, strides }
}

/// One more than the largest index an access reaches.
pub fn reach(access: &Access, dims: &[usize]) -> usize {
    let last: Vec<usize> = dims.iter().map(|d| d - 1).collect();
    at(access, &last) + 1
}

pub fn instr(op: RowOp, args: &[ValueId]) -> Instr {
    Instr {
        op,
        args: args.to_vec(),
    }
}

fn wide(data: &[Vec<f32>]) -> Vec<Vec<f64>> {
    (data.iter())
        .map(|d| d.iter().map(|&v| v as f64).collect())
        .collect()
}

pub fn same_bits(a: &[Vec<f32>], b: &[Vec<f32>]) -> bool {
    let bits =
        |data: &[Vec<f32>]| -> Vec<u32> { data.iter().flatten().map(|v| v.to_bits()).collect() };
    bits(a) == bits(b)
}

/// Every buffer within `tolerance`, relative to the value or absolute below 1.
pub fn assert_close(got: &[Vec<f32>], expected: &[Vec<f64>], tolerance: f64, what: &str) {
    for (b, (got, expected)) in got.iter().zip(expected).enumerate() {
        for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
            let error = (got as f64 - expected).abs() / expected.abs().max(1.0);
            assert!(
                error <= tolerance,
                "buffer {b}, element {i}: {got} for {expected}, error {error:.2e}\n{what}"
            );
        }
    }
}

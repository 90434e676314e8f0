//! Gradients of attention: weights are computed anew from the log-sum-exp of their rows. One kernel for queries and scores, one
//! for keys and values; a learning bias gets the sum of the gradients of its scores by a fold.

use super::{
    Argument, Emission,
    attention::{Heads, ROWS, THREADS, TILE, division},
    body::{Port, Read},
    fold::Outcome,
    source::{Draft, indented},
};
use crate::plan::{
    Access, Element, Work,
    kernel::{AttentionBackward, Reduction},
};

/// Multiprocessors of a large GPU.
const MULTIPROCESSORS: usize = 132;
/// Blocks that it has at a time, of the kernels that use no tensor cores.
const TOGETHER: usize = 8;
/// Blocks that each of them gets at least, one behind the other, so that none is left with much when the others are done.
const TURNS: usize = 4;

/// The units, dealt out to tasks: a task has one index of the axes along which a learning bias varies, and a range of the
/// indices of the others. The gradients of its scores add up, in order, to one matrix.
pub struct Tasks {
    kept: Vec<usize>,
    summed: Vec<usize>,
    chunks: usize,
    pub count: usize,
    turns: usize,
}

impl Tasks {
    /// A unit takes `blocks` blocks, of which `together` are on a multiprocessor at a time.
    fn new(backward: &AttentionBackward, blocks: usize, together: usize) -> Tasks {
        let batch = &backward.forward.batch;
        let axes = 0..batch.len();
        let gradients = &backward.bias_gradients;
        let varies = |axis: &usize| {
            let mut accesses = gradients.iter().map(|(_, (_, access))| access);
            gradients.is_empty() || accesses.any(|access| access.strides[*axis] != 0)
        };
        let (kept, summed): (Vec<usize>, Vec<usize>) = axes.partition(varies);
        let size = |axes: &[usize]| axes.iter().map(|&axis| batch[axis]).product::<usize>();
        let turns = size(&summed);
        let wanted = MULTIPROCESSORS * together.max(TURNS);
        let chunks = wanted
            .div_ceil((size(&kept) * blocks).max(1))
            .min(turns)
            .max(1);
        Tasks {
            count: size(&kept) * chunks,
            kept,
            summed,
            chunks,
            turns,
        }
    }

    /// What both kinds of kernels do with a task: `call` for each of its units, in order, between what comes before and behind.
    pub fn body(&self, heads: &Heads, blocks: usize, [before, call, behind]: [&str; 3]) -> String {
        let Tasks { chunks, turns, .. } = self;
        let place = match blocks {
            1 => "const unsigned task = blockIdx.x, block = 0;".into(),
            n => format!("const unsigned task = blockIdx.x / {n}, block = blockIdx.x % {n};"),
        };
        format!(
            "{{\n    {place}\n    const unsigned chunk = task % {chunks};\n    \
             const unsigned from = chunk * {turns} / {chunks}, to = (chunk + 1) * {turns} / {chunks};\n{}    \
             for (unsigned turn = from; turn < to; turn++) {{\n        \
             const unsigned unit = kept_unit(task / {chunks}) + summed_unit(turn);\n{}        {call}\n    }}\n{}}}\n",
            indented(1, before),
            indented(1, &heads.unit()),
            indented(1, behind),
        )
    }
}

impl Emission<'_> {
    pub fn attention_backward(&mut self, backward: &AttentionBackward, work: Work) {
        let forward = &backward.forward;
        let units: usize = forward.batch.iter().product();
        let [queries, keys] = [forward.queries, forward.keys];
        if units * queries * keys == 0 {
            return;
        }
        let half = Work {
            flops: work.flops / 2,
            halves: work.halves / 2,
            pointwise: work.pointwise / 2,
            bytes: work.bytes / 2,
        };
        let at_once = self.fits_tensor_cores(backward);
        let (blocks, together) = match at_once {
            true => (1, self.together(backward)),
            false => (queries.div_ceil(ROWS), TOGETHER),
        };
        let tasks = Tasks::new(backward, blocks, together);
        let totals = (!backward.bias_gradients.is_empty())
            .then(|| self.scratch(tasks.count * queries * keys * Element::F32.bytes()));
        if at_once {
            self.gradients_at_once(backward, &tasks, totals, work);
        } else {
            self.gradients_of_queries(backward, &tasks, totals, half);
            self.gradients_of_keys(backward, half);
        }
        if let Some(totals) = totals {
            self.gradients_of_biases(backward, &tasks, totals);
        }
    }

    /// Constants and places, `threads` and all that a form of the kernels divides its work by.
    pub fn heads_of(
        &self,
        backward: &AttentionBackward,
        division: &str,
        tasks: Option<(&Tasks, bool)>,
    ) -> Heads {
        let forward = &backward.forward;
        let mut heads = Heads::new(self, forward);
        heads.text += division;
        heads.tensor(self, "Out", &forward.out);
        heads.tensor(self, "Log_sum", &forward.log_sum);
        heads.tensor(self, "Slope", &backward.out_gradient);
        heads.scores(self, forward);
        if let Some((tasks, totals)) = tasks {
            heads.text += &format!("constexpr bool TOTALS = {totals};\n");
            heads.numbering("kept_unit", &tasks.kept);
            heads.numbering("summed_unit", &tasks.summed);
        }
        heads
    }

    fn gradients_of_queries(
        &mut self,
        backward: &AttentionBackward,
        tasks: &Tasks,
        totals: Option<Argument>,
        work: Work,
    ) {
        let forward = &backward.forward;
        let blocks = forward.queries.div_ceil(ROWS);
        let widest = forward.width.max(forward.value_width);
        let mut heads = self.heads_of(backward, &division(widest), Some((tasks, totals.is_some())));
        let taken = self.taken(&mut heads, backward, &["Q"], totals);
        let call = format!(
            "differentiate_queries({UNIT}, {}, {}, turn == from, block);",
            taken.places,
            total(totals)
        );
        let text = [
            &heads.text,
            "\n",
            include_str!("../kernels/attention_score.cu"),
            "\n",
            include_str!("../kernels/attention_queries.cu"),
            "\n",
            &heads.head(&taken.parameters, [THREADS, 1]),
            &tasks.body(&heads, blocks, ["", &call, ""]),
        ]
        .concat();
        let draft = Draft {
            stem: "attention_queries",
            note: format!("gradients of queries and scores, {}", shape(backward)),
            parts: heads.parts.clone(),
            text,
            grid: [(tasks.count * blocks) as u32, 1, 1],
            block: THREADS as u32,
            shared: shared(backward, 0),
        };
        let arguments = heads.arguments(forward, &taken.arguments);
        self.launch(draft, arguments, work);
    }

    fn gradients_of_keys(&mut self, backward: &AttentionBackward, work: Work) {
        let forward = &backward.forward;
        let units: usize = forward.batch.iter().product();
        let blocks = forward.keys.div_ceil(ROWS);
        let widest = forward.width.max(forward.value_width);
        let mut heads = self.heads_of(backward, &division(widest), None);
        let taken = self.taken(&mut heads, backward, &["K", "V"], None);
        let text = format!(
            "{}\n{}\n{}\n{}{{\n    const unsigned unit = blockIdx.x / {blocks}, block = blockIdx.x % {blocks};\n{}    \
             differentiate_keys({UNIT},\n        {}, block);\n}}\n",
            heads.text,
            include_str!("../kernels/attention_score.cu"),
            include_str!("../kernels/attention_keys.cu"),
            heads.head(&taken.parameters, [THREADS, 1]),
            heads.unit(),
            taken.places,
        );
        let draft = Draft {
            stem: "attention_keys",
            note: format!("gradients of keys and values, {}", shape(backward)),
            parts: heads.parts.clone(),
            text,
            grid: [(units * blocks) as u32, 1, 1],
            block: THREADS as u32,
            shared: shared(backward, TILE),
        };
        let arguments = heads.arguments(forward, &taken.arguments);
        self.launch(draft, arguments, work);
    }

    /// Sums the totals of tasks over all axes along which a bias is the same.
    fn gradients_of_biases(
        &mut self,
        backward: &AttentionBackward,
        tasks: &Tasks,
        totals: Argument,
    ) {
        let forward = &backward.forward;
        let kept: Vec<usize> = tasks.kept.iter().map(|&axis| forward.batch[axis]).collect();
        let inner = [tasks.chunks, forward.queries, forward.keys];
        let dims = [&kept[..], &inner].concat();
        let plain = Access::plain(&dims);
        for (_, (buffer, access)) in &backward.bias_gradients {
            let (outer, last) = access.strides.split_at(forward.batch.len());
            let mut strides: Vec<usize> = tasks.kept.iter().map(|&axis| outer[axis]).collect();
            strides.push(0);
            strides.extend(last);
            let (over, along): (Vec<usize>, Vec<usize>) =
                (0..dims.len()).partition(|&axis| strides[axis] == 0);
            let pick = |of: &[usize], axes: &[usize]| -> Vec<usize> {
                axes.iter().map(|&axis| of[axis]).collect()
            };
            let read = Read::Memory(Port {
                argument: totals,
                element: Element::F32,
                access: Access {
                    offset: 0,
                    strides: pick(&plain.strides, &[&over[..], &along].concat()),
                },
            });
            let to = Access {
                offset: access.offset,
                strides: pick(&strides, &along),
            };
            let sum = Outcome {
                value: 0,
                reduction: Reduction::Sum,
                port: self.port(*buffer, &to),
                accumulate: false,
            };
            let work = Work {
                bytes: (dims.iter().product::<usize>() * Element::F32.bytes()) as u64,
                ..Work::default()
            };
            let nest = [pick(&dims, &over), pick(&dims, &along)];
            self.reduce([&nest[0], &nest[1]], &[read], &[], &[sum], work);
        }
    }

    /// What a kernel takes that computes the gradients of these of queries, keys and values: `Q`, `K`, `V`.
    pub fn taken(
        &self,
        heads: &mut Heads,
        backward: &AttentionBackward,
        of: &[&str],
        totals: Option<Argument>,
    ) -> Taken {
        let forward = &backward.forward;
        let buffers = [
            forward.q.0,
            forward.k.0,
            forward.v.0,
            forward.out.0,
            forward.log_sum.0,
            backward.out_gradient.0,
        ];
        let mut arguments = buffers.map(Argument::Buffer).to_vec();
        let mut parameters = PARAMETERS.map(String::from).to_vec();
        let mut places = Vec::new();
        let gradients = [
            ("Q", &backward.q_gradient),
            ("K", &backward.k_gradient),
            ("V", &backward.v_gradient),
        ];
        for (name, gradient) in gradients.into_iter().filter(|(name, _)| of.contains(name)) {
            let kind = format!("{name}_gradient");
            let pointer = kind.to_lowercase();
            heads.tensor(self, &kind, gradient);
            arguments.push(Argument::Buffer(gradient.0));
            parameters.push(format!("{kind}* __restrict__ {pointer}"));
            places.push(format!("{pointer} + {kind}_at(unit)"));
        }
        if let Some(totals) = totals {
            arguments.push(totals);
            parameters.push("float* __restrict__ totals".into());
        }
        Taken {
            parameters,
            arguments,
            places: places.join(", "),
        }
    }
}

/// What a kernel takes of its own, beside biases and draws.
pub struct Taken {
    pub parameters: Vec<String>,
    pub arguments: Vec<Argument>,
    /// Where the gradients of a unit go, for a call.
    pub places: String,
}

/// What all kernels read of a unit, as parameters and for a call.
const PARAMETERS: [&str; 6] = [
    "const Q* __restrict__ q",
    "const K* __restrict__ k",
    "const V* __restrict__ v",
    "const Out* __restrict__ out",
    "const Log_sum* __restrict__ log_sum",
    "const Slope* __restrict__ slope",
];
pub const UNIT: &str = "q + Q_at(unit), k + K_at(unit), v + V_at(unit), out + Out_at(unit), log_sum + Log_sum_at(unit), \
                    slope + Slope_at(unit), biases, dropout";

pub fn shape(backward: &AttentionBackward) -> String {
    let forward = &backward.forward;
    format!(
        "{} units of {} queries and {} keys, {} wide",
        forward.batch.iter().product::<usize>(),
        forward.queries,
        forward.keys,
        forward.width
    )
}

/// Where a task's totals are.
pub fn total(totals: Option<Argument>) -> &'static str {
    match totals {
        Some(_) => "totals + task * QUERIES * KEYS",
        None => "nullptr",
    }
}

/// Bytes of shared memory: rows and a tile of both widths, and so many numbers more.
fn shared(backward: &AttentionBackward, more: usize) -> u32 {
    let forward = &backward.forward;
    let widths = forward.width + 1 + forward.value_width + 1;
    (((ROWS + TILE) * widths + more) * Element::F32.bytes()) as u32
}

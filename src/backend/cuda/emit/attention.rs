//! Attention: one kernel, its scores never in memory.

use super::{
    Argument, Emission,
    contraction::offset_function,
    nest::{Nest, coordinates, place},
    source::{Draft, ENTRY, Part, c_type, literal},
};
use crate::plan::{
    Access, BufferId, Work,
    kernel::{Attention, Dropout},
};

/// Queries of a block and threads that have them; lanes of a warp are so many keys.
pub const ROWS: usize = 16;
pub const THREADS: usize = 128;
pub const TILE: usize = 32;

impl Emission<'_> {
    pub fn attention(&mut self, attention: &Attention, work: Work) {
        let units: usize = attention.batch.iter().product();
        let blocks = attention.queries.div_ceil(ROWS);
        if units * blocks == 0 || self.attention_on_tensor_cores(attention, work) {
            return;
        }
        let mut heads = Heads::new(self, attention);
        heads.text += &division(attention.value_width);
        let shared = ROWS * attention.width + TILE * (attention.width + 1 + attention.value_width);
        let form = Form {
            parts: &[include_str!("../kernels/attention.cu")],
            blocks,
            threads: THREADS,
            together: 1,
            shared: shared * 4,
        };
        self.attend(attention, heads, &form, work);
    }

    /// Launches a form of the forward kernel.
    pub fn attend(&mut self, attention: &Attention, mut heads: Heads, form: &Form, work: Work) {
        let units: usize = attention.batch.iter().product();
        heads.tensor(self, "Out", &attention.out);
        heads.tensor(self, "Log_sum", &attention.log_sum);
        heads.scores(self, attention);
        let parameters = [
            "const Q* __restrict__ q",
            "const K* __restrict__ k",
            "const V* __restrict__ v",
            "Out* __restrict__ out",
            "Log_sum* __restrict__ log_sum",
        ];
        let blocks = form.blocks;
        let text = format!(
            "{}\n{}\n{}{{\n    const unsigned unit = blockIdx.x / {blocks}, block = blockIdx.x % {blocks};\n\
             {}    attend(q + Q_at(unit), k + K_at(unit), v + V_at(unit), biases, dropout, out + Out_at(unit),\n        \
             log_sum + Log_sum_at(unit), block);\n}}\n",
            heads.text,
            form.parts.join("\n"),
            heads.head(&parameters, [form.threads, form.together]),
            heads.unit(),
        );
        let draft = Draft {
            stem: "attention",
            note: format!(
                "{units} units of {} queries and {} keys, {} wide",
                attention.queries, attention.keys, attention.width
            ),
            parts: heads.parts.clone(),
            text,
            grid: [(units * blocks) as u32, 1, 1],
            block: form.threads as u32,
            shared: form.shared as u32,
        };
        let own = [
            attention.q.0,
            attention.k.0,
            attention.v.0,
            attention.out.0,
            attention.log_sum.0,
        ];
        let arguments = heads.arguments(attention, &own.map(Argument::Buffer));
        self.launch(draft, arguments, work);
    }
}

/// A way to compute it.
pub struct Form {
    /// Texts that define `attend`.
    pub parts: &'static [&'static str],
    /// Of each unit.
    pub blocks: usize,
    pub threads: usize,
    /// Blocks that the registers of a multiprocessor must suffice for.
    pub together: usize,
    /// Bytes.
    pub shared: usize,
}

/// How a block divides its work, where each lane has numbers of a result of some width.
pub fn division(widest: usize) -> String {
    let (each, numbers) = (ROWS / (THREADS / 32), widest.div_ceil(32));
    format!(
        "constexpr unsigned THREADS = {THREADS}, ROWS = {ROWS}, EACH = {each}, TILE = {TILE}, NUMBERS = {numbers};\n"
    )
}

/// What the kernels of attention are told of its shapes: constants, and functions from the index of a unit to the places of
/// its matrices.
pub struct Heads {
    pub text: String,
    pub parts: Vec<Part>,
    batch: Vec<usize>,
    biases: usize,
    dropout: bool,
}

impl Heads {
    pub fn new(emission: &Emission, attention: &Attention) -> Heads {
        let Attention {
            queries,
            keys,
            width,
            value_width,
            scale,
            ..
        } = *attention;
        let mut heads = Heads {
            text: format!(
                "constexpr unsigned QUERIES = {queries}, KEYS = {keys}, WIDTH = {width}, VALUE_WIDTH = {value_width};\n\
                 constexpr float SCALE = {};\nconstexpr bool DROPS = {};\n",
                literal(scale),
                attention.dropout.is_some(),
            ),
            parts: vec![Part::Element, Part::Reduce],
            batch: attention.batch.clone(),
            biases: attention.biases.len(),
            dropout: attention.dropout.is_some(),
        };
        heads.tensor(emission, "Q", &attention.q);
        heads.tensor(emission, "K", &attention.k);
        heads.tensor(emission, "V", &attention.v);
        heads
    }

    /// A tensor with axes behind those of the batch: its rows, and its columns if it has any.
    pub fn tensor(
        &mut self,
        emission: &Emission,
        name: &str,
        (buffer, access): &(BufferId, Access),
    ) {
        let element = c_type(emission.element(*buffer));
        let upper = name.to_uppercase();
        let (outer, inner) = access.strides.split_at(self.batch.len());
        self.text += &format!("typedef {element} {name};\n");
        self.text += &format!("constexpr unsigned {upper}_ROW = {}", inner[0]);
        if let Some(column) = inner.get(1) {
            self.text += &format!(", {upper}_COLUMN = {column}");
        }
        self.text += ";\n";
        let outer = Access {
            offset: access.offset,
            strides: outer.to_vec(),
        };
        let repeated = Nest::merged(&[&self.batch], &[&outer]);
        self.text += &offset_function(name, &repeated, 0);
    }

    /// What is added to scores, and what becomes of weights.
    pub fn scores(&mut self, emission: &Emission, attention: &Attention) {
        let mut fields = String::new();
        let mut terms = Vec::new();
        for (at, bias) in attention.biases.iter().enumerate() {
            self.tensor(emission, &format!("Bias{at}"), bias);
            fields += &format!("    const Bias{at}* bias{at};\n");
            terms.push(format!(
                "load(bias{at} + query * BIAS{at}_ROW + key * BIAS{at}_COLUMN)"
            ));
        }
        let sum = match terms.is_empty() {
            true => "0.0f".into(),
            false => terms.join(" + "),
        };
        self.text += &format!(
            "\nstruct Biases {{\n{fields}    __device__ __forceinline__ float at(unsigned query, unsigned key) const {{ return {sum}; }}\n}};\n\n"
        );
        let dropout = match &attention.dropout {
            None => "struct Dropout {\n    __device__ __forceinline__ float factor(unsigned, unsigned) { return 1.0f; }\n};\n".into(),
            Some(dropout) => self.dropout(emission, dropout),
        };
        self.text += &dropout;
    }

    fn dropout(&mut self, emission: &Emission, dropout: &Dropout) -> String {
        self.parts.push(Part::Draw);
        let (outer, inner) = dropout.access.strides.split_at(self.batch.len());
        let outer = Access {
            offset: dropout.access.offset,
            strides: outer.to_vec(),
        };
        let repeated = Nest::merged(&[&self.batch], &[&outer]);
        let threshold = (dropout.rate * (1 << 24) as f32).ceil() as u32;
        let kept = literal(1.0 / (1.0 - dropout.rate));
        let per_sample = emission.plan.streams[dropout.stream].per_sample;
        let steps =
            [("query", inner[0]), ("key", inner[1])].map(|(name, step)| (name.to_string(), step));
        format!(
            "{}\nstruct Dropout {{\n    unsigned long long start;\n    Stream stream;\n    \
             __device__ __forceinline__ Dropout(unsigned long long first, unsigned long long key, unsigned unit)\n        \
             : start(first * {per_sample} + draw_at(unit)), stream(key, start) {{}}\n    \
             __device__ __forceinline__ float factor(unsigned query, unsigned key)\n    {{\n        \
             return stream.bits(start + ({})) >= {threshold} ? {kept} : 0.0f;\n    }}\n}};\n",
            offset_function("draw", &repeated, 0),
            place(0, &steps),
        )
    }

    /// The entry point up to its body: its own parameters, then biases and draws. For so many threads, and so many blocks
    /// together on a multiprocessor.
    pub fn head(&self, own: &[impl ToString], [threads, together]: [usize; 2]) -> String {
        let mut parameters: Vec<String> = own.iter().map(|p| p.to_string()).collect();
        parameters
            .extend((0..self.biases).map(|at| format!("const Bias{at}* __restrict__ bias{at}")));
        if self.dropout {
            parameters.push("const unsigned long long* __restrict__ first".into());
            parameters.push("const unsigned long long* __restrict__ key".into());
        }
        let bounds = match together {
            1 => threads.to_string(),
            _ => format!("{threads}, {together}"),
        };
        format!(
            "extern \"C\" __global__ void __launch_bounds__({bounds}) {ENTRY}(\n    {})\n",
            parameters.join(",\n    ")
        )
    }

    pub fn arguments(&self, attention: &Attention, own: &[Argument]) -> Vec<Argument> {
        let mut arguments = own.to_vec();
        arguments.extend(
            attention
                .biases
                .iter()
                .map(|(buffer, _)| Argument::Buffer(*buffer)),
        );
        if let Some(dropout) = &attention.dropout {
            arguments.extend([Argument::Draws, Argument::Key(dropout.stream)]);
        }
        arguments
    }

    /// Biases and dropout of a unit.
    pub fn unit(&self) -> String {
        let biases: Vec<String> = (0..self.biases)
            .map(|at| format!("bias{at} + Bias{at}_at(unit)"))
            .collect();
        let dropout = if self.dropout {
            "(*first, *key, unit)"
        } else {
            ""
        };
        format!(
            "    const Biases biases = {{{}}};\n    Dropout dropout{dropout};\n",
            biases.join(", ")
        )
    }

    /// A function from a task and its turn to a unit: `axes` in order, of the dims of the batch, the last ones within a task.
    pub fn numbering(&mut self, name: &str, axes: &[usize]) {
        let dims: Vec<usize> = axes.iter().map(|&axis| self.batch[axis]).collect();
        let stride = |axis: usize| self.batch[axis + 1..].iter().product::<usize>();
        let terms: Vec<(String, usize)> = (axes.iter().enumerate())
            .map(|(at, &axis)| (format!("i{at}"), stride(axis)))
            .collect();
        let inside = coordinates("i", "index", &dims, 1);
        self.text += &format!(
            "__device__ __forceinline__ unsigned {name}(unsigned index) {{ {inside} return {}; }}\n",
            place(0, &terms)
        );
    }
}

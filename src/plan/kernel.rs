//! Kernels: what each computes, over which loop nest, from which buffers.

use super::{BufferId, StreamId};
pub use crate::ir::ops::Reduction;
use crate::ir::program::{Instr, ValueId};

#[derive(Debug, Clone, PartialEq)]
pub enum Kernel {
    Rows(Rows),
    Fold(Fold),
    Gemm(Gemm),
    Attention(Attention),
    AttentionBackward(AttentionBackward),
    Take(Take),
    Scatter(Scatter),
    SumSquares(SumSquares),
    AdamW(AdamW),
}

/// How a loop nest walks a buffer: element `i` of the nest is at `offset + Σ i[axis]·strides[axis]`. A stride of 0 broadcasts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Access {
    pub offset: usize,
    /// One per axis of the loop nest, outermost first.
    pub strides: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    Memory(BufferId, Access),
    /// Uniform draws of a virtual tensor; the access gives the position in it, the batch's first sample at 0.
    Draw(StreamId, Access),
}

/// Pointwise code with reductions over the row. Every grid point is independent of every other.
///
/// The nest is `grid` (outer axes) then `row` (the trailing axes reductions run over; merged to one axis wherever every
/// access allows). An output may share its buffer with an operand of the same access.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    pub grid: Vec<usize>,
    /// Product at most [`Rows::MAX_ROW`] where the code reduces.
    pub row: Vec<usize>,
    pub operands: Vec<Operand>,
    pub code: Vec<Instr>,
    pub stores: Vec<Store>,
}

impl Rows {
    /// Longest row that a program with reductions may have: its live values stay in the cache.
    pub const MAX_ROW: usize = 16_384;
}

#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    pub value: ValueId,
    pub buffer: BufferId,
    /// Over grid and row axes; a value with one number per row has stride 0 along the row axes and is stored once.
    pub access: Access,
}

/// Pointwise code, then a reduction over the outer axes: column sums, bias gradients, whole-tensor sums.
///
/// The nest is `reduced` axes then `kept` axes (the lowering permutes); for each kept index the code's results are summed (or
/// maximised) over all reduced indices in an order that depends on the shape alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Fold {
    /// Product 1 is allowed: then it is pointwise.
    pub reduced: Vec<usize>,
    /// May be empty: a scalar result.
    pub kept: Vec<usize>,
    pub operands: Vec<Operand>,
    /// No reductions in it.
    pub code: Vec<Instr>,
    pub results: Vec<FoldResult>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FoldResult {
    pub value: ValueId,
    pub reduction: Reduction,
    pub buffer: BufferId,
    /// Over the kept axes.
    pub access: Access,
    /// Add to what the buffer holds.
    pub accumulate: bool,
}

/// `c[b, m, n] (+)= Σ_k a[b, m, k] · b[b, k, n]` with any strides, then an epilogue on each finished tile.
#[derive(Debug, Clone, PartialEq)]
pub struct Gemm {
    /// Axes over which the product repeats (may be empty); every access below starts with them.
    pub batch: Vec<usize>,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Strides: batch axes, m, k.
    pub a: (BufferId, Access),
    /// Strides: batch axes, k, n.
    pub b: (BufferId, Access),
    /// Whether the elements of `a` and of `b` are rounded to bf16 as they are read.
    pub rounds: [bool; 2],
    /// Strides: batch axes, m, n. In f32.
    pub c: (BufferId, Access),
    /// Add to what `c` holds.
    pub accumulate: bool,
    /// Runs on each block of rows of `c` while it is in the cache: grid `[m]`, row `[n]` (or grid `[m, n]`-like prefixes), only
    /// where `batch` is empty. It reads `c` as an ordinary operand and may overwrite it.
    pub epilogue: Option<Rows>,
}

/// `out = dropout(softmax(scale·q·kᵀ + Σ biases)) · v` for every index of `batch`; also the row-wise log-sum-exp for the backward pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Image, window, head axes (1 to 4), outermost first; every access below starts with them.
    pub batch: Vec<usize>,
    pub queries: usize,
    pub keys: usize,
    /// Width of q and k.
    pub width: usize,
    /// Width of v and out.
    pub value_width: usize,
    pub scale: f32,
    /// Then: queries, width.
    pub q: (BufferId, Access),
    /// Then: keys, width.
    pub k: (BufferId, Access),
    /// Then: keys, value width.
    pub v: (BufferId, Access),
    /// Then: queries, keys. Added to the scores.
    pub biases: Vec<(BufferId, Access)>,
    pub dropout: Option<Dropout>,
    /// Then: queries, value width.
    pub out: (BufferId, Access),
    /// Then: queries. Natural log of Σ exp(score).
    pub log_sum: (BufferId, Access),
}

/// A weight is kept, and divided by 1 - rate, where its draw is at least `rate`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dropout {
    pub stream: StreamId,
    /// Over batch axes, queries, keys.
    pub access: Access,
    pub rate: f32,
}

/// The gradients of [`Attention`] with respect to q, k, v and its biases.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionBackward {
    /// The forward kernel whose gradient this is: its `out` and `log_sum` are read here.
    pub forward: Attention,
    /// As `forward.out`.
    pub out_gradient: (BufferId, Access),
    /// As `forward.q`, `forward.k`, `forward.v`: written whole.
    pub q_gradient: (BufferId, Access),
    pub k_gradient: (BufferId, Access),
    pub v_gradient: (BufferId, Access),
    /// For each bias that learns: its index in `forward.biases`, and where its gradient goes. Batch axes the access has stride 0
    /// along are summed over, in an order that depends on the shape alone. Written, not added to.
    pub bias_gradients: Vec<(usize, (BufferId, Access))>,
}

/// `out[i, ..] = table[index[i], ..]`
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    pub table: BufferId,
    /// Whole numbers, each below `rows`.
    pub index: BufferId,
    pub rows: usize,
    pub count: usize,
    pub width: usize,
    pub out: BufferId,
}

/// `out[index[i], ..] += rows_in[i, ..]` in order of `i`, over zeros or (accumulating) what `out` holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Scatter {
    pub source: BufferId,
    pub index: BufferId,
    pub rows: usize,
    pub count: usize,
    pub width: usize,
    pub out: BufferId,
    pub accumulate: bool,
}

/// `out[j] = Σ x²` over the `j`-th buffer, for all of them in one sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct SumSquares {
    pub sources: Vec<BufferId>,
    /// One scalar buffer per source.
    pub outs: Vec<BufferId>,
}

/// One AdamW step over all weights in one sweep (Loshchilov & Hutter 2019, as PyTorch computes it), gradients zeroed behind it:
///
/// `g = gradient·clip; m += (g − m)(1 − β1); v = β2 v + (1 − β2) g²; w = w(1 − lr·decay) − lr/c1 · m / (√v/√c2 + eps)`
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    pub segments: Vec<Segment>,
    /// In f64: 1 - 0.999 of the rounded 0.999 would be off by 1e-5 of itself.
    pub betas: [f64; 2],
    pub eps: f32,
    /// Scalar buffers: the rate, 1 − β1ᵗ, 1 − β2ᵗ, and the factor that clips the gradient.
    pub lr: BufferId,
    pub correction1: BufferId,
    pub correction2: BufferId,
    pub clip: BufferId,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    pub weight: BufferId,
    pub gradient: BufferId,
    pub first_moment: BufferId,
    pub second_moment: BufferId,
    pub decay: f32,
}

impl Access {
    /// Row-major over `dims`.
    pub fn plain(dims: &[usize]) -> Access {
        let mut strides = vec![1; dims.len()];
        for axis in (1..dims.len()).rev() {
            strides[axis - 1] = strides[axis] * dims[axis];
        }
        Access { offset: 0, strides }
    }

    /// Walks the elements of a row-major buffer of `dims` in order.
    pub fn is_plain(&self, dims: &[usize]) -> bool {
        let plain = Access::plain(dims);
        let same = |axis: usize| dims[axis] == 1 || self.strides[axis] == plain.strides[axis];
        self.offset == 0 && (0..dims.len()).all(same)
    }
}

impl Operand {
    pub fn access(&self) -> &Access {
        match self {
            Operand::Memory(_, access) | Operand::Draw(_, access) => access,
        }
    }

    pub fn buffer(&self) -> Option<BufferId> {
        match self {
            Operand::Memory(buffer, _) => Some(*buffer),
            Operand::Draw(..) => None,
        }
    }
}

impl Kernel {
    /// The word for it in listings and profiles.
    pub fn label(&self) -> &'static str {
        match self {
            Kernel::Rows(_) => "rows",
            Kernel::Fold(_) => "fold",
            Kernel::Gemm(_) => "gemm",
            Kernel::Attention(_) => "attention",
            Kernel::AttentionBackward(_) => "attention'",
            Kernel::Take(_) => "take",
            Kernel::Scatter(_) => "scatter",
            Kernel::SumSquares(_) => "sum_squares",
            Kernel::AdamW(_) => "adamw",
        }
    }

    /// Every buffer it touches: [`Kernel::reads`], then [`Kernel::writes`].
    pub fn buffers(&self) -> Vec<BufferId> {
        [self.reads(), self.writes()].concat()
    }

    pub fn reads(&self) -> Vec<BufferId> {
        match self {
            Kernel::Rows(rows) => rows.reads(),
            Kernel::Fold(fold) => {
                let sums = fold
                    .results
                    .iter()
                    .filter(|r| r.accumulate)
                    .map(|r| r.buffer);
                fold.operands
                    .iter()
                    .filter_map(Operand::buffer)
                    .chain(sums)
                    .collect()
            }
            Kernel::Gemm(gemm) => {
                let sum = gemm.accumulate.then_some(gemm.c.0);
                let epilogue = gemm
                    .epilogue
                    .iter()
                    .flat_map(|rows| rows.reads())
                    .filter(|&b| b != gemm.c.0);
                [gemm.a.0, gemm.b.0]
                    .into_iter()
                    .chain(sum)
                    .chain(epilogue)
                    .collect()
            }
            Kernel::Attention(attention) => attention.reads(),
            Kernel::AttentionBackward(backward) => {
                let forward = &backward.forward;
                let saved = [forward.out.0, forward.log_sum.0, backward.out_gradient.0];
                forward.reads().into_iter().chain(saved).collect()
            }
            Kernel::Take(take) => vec![take.table, take.index],
            Kernel::Scatter(scatter) => {
                let sum = scatter.accumulate.then_some(scatter.out);
                [scatter.source, scatter.index]
                    .into_iter()
                    .chain(sum)
                    .collect()
            }
            Kernel::SumSquares(sweep) => sweep.sources.clone(),
            Kernel::AdamW(sweep) => {
                let scalars = [sweep.lr, sweep.correction1, sweep.correction2, sweep.clip];
                let state = sweep
                    .segments
                    .iter()
                    .flat_map(|s| [s.weight, s.gradient, s.first_moment, s.second_moment]);
                scalars.into_iter().chain(state).collect()
            }
        }
    }

    pub fn writes(&self) -> Vec<BufferId> {
        match self {
            Kernel::Rows(rows) => rows.stores.iter().map(|s| s.buffer).collect(),
            Kernel::Fold(fold) => fold.results.iter().map(|r| r.buffer).collect(),
            Kernel::Gemm(gemm) => {
                let stores = gemm
                    .epilogue
                    .iter()
                    .flat_map(|rows| &rows.stores)
                    .map(|s| s.buffer);
                std::iter::once(gemm.c.0).chain(stores).collect()
            }
            Kernel::Attention(attention) => vec![attention.out.0, attention.log_sum.0],
            Kernel::AttentionBackward(backward) => {
                let biases = backward
                    .bias_gradients
                    .iter()
                    .map(|(_, (buffer, _))| *buffer);
                [
                    backward.q_gradient.0,
                    backward.k_gradient.0,
                    backward.v_gradient.0,
                ]
                .into_iter()
                .chain(biases)
                .collect()
            }
            Kernel::Take(take) => vec![take.out],
            Kernel::Scatter(scatter) => vec![scatter.out],
            Kernel::SumSquares(sweep) => sweep.outs.clone(),
            Kernel::AdamW(sweep) => sweep
                .segments
                .iter()
                .flat_map(|s| [s.weight, s.gradient, s.first_moment, s.second_moment])
                .collect(),
        }
    }
}

impl Rows {
    pub fn reads(&self) -> Vec<BufferId> {
        self.operands.iter().filter_map(Operand::buffer).collect()
    }
}

impl Attention {
    pub fn reads(&self) -> Vec<BufferId> {
        [self.q.0, self.k.0, self.v.0]
            .into_iter()
            .chain(self.biases.iter().map(|(buffer, _)| *buffer))
            .collect()
    }
}

//! The listing of a plan: one line per kernel, for an abstract target (no instruction set, threads or free memory in it).

use super::{
    BufferId, Element, Kernel, Place, Plan, Scheduled,
    kernel::{Access, Fold, Gemm, Operand, Rows},
};
use crate::{
    ir::{
        ops::{is_arange, table_name},
        program::formula_beyond_copy,
    },
    listing::{Arg, Line, Section, render, spans},
};
use rustc_hash::FxHashMap;

/// Canonical text of both programs.
pub fn print(plan: &Plan) -> String {
    let arena = format!(
        "\n# arena: {} bytes for {} images\n",
        plan.arena, plan.batch
    );
    render(&sections(plan)) + &arena
}

/// What is there before a run: inputs and weights. Then the kernels of both programs.
pub fn sections(plan: &Plan) -> [Section; 4] {
    let mut printer = Printer::new(plan);
    let inputs = printer.inputs();
    let weights = printer.weights();
    let (accumulate, apply) = (printer.lines(&plan.accumulate), printer.lines(&plan.apply));
    let section = |heading: String, lines| Section { heading, lines };
    [
        section(format!("{} inputs", inputs.len()), inputs),
        section(format!("{} weights", weights.len()), weights),
        section(
            format!("accumulate: {} kernels", accumulate.len()),
            accumulate,
        ),
        section(format!("apply: {} kernels", apply.len()), apply),
    ]
}

struct Printer<'p> {
    plan: &'p Plan,
    /// How each buffer is shown.
    shown: FxHashMap<BufferId, Shown>,
    /// Lines so far.
    count: usize,
}

enum Shown {
    /// A result of the line that last wrote it.
    Result(usize, usize),
    Words(Arg),
}

impl<'p> Printer<'p> {
    fn new(plan: &'p Plan) -> Self {
        Printer {
            plan,
            shown: FxHashMap::default(),
            count: 0,
        }
    }

    fn inputs(&mut self) -> Vec<Line> {
        let plan = self.plan;
        let mut lines = Vec::new();
        for (name, buffer) in &plan.feeds {
            lines.push(self.leaf(*buffer, name, "input".into()));
        }
        for (buffer, of) in plan.buffers.iter().enumerate() {
            let Place::Constant(values) = &of.place else {
                continue;
            };
            let words = match values[..] {
                [x] => format!("{x}"),
                _ if is_arange(values) => table_name(values),
                _ => {
                    let label = format!("table of {}", of.origin);
                    lines.push(self.leaf(buffer, &table_name(values), label));
                    continue;
                }
            };
            self.shown.insert(buffer, Shown::Words(Arg::Text(words)));
        }
        lines
    }

    fn weights(&mut self) -> Vec<Line> {
        let plan = self.plan;
        let mut lines = Vec::new();
        for weight in &plan.weights {
            let label = if weight.decay {
                "weight"
            } else {
                "weight, no decay"
            };
            let line = self.count;
            lines.push(self.leaf(weight.value, &weight.name, label.into()));
            let Some(state) = &weight.training else {
                continue;
            };
            let parts = [
                (state.gradient, "gradient of "),
                (state.first_moment, "first moment of "),
                (state.second_moment, "second moment of "),
            ];
            for (buffer, before) in parts {
                let (before, after) = (before.into(), String::new());
                let arg = Arg::Line {
                    before,
                    line,
                    after,
                };
                self.shown.insert(buffer, Shown::Words(arg));
            }
        }
        lines
    }

    fn leaf(&mut self, buffer: BufferId, name: &str, label: String) -> Line {
        self.shown.insert(buffer, Shown::Result(self.count, 0));
        self.count += 1;
        Line {
            origin: name.into(),
            shapes: vec![self.plan.buffers[buffer].dims.clone()],
            label,
            ..Line::default()
        }
    }

    fn lines(&mut self, kernels: &[Scheduled]) -> Vec<Line> {
        kernels.iter().map(|kernel| self.line(kernel)).collect()
    }

    fn line(&mut self, scheduled: &Scheduled) -> Line {
        let kernel = &scheduled.kernel;
        // A sweep is one kernel over everything: its hundreds of buffers say nothing.
        let (args, shapes) = match kernel {
            Kernel::SumSquares(sweep) => {
                let count = sweep.sources.len();
                let args = vec![Arg::Text(format!("{count} gradients"))];
                (args, vec![Vec::new(); count])
            }
            Kernel::AdamW(sweep) => {
                let args = vec![Arg::Text(format!("{} weights", sweep.segments.len()))];
                (args, Vec::new())
            }
            _ => {
                let dims = |&buffer: &BufferId| self.plan.buffers[buffer].dims.clone();
                (
                    self.args(kernel),
                    kernel.writes().iter().map(dims).collect(),
                )
            }
        };
        for (result, buffer) in kernel.writes().into_iter().enumerate() {
            self.shown.insert(buffer, Shown::Result(self.count, result));
        }
        self.count += 1;
        let origin: Vec<&str> = match kernel {
            // Of all weights: the part of the update is what stays of the first one's.
            Kernel::SumSquares(_) | Kernel::AdamW(_) => {
                scheduled.origin.split('.').take(2).collect()
            }
            _ => vec![&scheduled.origin],
        };
        Line {
            origin: origin.join("."),
            shapes,
            label: label(kernel) + &self.stored(kernel),
            args,
            code: code(kernel),
            kept: Vec::new(),
        }
    }

    /// Where not in f32.
    fn stored(&self, kernel: &Kernel) -> String {
        let of = |buffer: BufferId| &self.plan.buffers[buffer];
        let writes = kernel.writes();
        let aside = writes.iter().any(|&b| matches!(of(b).place, Place::Aside));
        let half = |result: &usize| of(writes[*result]).element == Element::Bf16;
        let halves: Vec<String> = (0..writes.len())
            .filter(half)
            .map(|result| format!(":{result}"))
            .collect();
        let mut text = String::new();
        if aside {
            text += ", product aside";
        }
        match halves.len() {
            0 => {}
            n if n == writes.len() => text += ", in bf16",
            _ => text += &format!(", {} in bf16", halves.join(" ")),
        }
        text
    }

    fn args(&self, kernel: &Kernel) -> Vec<Arg> {
        /// Results of one line that follow each other are one argument from here on.
        const MANY: usize = 4;
        let mut reads = kernel.reads();
        reads.dedup();
        let result = |read: &BufferId| match self.shown.get(read) {
            Some(Shown::Result(line, result)) => Some((*line, *result)),
            _ => None,
        };
        let follows = |a: &BufferId, b: &BufferId| {
            result(a).is_some_and(|(line, number)| result(b) == Some((line, number + 1)))
        };
        let join = |run: &[BufferId]| match (result(&run[0]), run.len()) {
            (Some((line, first)), MANY..) => {
                let last = first + run.len() - 1;
                vec![Arg::line(line, format!(":{first}..{last}"))]
            }
            _ => run.iter().map(|&read| self.arg(read)).collect(),
        };
        spans(reads.chunk_by(follows).flat_map(join).collect())
    }

    fn arg(&self, buffer: BufferId) -> Arg {
        match self.shown.get(&buffer) {
            Some(Shown::Words(arg)) => arg.clone(),
            Some(&Shown::Result(line, 0)) => Arg::line(line, String::new()),
            Some(&Shown::Result(line, result)) => Arg::line(line, format!(":{result}")),
            // Nobody has written it: a fault of the plan, which its checker names.
            None => Arg::Text(self.plan.buffers[buffer].origin.to_string()),
        }
    }
}

fn label(kernel: &Kernel) -> String {
    match kernel {
        Kernel::Rows(rows) => format!("rows{}", nest(&[&rows.grid, &rows.row])),
        Kernel::Fold(fold) => fold_label(fold),
        Kernel::Gemm(gemm) => gemm_label(gemm),
        Kernel::Attention(a) => format!(
            "attention{} {} x {}, width {}",
            nest(&[&a.batch]),
            a.queries,
            a.keys,
            a.width
        ),
        Kernel::AttentionBackward(b) => {
            let a = &b.forward;
            format!(
                "attention gradient{} {} x {}, width {}",
                nest(&[&a.batch]),
                a.queries,
                a.keys,
                a.width
            )
        }
        Kernel::Take(take) => format!(
            "take {} of {} rows of {}",
            take.count, take.rows, take.width
        ),
        Kernel::Scatter(scatter) => format!(
            "scatter {} into {} rows of {}",
            scatter.count, scatter.rows, scatter.width
        ),
        Kernel::SumSquares(_) | Kernel::AdamW(_) => kernel.label().into(),
    }
}

fn fold_label(fold: &Fold) -> String {
    let over = format!("{:?}", fold.results.first().map(|r| r.reduction)).to_lowercase();
    let over = if over.contains("max") { "max" } else { "sum" };
    let sum = if fold.results.iter().any(|r| r.accumulate) {
        ", added"
    } else {
        ""
    };
    format!("{over}{}{sum}", nest(&[&fold.reduced, &fold.kept]))
}

fn gemm_label(gemm: &Gemm) -> String {
    let contiguous = |access: &Access| access.strides.last().is_some_and(|&s| s == 1);
    let transposed = |access: &Access| if contiguous(access) { "" } else { "ᵀ" };
    let batch = if gemm.batch.is_empty() {
        String::new()
    } else {
        format!("{} ", nest(&[&gemm.batch]))
    };
    let (a, b) = (transposed(&gemm.a.1), transposed(&gemm.b.1));
    let sum = if gemm.accumulate { ", added" } else { "" };
    format!(
        "gemm {batch}{} x {} x {} a{a}·b{b}{sum}",
        gemm.m, gemm.n, gemm.k
    )
}

/// What a kernel does to each element, where its label does not say it.
fn code(kernel: &Kernel) -> String {
    match kernel {
        Kernel::Rows(rows) => row_code(rows),
        Kernel::Gemm(gemm) => gemm.epilogue.as_ref().map(row_code).unwrap_or_default(),
        Kernel::Fold(fold) => {
            let values: Vec<usize> = fold.results.iter().map(|r| r.value).collect();
            formula_beyond_copy(fold.operands.len(), &fold.code, &values)
        }
        _ => String::new(),
    }
}

fn row_code(rows: &Rows) -> String {
    let values: Vec<usize> = rows.stores.iter().map(|s| s.value).collect();
    let draws = rows
        .operands
        .iter()
        .filter(|o| matches!(o, Operand::Draw(..)))
        .count();
    let drawn = if draws > 0 {
        format!("; {draws} drawn")
    } else {
        String::new()
    };
    formula_beyond_copy(rows.operands.len(), &rows.code, &values) + &drawn
}

/// `[4 x 48 | 128]`: groups of axes, outermost first.
fn nest(groups: &[&[usize]]) -> String {
    let group = |axes: &&[usize]| {
        axes.iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join(" x ")
    };
    let groups: Vec<String> = groups.iter().map(group).filter(|g| !g.is_empty()).collect();
    format!("[{}]", groups.join(" | "))
}

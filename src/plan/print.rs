//! The listing of a plan: one line per kernel, for an abstract target (no instruction set, threads or free memory in it).

use super::{
    BufferId, Kernel, Place, Plan, Scheduled,
    kernel::{Access, Fold, Gemm, Operand, Rows},
};
use crate::{
    ir::{ops::table_name, program::formula},
    listing::{Arg, Line, Section, render, spans},
};
use rustc_hash::FxHashMap;

/// Canonical text of both programs.
pub fn print(plan: &Plan) -> String {
    let arena = format!(
        "\n# arena: {} bytes for {} images\n",
        4 * plan.arena,
        plan.batch
    );
    render(&sections(plan)) + &arena
}

/// What is there before a run, then the kernels of both programs.
pub fn sections(plan: &Plan) -> [Section; 3] {
    let mut printer = Printer::new(plan);
    let leaves = std::mem::take(&mut printer.leaves);
    let kernels = |name: &str, kernels: &[Scheduled]| format!("{name}: {} kernels", kernels.len());
    [
        Section {
            heading: format!("{} leaves", leaves.len()),
            lines: leaves,
        },
        Section {
            heading: kernels("accumulate", &plan.accumulate),
            lines: printer.lines(&plan.accumulate),
        },
        Section {
            heading: kernels("apply", &plan.apply),
            lines: printer.lines(&plan.apply),
        },
    ]
}

struct Printer<'p> {
    plan: &'p Plan,
    leaves: Vec<Line>,
    /// How each buffer is shown: as what last wrote it, or as the leaf that it is.
    shown: FxHashMap<BufferId, Arg>,
    /// Lines so far.
    count: usize,
}

impl<'p> Printer<'p> {
    fn new(plan: &'p Plan) -> Self {
        let mut printer = Printer {
            plan,
            leaves: Vec::new(),
            shown: FxHashMap::default(),
            count: 0,
        };
        for (name, buffer) in &plan.feeds {
            printer.leaf(*buffer, name, "input".into());
        }
        for weight in &plan.weights {
            let label = if weight.decay {
                "weight"
            } else {
                "weight, no decay"
            };
            let line = printer.leaf(weight.value, &weight.name, label.into());
            let Some(state) = &weight.training else {
                continue;
            };
            let parts = [
                (state.gradient, "gradient of "),
                (state.first_moment, "first moment of "),
                (state.second_moment, "second moment of "),
            ];
            for (buffer, before) in parts {
                let arg = Arg::Line {
                    before: before.into(),
                    line,
                    after: String::new(),
                };
                printer.shown.insert(buffer, arg);
            }
        }
        for (buffer, of) in plan.buffers.iter().enumerate() {
            let Place::Constant(values) = &of.place else {
                continue;
            };
            let name = table_name(values);
            if values.len() == 1 {
                printer
                    .shown
                    .insert(buffer, Arg::Text(format!("{}", values[0])));
            } else if name.starts_with("tables") {
                printer.leaf(buffer, &name, format!("table of {}", of.origin));
            } else {
                printer.shown.insert(buffer, Arg::Text(name));
            }
        }
        printer
    }

    fn leaf(&mut self, buffer: BufferId, name: &str, label: String) -> usize {
        self.leaves.push(Line {
            origin: name.into(),
            shapes: vec![self.plan.buffers[buffer].dims.clone()],
            label,
            ..Line::default()
        });
        self.count += 1;
        self.shown
            .insert(buffer, Arg::line(self.count - 1, String::new()));
        self.count - 1
    }

    fn lines(&mut self, kernels: &[Scheduled]) -> Vec<Line> {
        kernels.iter().map(|kernel| self.line(kernel)).collect()
    }

    fn line(&mut self, scheduled: &Scheduled) -> Line {
        let kernel = &scheduled.kernel;
        let mut reads = kernel.reads();
        reads.dedup();
        let args = match kernel {
            // One sweep over everything: its hundreds of buffers say nothing.
            Kernel::SumSquares(sweep) => {
                vec![Arg::Text(format!("{} gradients", sweep.sources.len()))]
            }
            Kernel::AdamW(sweep) => vec![Arg::Text(format!("{} weights", sweep.segments.len()))],
            _ => spans(reads.iter().map(|read| self.arg(*read)).collect()),
        };
        let writes = kernel.writes();
        let shapes = match kernel {
            Kernel::SumSquares(_) | Kernel::AdamW(_) => Vec::new(),
            _ => writes
                .iter()
                .map(|&b| self.plan.buffers[b].dims.clone())
                .collect(),
        };
        for (result, &buffer) in writes.iter().enumerate() {
            let after = match result {
                0 => String::new(),
                n => format!(":{n}"),
            };
            self.shown.insert(buffer, Arg::line(self.count, after));
        }
        self.count += 1;
        Line {
            origin: scheduled.origin.to_string(),
            shapes,
            label: label(kernel),
            args,
            code: code(kernel),
            kept: Vec::new(),
        }
    }

    fn arg(&self, buffer: BufferId) -> Arg {
        match self.shown.get(&buffer) {
            Some(arg) => arg.clone(),
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
            formula(fold.operands.len(), &fold.code, &values)
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
    formula(rows.operands.len(), &rows.code, &values) + &drawn
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

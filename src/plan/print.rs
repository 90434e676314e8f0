//! The listing of a plan: one line per kernel, for an abstract target (no instruction set, threads or free memory in it).

use super::{
    BufferId, Kernel, Place, Plan, Scheduled,
    kernel::{Access, Fold, Gemm, Operand, Rows},
};
use crate::{
    ir::program::formula,
    listing::{Arg, Line, render},
};
use rustc_hash::FxHashMap;
use std::fmt::Write;

/// Canonical text of both programs.
pub fn print(plan: &Plan) -> String {
    let mut text = String::new();
    for (name, kernels) in [("accumulate", &plan.accumulate), ("apply", &plan.apply)] {
        let _ = writeln!(text, "# {name}: {} kernels", kernels.len());
        text.push_str(&render(&lines(plan, kernels)));
    }
    let _ = writeln!(
        text,
        "# arena: {} bytes for {} images",
        4 * plan.arena,
        plan.batch
    );
    text
}

fn lines(plan: &Plan, kernels: &[Scheduled]) -> Vec<Line> {
    // What last wrote each buffer: arguments are shown as the line they come from.
    let mut writer: FxHashMap<BufferId, usize> = FxHashMap::default();
    let mut lines = Vec::with_capacity(kernels.len());
    for (at, scheduled) in kernels.iter().enumerate() {
        let arg = |buffer: BufferId| match writer.get(&buffer) {
            Some(&line) => Arg::Line(line, String::new()),
            None => Arg::Text(outside(plan, buffer)),
        };
        let mut reads = scheduled.kernel.reads();
        reads.dedup();
        let args = match &scheduled.kernel {
            // One sweep over everything: its hundreds of buffers say nothing.
            Kernel::SumSquares(sweep) => {
                vec![Arg::Text(format!("{} gradients", sweep.sources.len()))]
            }
            Kernel::AdamW(sweep) => vec![Arg::Text(format!("{} weights", sweep.segments.len()))],
            _ => reads.into_iter().map(arg).collect(),
        };
        let writes = scheduled.kernel.writes();
        let shapes: Vec<String> = writes
            .iter()
            .take(4)
            .map(|&b| format!("{:?}", plan.buffers[b].dims))
            .collect();
        let shape = if writes.len() > 4 {
            format!("{} buffers", writes.len())
        } else {
            shapes.join(" ")
        };
        lines.push(Line {
            origin: scheduled.origin.to_string(),
            shape,
            label: label(&scheduled.kernel),
            args,
        });
        for buffer in writes {
            writer.insert(buffer, at);
        }
    }
    lines
}

/// What is there before the first kernel.
fn outside(plan: &Plan, buffer: BufferId) -> String {
    if let Some((name, _)) = plan.feeds.iter().find(|(_, b)| *b == buffer) {
        return format!("input {name}");
    }
    for weight in &plan.weights {
        if weight.value == buffer {
            return weight.name.clone();
        }
        if weight
            .training
            .as_ref()
            .is_some_and(|t| t.gradient == buffer)
        {
            return format!("gradient of {}", weight.name);
        }
    }
    match &plan.buffers[buffer].place {
        Place::Constant(values) if values.len() == 1 => format!("{}", values[0]),
        Place::Constant(values) => format!("table of {}", values.len()),
        _ => plan.buffers[buffer].origin.to_string(),
    }
}

fn label(kernel: &Kernel) -> String {
    match kernel {
        Kernel::Rows(rows) => format!("rows{} {{{}}}", nest(&[&rows.grid, &rows.row]), code(rows)),
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
    let values: Vec<usize> = fold.results.iter().map(|r| r.value).collect();
    let over = format!("{:?}", fold.results.first().map(|r| r.reduction)).to_lowercase();
    let over = if over.contains("max") { "max" } else { "sum" };
    let sum = if fold.results.iter().any(|r| r.accumulate) {
        ", added"
    } else {
        ""
    };
    let code = formula(fold.operands.len(), &fold.code, &values);
    format!(
        "{over}{} {{{code}}}{sum}",
        nest(&[&fold.reduced, &fold.kept])
    )
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
    let epilogue = gemm
        .epilogue
        .as_ref()
        .map(|rows| format!(" {{{}}}", code(rows)))
        .unwrap_or_default();
    format!(
        "gemm {batch}{} x {} x {} a{a}·b{b}{sum}{epilogue}",
        gemm.m, gemm.n, gemm.k
    )
}

fn code(rows: &Rows) -> String {
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
